// How often modules pass over memory: the kernels that they call, forward and backward. A copy or a
// sum that someone adds by accident shows here.

#include <climits>
#include <map>
#include <string>
#include <utility>

#include <doctest/doctest.h>
#include <ldlm/autograd/autograd.hpp>
#include <ldlm/nn/nn.hpp>
#include <ldlm/optim/optim.hpp>

using ldlm::Generator;
using ldlm::KernelTable;
using ldlm::Tensor;
using ldlm::Variable;
using ldlm::View;

namespace {

using Calls = std::map<std::string, int>;

KernelTable<double> plain;
Calls calls;

/// Wraps one kernel of the table; `Entry` is the pointer to its member.
template <auto Entry>
struct Counted;
template <class... Args, void (*KernelTable<double>::*Entry)(Args...)>
struct Counted<Entry> {
  static inline std::string name;
  static void call(Args... args) {
    ++calls[name];
    (plain.*Entry)(args...);
  }
  static void install(KernelTable<double>& table, const std::string& kernel_name) {
    name = kernel_name;
    table.*Entry = call;
  }
};

/// Counts the calls of every kernel that a training step uses, from here on.
void count_calls() {
  static const bool installed = [] {
    using Table = KernelTable<double>;
    plain = ldlm::kernels<double>(ldlm::cpu);
    static Table counting = plain;
    Counted<&Table::copy>::install(counting, "copy");
    Counted<&Table::unary>::install(counting, "unary");
    Counted<&Table::unary_backward>::install(counting, "unary_backward");
    Counted<&Table::binary>::install(counting, "binary");
    Counted<&Table::axpy>::install(counting, "axpy");
    Counted<&Table::reduce>::install(counting, "reduce");
    Counted<&Table::layer_norm>::install(counting, "layer_norm");
    Counted<&Table::layer_norm_backward>::install(counting, "layer_norm_backward");
    Counted<&Table::gemm>::install(counting, "gemm");
    Counted<&Table::attention>::install(counting, "attention");
    Counted<&Table::attention_backward>::install(counting, "attention_backward");
    Counted<&Table::dropout>::install(counting, "dropout");
    Counted<&Table::adam>::install(counting, "adam");
    return ldlm::register_kernels(ldlm::DeviceType::cpu, counting, INT_MAX);
  }();
  REQUIRE(installed);
  calls.clear();
}

/// Forward and backward calls of a function of one Variable.
template <class Function>
std::pair<Calls, Calls> calls_of(Function&& function, const Variable<double>& x) {
  const Tensor<double> seed = Tensor<double>::ones(x.shape());
  count_calls();
  const Variable<double> y = function(x);
  const Calls forward = std::exchange(calls, {});
  y.backward({.seed = seed});
  return {forward, std::exchange(calls, {})};
}

int number(const Calls& made, const std::string& kernel) {
  const auto found = made.find(kernel);
  return found != made.end() ? found->second : 0;
}

const ldlm::TransformerOptions six_layers{.d_model = 8,
                                          .nhead = 2,
                                          .num_encoder_layers = 3,
                                          .num_decoder_layers = 3,
                                          .dim_feedforward = 16,
                                          .dropout = 0};

}  // namespace

TEST_CASE("self-attention copies nothing: its heads are views, forward and backward") {
  Generator g(1);
  const Variable<double> x(ldlm::randn<double>({2, 5, 8}, g), true);
  const ldlm::MultiHeadAttention<double> attention(8, 2, g);
  const auto [forward, backward] =
      calls_of([&](const auto& input) { return attention(input, {.causal = true}); }, x);
  CHECK(forward == Calls{{"gemm", 2}, {"attention", 1}});
  // The two reductions are the gradients of the biases.
  CHECK(backward == Calls{{"gemm", 4}, {"attention_backward", 1}, {"reduce", 2}});
}

TEST_CASE("residuals and norms are one pass, biases and activations none") {
  Generator g(1);
  const Variable<double> x(ldlm::randn<double>({2, 5, 8}, g), true);
  for (const bool norm_first : {false, true}) {
    ldlm::TransformerOptions choice = six_layers;
    choice.norm_first = norm_first;
    const ldlm::TransformerEncoder<double> encoder(choice, g);
    const auto [forward, backward] = calls_of([&](const auto& input) { return encoder(input); }, x);
    CHECK(forward == Calls{{"gemm", 3 * 4}, {"attention", 3}, {"layer_norm", 3 * 2 + 1}});
    CHECK(backward.at("gemm") == 3 * 8);
    CHECK(backward.at("layer_norm_backward") == 3 * 2 + 1);
    CHECK(backward.at("reduce") == 3 * 4);
    CHECK(backward.at("unary_backward") == 3);
    CHECK(number(backward, "copy") <= 1);  // into the gradient of x itself
    // Where paths meet, gradients add up: in a pre-norm layer once for each of its residuals.
    CHECK(number(backward, "binary") <= (norm_first ? 3 * 3 + 1 : 1));
  }
}

TEST_CASE("decoding one token copies its keys and values and nothing else") {
  Generator g(1);
  const ldlm::TransformerDecoder<double> decoder(six_layers, g);
  const Variable<double> memory(ldlm::randn<double>({2, 3, 8}, g));
  const Variable<double> x(ldlm::randn<double>({2, 1, 8}, g));
  const ldlm::NoGrad scope;
  auto caches = decoder.make_caches(2, 4, 3);
  static_cast<void>(decoder(x, memory, {.self = {.causal = true}}, &caches));
  count_calls();
  static_cast<void>(decoder(x, memory, {.self = {.causal = true}}, &caches));
  // Self-attention's two projections, cross-attention's query and output, feed-forward's two.
  CHECK(calls == Calls{{"gemm", 3 * 6}, {"attention", 3 * 2}, {"copy", 3 * 2}, {"layer_norm", 10}});
}

TEST_CASE("clipping and AdamW read and write each parameter once") {
  Generator g(1);
  const Variable<double> x(ldlm::randn<double>({4, 8}, g));
  ldlm::Linear<double> linear(8, 8, g);
  ldlm::AdamW<double> optimizer(ldlm::named_parameters(linear));
  sum(linear(x)).backward();
  count_calls();
  optimizer.step(ldlm::clip_factor(ldlm::grad_norm(ldlm::parameters(linear)), 1.0));
  CHECK(calls == Calls{{"reduce", 2}, {"unary", 2}, {"adam", 1}});  // of both
}
