// Random numbers: element i of a contiguous output is a function of word i of a Philox stream, with
// the bits that the CPU has; normal within a few ulp of them.

#include <cmath>

#include <ldlm_cuda/kernels.hpp>
#include <ldlm_cuda/launch.cuh>
#include <ldlm_cuda/math.cuh>

namespace ldlm::cuda_backend {

namespace {

/// function(i, words) for each block of four words: elements i to i + 3.
template <class Function>
__global__ void philox_kernel(PhiloxStream stream, std::int64_t blocks,
                              const __grid_constant__ Function function) {
  for (std::int64_t b = first_index(); b < blocks; b += index_step()) {
    const auto words = philox4x32(stream.seed, stream.offset + static_cast<std::uint64_t>(b));
    function(4 * b, words);
  }
}
template <class Function>
void run_philox(const char* op, PhiloxStream stream, std::int64_t n, const Function& function) {
  if (n > 0) {
    const std::int64_t blocks = (n + 3) / 4;
    launch(op, philox_kernel<Function>, grid_over(blocks), stream, blocks, function);
  }
}

using Words = std::array<std::uint32_t, 4>;

template <class T>
struct Uniform {
  using C = ComputeType<T>;
  C low, range, high;
  T below;
  T* out;
  std::int64_t n;
  __device__ void operator()(std::int64_t i, const Words& words) const {
    for (int k = 0; k < 4 && i + k < n; ++k) {
      const C u = static_cast<C>(uniform_from_bits(words[static_cast<std::size_t>(k)]));
      const T value = rounded<T>(fma(range, u, low));
      out[i + k] = widened(value) < high ? value : below;
    }
  }
};

template <class T>
struct Normal {
  using C = ComputeType<T>;
  C mean, stddev;
  T* out;
  std::int64_t n;
  __device__ void operator()(std::int64_t i, const Words& words) const {
    for (int k = 0; k < 4 && i + k < n; k += 2) {
      const C u0 = static_cast<C>(uniform_from_bits(words[static_cast<std::size_t>(k)]));
      const C u1 = static_cast<C>(uniform_from_bits(words[static_cast<std::size_t>(k + 1)]));
      const C r = stddev * sqrt(C{-2} * log(C{1} - u0));
      // Taking out quarter turns is exact: both keep their digits near their zeros.
      const C quarter = rint(u1 * C{4});
      const C angle = (u1 - quarter * constant<C>(0.25)) * constant<C>(6.28318530717958647693);
      const C s = sin(angle);
      const C c = cos(angle);
      const int turns = static_cast<int>(quarter);
      const bool swapped = turns == 1 || turns == 3;
      const C x = swapped ? s : c;
      const C y = swapped ? c : s;
      out[i + k] = rounded<T>(fma(r, turns == 1 || turns == 2 ? -x : x, mean));
      if (i + k + 1 < n) {
        out[i + k + 1] = rounded<T>(fma(r, turns == 2 || turns == 3 ? -y : y, mean));
      }
    }
  }
};

template <class T>
struct Bernoulli {
  using C = ComputeType<T>;
  C probability;
  T* out;
  std::int64_t n;
  __device__ void operator()(std::int64_t i, const Words& words) const {
    for (int k = 0; k < 4 && i + k < n; ++k) {
      const C u = static_cast<C>(uniform_from_bits(words[static_cast<std::size_t>(k)]));
      out[i + k] = rounded<T>(u < probability ? C{1} : C{0});
    }
  }
};

template <class T>
struct Dropout {
  using C = ComputeType<T>;
  C p, factor;
  const T* x;
  T* y;
  std::int64_t n;
  __device__ void operator()(std::int64_t i, const Words& words) const {
    for (int k = 0; k < 4 && i + k < n; ++k) {
      const C u = static_cast<C>(uniform_from_bits(words[static_cast<std::size_t>(k)]));
      y[i + k] = rounded<T>(u >= p ? widened(x[i + k]) * factor : C{0});
    }
  }
};

/// What was wrong with a row's weights: the first such row, and its class or none.
struct BadRow {
  unsigned long long row;
};

/// A thread a row: sums run in double, in the order of the classes.
template <class T>
__global__ void categorical_kernel(PhiloxStream stream, const T* weights, std::int64_t rows,
                                   std::int64_t classes, std::int64_t row_step, std::int64_t* out,
                                   std::int64_t out_step, BadRow* bad) {
  for (std::int64_t row = first_index(); row < rows; row += index_step()) {
    const T* const w = weights + row * row_step;
    double sum = 0;
    bool good = true;
    for (std::int64_t c = 0; c < classes; ++c) {
      good = good && widened(w[c]) >= 0;
      sum += static_cast<double>(widened(w[c]));
    }
    if (!good || !(sum > 0 && sum <= 1.79769313486231570815e308)) {
      atomicMin(&bad->row, static_cast<unsigned long long>(row));
      continue;
    }
    const float u = uniform_from_bits(philox_word(stream, static_cast<std::uint64_t>(row)));
    const double threshold = sum * static_cast<double>(u);
    std::int64_t drawn = -1;
    double cumulative = 0;
    for (std::int64_t c = 0; c < classes && !(drawn >= 0 && cumulative > threshold); ++c) {
      cumulative += static_cast<double>(widened(w[c]));
      drawn = widened(w[c]) > 0 ? c : drawn;  // a class without weight is never drawn
    }
    out[row * out_step] = drawn;
  }
}

}  // namespace

template <class T>
void uniform(PhiloxStream stream, ComputeType<T> low, ComputeType<T> high, View<T> out) {
  T below;
  if constexpr (std::is_same_v<T, bf16>) {
    below = low < high ? largest_below(high) : bf16(low);
  } else {
    below = std::nextafter(high, low);
  }
  run_philox("uniform", stream, out.numel(),
             Uniform<T>{low, high - low, high, below, out.data, out.numel()});
}
template <class T>
void normal(PhiloxStream stream, ComputeType<T> mean, ComputeType<T> stddev, View<T> out) {
  run_philox("normal", stream, out.numel(), Normal<T>{mean, stddev, out.data, out.numel()});
}
template <class T>
void bernoulli(PhiloxStream stream, ComputeType<T> probability, View<T> out) {
  run_philox("bernoulli", stream, out.numel(), Bernoulli<T>{probability, out.data, out.numel()});
}
template <class T>
void dropout(PhiloxStream stream, ComputeType<T> p, View<const T> x, View<T> y) {
  run_philox("dropout", stream, y.numel(), Dropout<T>{p, 1 / (1 - p), x.data, y.data, y.numel()});
}
template <class T>
void categorical(PhiloxStream stream, View<const T> weights, View<std::int64_t> out) {
  const std::int64_t rows = weights.size(0);
  if (rows == 0) {
    return;
  }
  const Scratch scratch(sizeof(BadRow));
  BadRow bad{~0ULL};
  write_to(scratch.as<void>(), &bad, sizeof bad, "categorical");
  launch("categorical", categorical_kernel<T>, grid_over(rows), stream, weights.data, rows,
         weights.size(1), weights.stride(0), out.data, out.stride(0), scratch.as<BadRow>());
  read_back(&bad, scratch.as<void>(), sizeof bad, "categorical");
  LDLM_CHECK(bad.row == ~0ULL, "categorical", "the weights of row ",
             static_cast<std::int64_t>(bad.row),
             " are negative or NaN, or their sum is not positive and finite");
}

#define LDLM_INSTANTIATE(T)                                                     \
  template void uniform(PhiloxStream, ComputeType<T>, ComputeType<T>, View<T>); \
  template void normal(PhiloxStream, ComputeType<T>, ComputeType<T>, View<T>);  \
  template void bernoulli(PhiloxStream, ComputeType<T>, View<T>);               \
  template void dropout(PhiloxStream, ComputeType<T>, View<const T>, View<T>);  \
  template void categorical(PhiloxStream, View<const T>, View<std::int64_t>);
LDLM_FLOATING_TYPES(LDLM_INSTANTIATE)
#undef LDLM_INSTANTIATE

}  // namespace ldlm::cuda_backend
