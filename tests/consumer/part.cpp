#include "part.hpp"

#include <ldlm/ldlm.hpp>

ldlm::Variable<float> sum_of_squares(const ldlm::Variable<float>& x,
                                     const ldlm::Variable<float>& w) {
  return ldlm::sum(ldlm::square(ldlm::matmul(x, w)));
}
