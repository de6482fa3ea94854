// Any text is either refused with an Error or names shards that lie in the index's folder.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string_view>

#include <ldlm/io/safetensors_model.hpp>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    for (const ldlm::ShardEntry& entry : ldlm::parse_shard_index(text, "fuzz")) {
      const auto path = (std::filesystem::path("/folder") / entry.file).lexically_normal();
      if (path.parent_path() != "/folder" || path.filename() != entry.file) {
        __builtin_trap();
      }
    }
  } catch (const ldlm::Error&) {  // as documented
  }
  return 0;
}
