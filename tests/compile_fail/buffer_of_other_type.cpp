// A buffer of another type than its module's is refused in words.
// expect: a buffer is a Tensor of its module's element type
#include <cstdint>

#include <ldlm/nn/module.hpp>

struct Counting {
#ifdef LDLM_MUST_FAIL
  ldlm::Tensor<std::int64_t> seen;
#else
  ldlm::Tensor<float> seen;
#endif
  template <class V>
  void visit(V&& v) {
    v.buffer("seen", seen);
  }
};

int main() {
  return static_cast<int>(ldlm::state_dict(Counting()).size());
}
