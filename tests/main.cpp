#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

#include <cstdlib>

#include <ldlm_reference/reference.hpp>  // every test's oracle

#include "paths.hpp"

namespace ldlm_test {

std::string data_dir() {
  return LDLM_SOURCE_DIR "/tests";
}
std::string source_dir() {
  return LDLM_SOURCE_DIR;
}
std::string command() {
  const char* const other = std::getenv("LDLM_TEST_COMMAND");
  return other != nullptr ? other : LDLM_COMMAND;
}

}  // namespace ldlm_test
