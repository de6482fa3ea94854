#pragma once
// The user's own library.

#include <ldlm/autograd/variable.hpp>

/// The sum of the squares of x w.
ldlm::Variable<float> sum_of_squares(const ldlm::Variable<float>& x,
                                     const ldlm::Variable<float>& w);
