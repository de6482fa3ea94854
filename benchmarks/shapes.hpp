#pragma once
// One function of ours beside one expression of PyTorch's (peers/shapes_peer.py), over operands of
// any shape and layout that both make alike.

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <ldlm/autograd/autograd.hpp>
#include <ldlm/core/ops.hpp>

#include "harness.hpp"
#include "peer.hpp"

namespace ldlm::bench {

/// An operand: its shape, and how it lies in memory.
struct Input {
  Shape shape;
  std::string form =
      "plain";                // or transposed (last two axes), reversed (all), sliced (every other)
  double low = -1, high = 1;  // of its values
  std::int64_t bound = 0;     // above 0: integers in [0, bound)
};
inline Input plain(const Shape& shape, double low = -1, double high = 1) {
  return {shape, "plain", low, high};
}
inline Input transposed(const Shape& shape, double low = -1, double high = 1) {
  return {shape, "transposed", low, high};
}
inline Input reversed(const Shape& shape, double low = -1, double high = 1) {
  return {shape, "reversed", low, high};
}
inline Input sliced(const Shape& shape, double low = -1, double high = 1) {
  return {shape, "sliced", low, high};
}
inline Input indices(const Shape& shape, std::int64_t bound) {
  return {shape, "plain", 0, 0, bound};
}

/// Number i of stream `seed`; the peer makes the same.
inline std::uint32_t shape_number(std::int64_t i, unsigned seed) {
  std::uint32_t u = static_cast<std::uint32_t>(i) * 2654435761U + seed * 40503U + 1U;
  u ^= u >> 15;
  u *= 2246822519U;
  return u ^ (u >> 13);
}
inline Tensor<float> shape_values(const Shape& shape, unsigned seed, double low, double high) {
  auto out = Tensor<float>::empty(shape);
  for (std::int64_t i = 0; i < out.numel(); ++i) {
    const double unit = static_cast<double>(shape_number(i, seed) >> 8) * 0x1p-24;
    out.data()[i] = static_cast<float>(low + (high - low) * unit);
  }
  return out;
}
inline Tensor<std::int64_t> shape_indices(const Input& input, unsigned seed) {
  auto out = Tensor<std::int64_t>::empty(input.shape);
  for (std::int64_t i = 0; i < out.numel(); ++i) {
    out.data()[i] = shape_number(i, seed) % static_cast<std::uint32_t>(input.bound);
  }
  return out;
}
inline Tensor<float> shape_operand(const Input& input, unsigned seed) {
  Shape shape = input.shape;
  const int last = shape.rank() - 1;
  if (input.form == "sliced") {
    shape[last] *= 2;
    return shape_values(shape, seed, input.low, input.high).slice(-1, 0, to_end, 2);
  }
  if (input.form == "transposed") {
    std::swap(shape[last - 1], shape[last]);
    return shape_values(shape, seed, input.low, input.high).transpose(-1, -2);
  }
  if (input.form == "reversed") {
    std::vector<int> order;
    for (int axis = 0; axis <= last; ++axis) {
      shape[axis] = input.shape[last - axis];
      order.push_back(last - axis);
    }
    return shape_values(shape, seed, input.low, input.high).permute(order);
  }
  return shape_values(shape, seed, input.low, input.high);
}

// The function under test takes the floating and the integer inputs, apart. Erased, so that the
// rest is compiled once.
using Ids = std::vector<Tensor<std::int64_t>>;
using Result = std::variant<Tensor<float>, Tensor<double>, Tensor<std::int64_t>, Tensor<bool>>;
using Function = std::function<Result(const std::vector<Tensor<float>>&, const Ids&)>;
using Recorded = std::function<Variable<float>(const std::vector<Variable<float>>&, const Ids&)>;

inline std::vector<float> floats_of(const Result& result) {
  return std::visit(
      [](const auto& x) {
        const auto values = x.to_vector();
        return std::vector<float>(values.begin(), values.end());
      },
      result);
}

/// What differs from one case to the next beside the inputs.
struct CaseOptions {
  double tolerance = 1e-4;  // absolute, and relative to the value
  bool compared = true;     // random numbers are not
  std::string setup = "";   // statements of the peer's, before it is timed
};

/// `contenders` with the peer's, in the one process that all cases share.
inline void add_torch(std::vector<Contender>& contenders, const std::vector<Input>& inputs,
                      const std::string& code, bool gradient, const CaseOptions& options,
                      int threads) {
  static const std::shared_ptr<PeerProcess> peer = [] {
    const char* const python = std::getenv("LDLM_BENCH_PYTHON");
    if (python == nullptr) {
      std::fprintf(stderr, "pytorch is left out: LDLM_BENCH_PYTHON names no Python\n");
      return std::shared_ptr<PeerProcess>();
    }
    return std::make_shared<PeerProcess>(python,
                                         LDLM_BENCH_ROOT "/benchmarks/peers/shapes_peer.py");
  }();
  if (peer == nullptr) {
    return;
  }
  Json list = Json::array();
  for (const Input& input : inputs) {
    Json entry{{"shape", std::vector<std::int64_t>(input.shape.begin(), input.shape.end())},
               {"form", input.form},
               {"low", input.low},
               {"high", input.high}};
    if (input.bound > 0) {
      entry["bound"] = input.bound;
    }
    list.push_back(entry);
  }
  peer->ask({{"load",
              {{"inputs", list},
               {"code", code},
               {"setup", options.setup},
               {"gradient", gradient},
               {"threads", threads}}}});
  add_contender(contenders, "pytorch", peer, 0.02, options.compared);
}

/// What is timed, and what it computes.
struct Work {
  std::function<void()> run;
  std::function<std::vector<float>()> result;
};
inline Work work_of(const Function& f, const std::vector<Tensor<float>>& a, const Ids& ids) {
  return {[=] { f(a, ids); }, [=] { return floats_of(f(a, ids)); }};
}
/// The backward pass too, from a seed of random numbers to all floating inputs.
inline Work work_of(const Recorded& f, const std::vector<Tensor<float>>& values, const Ids& ids) {
  std::vector<Variable<float>> a;
  for (const Tensor<float>& value : values) {
    a.emplace_back(value, true);
  }
  const auto seed = shape_values(f(a, ids).shape(), 77, -1, 1);
  const auto run = [=] {
    for (const auto& x : a) {
      x.zero_grad();
    }
    f(a, ids).backward({.seed = seed});
  };
  return {run, [=] {
            run();
            std::vector<float> all;
            for (const auto& x : a) {
              const std::vector<float> grad = floats_of(x.grad());
              all.insert(all.end(), grad.begin(), grad.end());
            }
            return all;
          }};
}

/// Registers shapes/`name`: f beside the peer's `code`, in which the floating inputs are a[0],
/// a[1],
/// ... and the integer ones i[0], ...
inline void add_case(const std::string& name, const std::vector<Input>& inputs,
                     const std::string& code, const std::variant<Function, Recorded>& f,
                     const CaseOptions& options) {
  const auto make = [=](int threads) {
    std::vector<Tensor<float>> a;
    Ids ids;
    for (unsigned seed = 0; seed < inputs.size(); ++seed) {
      if (inputs[seed].bound > 0) {
        ids.push_back(shape_indices(inputs[seed], seed));
      } else {
        a.push_back(shape_operand(inputs[seed], seed));
      }
    }
    const Work work = std::visit([&](const auto& g) { return work_of(g, a, ids); }, f);
    Contender ours{"ours", [=] { return time_runs(work.run, threads, 0.02); }};
    if (options.compared) {
      ours.result = work.result;
    }
    std::vector<Contender> contenders{ours};
    add_torch(contenders, inputs, code, std::holds_alternative<Recorded>(f), options, threads);
    Comparison how;
    how.absolute = how.relative = static_cast<float>(options.tolerance);
    return std::pair(contenders, how);
  };
  add_benchmark("shapes/" + name, make, 3, {1});
}

/// The value alone.
inline void forward(const std::string& name, const std::vector<Input>& inputs,
                    const std::string& code, const Function& f, const CaseOptions& options = {}) {
  add_case(name, inputs, code, f, options);
}
/// The value with its gradient.
inline void backward(const std::string& name, const std::vector<Input>& inputs,
                     const std::string& code, const Recorded& f, const CaseOptions& options = {}) {
  add_case(name + " gradient", inputs, code, f, options);
}
template <class F>
void both(const std::string& name, const std::vector<Input>& inputs, const std::string& code,
          const F& f, const CaseOptions& options = {}) {
  forward(name, inputs, code, f, options);
  backward(name, inputs, code, f, options);
}

}  // namespace ldlm::bench
