// A module of doubles says so with value_type; its parameters are not silently left out.
// expect: this Variable or Weight has another element type than its module

#include <ldlm/nn/linear.hpp>

struct Model {
#ifndef LDLM_MUST_FAIL
  using value_type = double;
#endif
  ldlm::Variable<double> weight;

  template <class V>
  void visit(V&& v) {
    v("weight", weight);
  }
};

auto count(const Model& model) {
  return ldlm::num_parameters(model);
}
