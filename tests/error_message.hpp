#pragma once
// What an Error says.

#include <string>

#include <ldlm/core/error.hpp>

namespace ldlm_test {

/// The message of the ldlm::Error that `action` throws; "no error" if it throws none. Other
/// exceptions pass.
template <class Action>
std::string message_of(Action&& action) {
  try {
    action();
  } catch (const ldlm::Error& error) {
    return error.what();
  }
  return "no error";
}
/// The same with every mention of a folder removed.
template <class Action>
std::string message_of(Action&& action, const std::string& folder) {
  std::string text = message_of(action);
  for (std::size_t at = 0; (at = text.find(folder + '/')) != std::string::npos;) {
    text.erase(at, folder.size() + 1);
  }
  return text;
}

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace ldlm_test
