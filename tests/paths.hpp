#pragma once
// Where the tests find what is not compiled into them. Only main.cpp is compiled with these paths:
// the flags of all other units are the same in every folder, so that a compiler cache serves them.

#include <string>

namespace ldlm_test {

std::string data_dir();    ///< tests/ of the sources
std::string source_dir();  ///< the sources
std::string command();     ///< the program `ldlm`, if it is built

}  // namespace ldlm_test
