// The bodies of the library's functions that are no templates, compiled once.

#include <ldlm/bodies.hpp>
