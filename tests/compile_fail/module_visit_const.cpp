// A visit that is const could not be read into.
// expect: visit must not be const

#include <ldlm/nn/linear.hpp>

struct Model {
  ldlm::Linear<float> linear;

#ifdef LDLM_MUST_FAIL
  void visit(auto&& v) const {
    v("linear", linear);
  }
#else
  void visit(auto&& v) {
    v("linear", linear);
  }
#endif
};

auto count(const Model& model) {
  return ldlm::num_parameters(model);
}
