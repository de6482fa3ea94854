// A Trainer takes an optimiser of its module's elements, and the message says what it wants.
// expect: Optimizer<

#include <ldlm/nn/linear.hpp>
#include <ldlm/optim/adam.hpp>
#include <ldlm/train/trainer.hpp>

#ifdef LDLM_MUST_FAIL
using Element = float;
#else
using Element = double;
#endif

auto train(ldlm::Linear<double>& model, const ldlm::NamedParameters<Element>& parameters) {
  return ldlm::Trainer(model, ldlm::AdamW(parameters)).step();
}
