// Kernels whose time is that of memory, out of cache, against the machine's copy bandwidth: as many
// threads that copy as many bytes, by memcpy or by stores past the caches, whichever is faster
// (memcpy decides for itself which ones it takes). Rates are in GB/s of what has to be read and
// written: for most kernels one tensor in and one out, for AdamW four in and three out, for
// cross-entropy the logits in and, backward, out.

#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <ldlm/core/ops.hpp>
#include <ldlm_simd/thread_pool.hpp>
#include <ldlm_simd/vector.hpp>

#include "harness.hpp"

namespace {

using ldlm::Tensor;

/// The work of a kernel: how many floats it has to read and write, and the call.
struct Work {
  std::int64_t floats;
  std::function<void()> run;
};

void copy_floats(const Tensor<float>& from, const Tensor<float>& to) {
  const std::int64_t page = 1 << 10;
  ldlm::simd::parallel_for(0, from.numel(), page, [&](std::int64_t lo, std::int64_t hi) {
    std::memcpy(to.data() + lo, from.data() + lo,
                static_cast<std::size_t>(hi - lo) * sizeof(float));
  });
}

void stream_floats(const Tensor<float>& from, const Tensor<float>& to) {
  constexpr std::int64_t width = xsimd::batch<float>::size, line = 64 / sizeof(float);
  ldlm::simd::parallel_for(0, from.numel() / line, 64, [&](std::int64_t lo, std::int64_t hi) {
    for (std::int64_t i = lo * line; i < hi * line; i += width) {
      __builtin_prefetch(from.data() + i + 16 * line);
      ldlm::simd::stream<float, ldlm::simd::NativeArch>(
          to.data() + i, xsimd::batch<float>::load_aligned(from.data() + i));
    }
    ldlm::simd::finish_streaming<ldlm::simd::NativeArch>();
  });
}

void add(const std::string& name, const std::function<Work()>& make_work) {
  const auto make = [make_work](int threads) {
    const Work work = make_work();
    const auto from = Tensor<float>::full({work.floats / 2}, 1.0F);
    const auto to = Tensor<float>::full({work.floats / 2}, 0.0F);
    const auto timed = [threads](const std::function<void()>& run) {
      return [=] { return ldlm::bench::time_runs(run, threads, 0.05); };
    };
    std::vector<ldlm::bench::Contender> contenders{
        {"ours", timed(work.run)},
        {"copy", timed([from, to] { copy_floats(from, to); })},
        {"stream", timed([from, to] { stream_floats(from, to); })}};
    ldlm::bench::Comparison how;
    how.work = 4e-9 * static_cast<double>(work.floats);
    how.unit = "GB/s";
    return std::pair(contenders, how);
  };
  ldlm::bench::add_benchmark("memory/" + name, make, 7);
}

/// 256 MB, in rows of 768.
Tensor<float> large(float value) {
  return Tensor<float>::full({87380, 768}, value);
}

void add_all() {
  add("gelu", [] {
    const auto x = large(0.5F), y = large(0);
    return Work{2 * x.numel(), [=] {
                  ldlm::kernels<float>(ldlm::cpu).unary(ldlm::UnaryOp::gelu_tanh, x.view(),
                                                        y.view(), 0, 0);
                }};
  });
  add("softmax", [] {
    const auto x = large(0.5F), y = large(0);
    return Work{2 * x.numel(),
                [=] { ldlm::kernels<float>(ldlm::cpu).softmax(x.view(), y.view()); }};
  });
  add("layer_norm", [] {
    const auto x = large(0.5F), y = large(0);
    const auto gamma = Tensor<float>::full({768}, 1), beta = Tensor<float>::full({768}, 0);
    return Work{2 * x.numel(), [=] {
                  ldlm::kernels<float>(ldlm::cpu).layer_norm(
                      x.view(), {}, gamma.view(), beta.view(), 1e-5F, {}, y.view(), {}, {});
                }};
  });
  add("adamw", [] {
    const auto parameter = large(0.5F), grad = large(0.01F), m = large(0), v = large(0);
    const ldlm::AdamStep<float> step{1e-3F, 0.9F, 0.999F, 1e-8F, 0.01F, 0.1F, 0.001F, true};
    return Work{7 * parameter.numel(), [=] {
                  const ldlm::AdamItem<float> item{step,     parameter.data(), grad.data(), nullptr,
                                                   m.data(), v.data(),         m.numel()};
                  ldlm::kernels<float>(ldlm::cpu).adam(&item, 1);
                }};
  });
  for (const bool backward : {false, true}) {
    add(backward ? "cross_entropy_backward" : "cross_entropy", [=] {
      const auto logits = Tensor<float>::full({1024, 50257}, 0.5F);
      const auto targets = Tensor<std::int64_t>::full({1024}, 7);
      const auto loss = Tensor<float>::full({1024}, 0.001F), lse = Tensor<float>::full({1024}, 11);
      const auto out = backward ? Tensor<float>::full({1024, 50257}, 0) : Tensor<float>();
      return Work{(backward ? 2 : 1) * logits.numel(), [=] {
                    if (backward) {
                      ldlm::kernels<float>(ldlm::cpu).cross_entropy_backward(
                          logits.view(), targets.view(), -100, 0, lse.view(), loss.view(),
                          out.view());
                    } else {
                      ldlm::kernels<float>(ldlm::cpu).cross_entropy(
                          logits.view(), targets.view(), -100, 0, loss.view(), lse.view());
                    }
                  }};
    });
  }
}

}  // namespace

int main(int argc, char** argv) {
  add_all();
  return ldlm::bench::run_benchmarks(argc, argv);
}
