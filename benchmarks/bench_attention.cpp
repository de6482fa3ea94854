// Causal attention of 12 heads of 64 channels, forward alone and forward with backward, against
// PyTorch's scaled_dot_product_attention. Rates are in tokens per second.

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <ldlm/autograd/autograd.hpp>

#include "inputs.hpp"
#include "peer.hpp"

namespace {

using ldlm::Tensor;
using ldlm::Variable;

constexpr std::int64_t heads = 12, channels = 64;

/// q, k, v and the gradient of the output, one after the other.
struct Inputs {
  explicit Inputs(std::int64_t length)
      : values(ldlm::bench::random_values(4 * heads * length * channels, 3)) {
    for (std::int64_t i = 0; i < 4; ++i) {
      parts.push_back(Tensor<float>::from_blob(values.data() + i * heads * length * channels,
                                               {1, heads, length, channels}));
    }
  }
  std::vector<float> values;
  std::vector<Tensor<float>> parts;
};

/// The output and, with `backward`, the gradients of q, k and v.
std::vector<Tensor<float>> attend(const Inputs& inputs, bool backward) {
  if (!backward) {
    return {scaled_dot_product_attention(inputs.parts[0], inputs.parts[1], inputs.parts[2],
                                         {.causal = true})};
  }
  std::vector<Variable<float>> leaves;
  for (std::size_t i = 0; i < 3; ++i) {
    leaves.emplace_back(inputs.parts[i], true);
  }
  const Variable<float> out =
      scaled_dot_product_attention(leaves[0], leaves[1], leaves[2], {.causal = true});
  out.backward({.seed = inputs.parts[3]});
  return {out.value(), leaves[0].grad(), leaves[1].grad(), leaves[2].grad()};
}

void add(std::int64_t length, bool backward) {
  const auto make = [=](int threads) {
    const auto inputs = std::make_shared<const Inputs>(length);
    const auto folder = std::make_shared<const ldlm::bench::TemporaryFolder>();
    const std::string file = folder->path / "inputs.f32";
    ldlm::bench::write_values(file, inputs->values);
    std::vector<ldlm::bench::Contender> contenders{
        {"ours",
         [=] { return ldlm::bench::time_runs([&] { attend(*inputs, backward); }, threads, 0.02); },
         [=] {
           std::vector<float> all;
           for (const Tensor<float>& part : attend(*inputs, backward)) {
             const std::vector<float> values = part.to_vector();
             all.insert(all.end(), values.begin(), values.end());
           }
           return all;
         }}};
    ldlm::bench::add_peer(contenders, "pytorch", "torch_peer.py",
                          {{"work", "attention"},
                           {"inputs", file},
                           {"heads", heads},
                           {"length", length},
                           {"channels", channels},
                           {"backward", backward}},
                          threads);
    ldlm::bench::Comparison how;
    how.work = static_cast<double>(length);
    how.unit = "tokens/s";
    how.absolute = 1e-4F;
    return std::pair(contenders, how);
  };
  ldlm::bench::add_benchmark(
      "attention/" + std::to_string(length) + (backward ? "/forward_backward" : "/forward"), make,
      length > 2048 ? 3 : 7);
}

}  // namespace

int main(int argc, char** argv) {
  for (const std::int64_t length : {256, 1024, 2048, 8192}) {
    add(length, false);
    add(length, true);
  }
  return ldlm::bench::run_benchmarks(argc, argv);
}
