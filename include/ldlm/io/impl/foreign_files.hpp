#pragma once
// Bodies of io/foreign_files.hpp.

#include <algorithm>
#include <array>
#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>

#include <ldlm/core/error.hpp>
#include <ldlm/files/file_kind.hpp>
#include <ldlm/io/foreign_files.hpp>

namespace ldlm::detail {

LDLM_BODY void check_no_foreign_file(std::string_view contents, std::string_view op,
                                     std::string_view origin) {
  const FileDescription is = what_is(contents.substr(0, file_head));
  const bool foreign = is.kind != FileKind::other && is.kind != FileKind::safetensors &&
                       is.kind != FileKind::table;  // 0xffffffff is also just a wrong length
  LDLM_CHECK_FILE(!foreign, op, origin, ": ", is.message);
}

LDLM_BODY std::string describe_foreign_weights(const std::filesystem::path& folder) {
  struct Kind {
    std::string_view name, what;
  };
  // By the whole name, or by the end of it. The first that is there counts.
  static constexpr std::array kinds{
      Kind{"adapter_model.safetensors",
           "the weights of a PEFT adapter alone; merge them into the "
           "model that they adapt (peft: merge_and_unload)"},
      Kind{"adapter_config.json",
           "the configuration of a PEFT adapter; merge it into the model "
           "that it adapts (peft: merge_and_unload)"},
      Kind{"pytorch_model.bin", "a Python pickle of PyTorch"},
      Kind{"pytorch_model.bin.index.json", "the index of PyTorch's Python pickles"},
      Kind{"tf_model.h5", "weights of Keras"},
      Kind{"flax_model.msgpack", "weights of Flax"},
      Kind{".gguf", "a file of llama.cpp; take the model's original folder"},
      Kind{".onnx", "an ONNX graph; take the model's original folder"},
      Kind{".bin", "probably a Python pickle of PyTorch"},
      Kind{".pt", "a Python pickle of PyTorch"},
      Kind{".pth", "a Python pickle of PyTorch"},
      Kind{".ckpt", "a checkpoint of another framework"},
      Kind{".h5", "weights of Keras"},
      Kind{".keras", "a model of Keras"},
      Kind{".msgpack", "weights of Flax"},
      Kind{".safetensors", "under another name than model.safetensors"},
  };
  std::array<std::string, kinds.size()> found;
  std::error_code error;
  for (auto at = std::filesystem::recursive_directory_iterator(folder, error);
       !error && at != std::filesystem::recursive_directory_iterator(); at.increment(error)) {
    if (at.depth() > 0) {  // such as onnx/model.onnx: one level is enough
      at.disable_recursion_pending();
    }
    const std::string name = std::filesystem::relative(at->path(), folder, error).native();
    for (std::size_t i = 0; i < kinds.size(); ++i) {
      const bool matches =
          kinds[i].name.starts_with('.') ? name.ends_with(kinds[i].name) : name == kinds[i].name;
      if (matches && name != "model.safetensors" && (found[i].empty() || name < found[i])) {
        found[i] = name;
      }
    }
  }
  for (std::size_t i = 0; i < kinds.size(); ++i) {
    if (!found[i].empty()) {
      const bool has_advice = kinds[i].what.find(';') != std::string_view::npos;
      const bool renamed = kinds[i].name == ".safetensors";
      return "; it has " + found[i] + ", " + std::string(kinds[i].what) +
             (has_advice || renamed ? "" : "; " + std::string(save_as_safetensors));
    }
  }
  return {};
}

}  // namespace ldlm::detail
