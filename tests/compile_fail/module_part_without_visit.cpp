// A part that shows nothing of what it has is not silently left out.
// expect: this part has no visit member

#include <ldlm/nn/linear.hpp>

struct Part {
  ldlm::Linear<float> linear;

#ifndef LDLM_MUST_FAIL
  void visit(auto&& v) {
    v("linear", linear);
  }
#endif
};

struct Model {
  Part part;

  void visit(auto&& v) { v("part", part); }
};

auto count(const Model& model) {
  return ldlm::num_parameters(model);
}
