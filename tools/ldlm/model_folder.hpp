#pragma once
// Folders that are a model of their own, or an LDLM with parts.

#include <filesystem>
#include <string>

#include <ldlm/latent_diffusion/pipeline.hpp>

#include "command.hpp"

namespace ldlm::command {

inline bool is_ldlm(const std::filesystem::path& model) {
  return std::filesystem::exists(model / "ldlm.json");
}

/// The LDLM of --model on --device.
inline Ldlm<float> load_ldlm(const Common& common) {
  auto model = Ldlm<float>::load(common.model);
  model.to(common.device());
  return model;
}

/// The part of a folder that is a model of this type: the folder itself, or a part of an LDLM.
inline std::filesystem::path part_of(const std::filesystem::path& model, const std::string& part) {
  return is_ldlm(model) ? model / part : model;
}

/// The tokenizer beside a decoder: the LDLM's own, or the folder's.
inline Tokenizer decoder_tokenizer(const std::filesystem::path& model) {
  return is_ldlm(model) ? LdlmTokenizers::load(model).decoder : Tokenizer::from_folder(model);
}

/// The config.json of a folder with these values in place of its own. What it says besides, such as
/// how to decode, stays, but for how the old weights were stored.
inline JsonValue config_over(const std::filesystem::path& folder, const JsonValue& values) {
  const JsonValue old = read_json(folder / "config.json");
  JsonValue out = JsonValue::object({});
  for (const auto& [key, value] : old.members()) {
    if (key != "dtype" && key != "torch_dtype" && key != "quantization_config") {
      out.set(key, value);
    }
  }
  for (const auto& [key, value] : values.members()) {
    out.set(key, value);
  }
  return out;
}

/// Gives an update the file of this name of a folder, or none where the folder has none, as no
/// folder ("") has.
inline void take_over(FolderUpdate& update, const std::filesystem::path& folder,
                      const std::string& file) {
  update.remove(file);
  if (!folder.empty() && std::filesystem::exists(folder / file)) {
    update.add(file, [&](const std::filesystem::path& path) {
      write_file(path, MappedFile::open(folder / file).text());
    });
  }
}

/// Says what a folder holds that is not used, and what is unlike its config.json.
inline void say_report(const Common& common, const PretrainedReport& report) {
  for (const std::string& warning : report.warnings) {
    say(common, "note: " + warning);
  }
  if (!report.unused.empty()) {
    say(common, "note: " + common.model + ": not used are the weights of another head: " +
                    ldlm::detail::join_some(report.unused));
  }
}

}  // namespace ldlm::command
