// A kernel's inputs are views of const elements.
// expect: read-only|const-qualified

#include <ldlm/core/view.hpp>

#ifdef LDLM_MUST_FAIL
using Element = const float;
#else
using Element = float;
#endif

void clear(ldlm::View<Element> x) {
  x.data[0] = 0.0F;
}
