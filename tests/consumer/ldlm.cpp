// The file of a program without CMake that holds the kernels and the bodies of the library.
#include <ldlm/implementation.hpp>
