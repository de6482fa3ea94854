#include "part.hpp"

#include <ldlm/ldlm.hpp>

ldlm::Variable<float> sum_of_squares(const ldlm::Variable<float>& x,
                                     const ldlm::Variable<float>& w) {
  // A function that is no template, whose body may be in another unit.
  const auto scale = ldlm::JsonReader::parse(R"({"scale": 1})").get<float>("scale");
  return ldlm::sum(ldlm::square(ldlm::matmul(x, w))) * scale;
}
