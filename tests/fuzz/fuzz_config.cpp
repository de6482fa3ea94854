// Any text is either refused with an Error or is a document that survives writing and reading, and
// whose keys can be asked for as every type.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <ldlm/core/utf8.hpp>
#include <ldlm/io/json.hpp>

namespace {

void require(bool condition) {
  if (!condition) {
    __builtin_trap();
  }
}

template <class T>
void ask(const ldlm::JsonReader& config, const std::string& key) {
  try {
    (void)config.get<T>(key);
  } catch (const ldlm::Error& error) {
    require(ldlm::is_utf8(error.what()));
  }
}

void ask_all(const ldlm::JsonReader& config, std::size_t size) {
  for (const auto& [key, value] : config.value().members()) {
    require(value.offset() < size);
    ask<bool>(config, key);
    ask<std::int64_t>(config, key);
    ask<std::uint8_t>(config, key);
    ask<float>(config, key);
    ask<std::string>(config, key);
    ask<std::vector<std::vector<double>>>(config, key);
    if (value.is_object()) {
      ask_all(config.section(key), size);
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    const ldlm::JsonValue root = ldlm::parse_json(text, "fuzz");
    require(ldlm::parse_json(to_string(root), "again") == root);
    require(ldlm::parse_json(to_pretty_string(root), "again") == root);
    ask_all(ldlm::JsonReader(root, "fuzz"), size);
  } catch (const ldlm::Error& error) {
    require(ldlm::is_utf8(error.what()));
  }
  return 0;
}
