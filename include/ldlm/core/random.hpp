#pragma once
// Generator and the random tensors it draws. Every random thing takes a generator; there is no
// hidden seed.

#include <cmath>
#include <cstddef>
#include <utility>

#include <ldlm/core/tensor.hpp>

namespace ldlm {

/// A position in a Philox stream. Copy it to replay; save seed() and offset() to resume.
class Generator {
 public:
  explicit Generator(std::uint64_t seed = 0, std::uint64_t offset = 0) : stream_{seed, offset} {}

  [[nodiscard]] std::uint64_t seed() const noexcept { return stream_.seed; }
  /// Blocks of four words drawn so far.
  [[nodiscard]] std::uint64_t offset() const noexcept { return stream_.offset; }

  /// Hands out the words of `count` elements and moves on past them.
  PhiloxStream take(std::int64_t count) noexcept {
    const PhiloxStream taken = stream_;
    stream_.offset += (static_cast<std::uint64_t>(count) + 3) / 4;
    return taken;
  }
  /// One uniform number in [0, 1).
  double uniform() noexcept {
    const auto words = philox4x32(stream_.seed, take(1).offset);
    return static_cast<double>((std::uint64_t{words[0]} << 32 | words[1]) >> 11) * 0x1p-53;
  }
  /// One integer in [0, bound), bound > 0, each equally likely.
  std::int64_t below(std::int64_t bound) {
    LDLM_CHECK(bound > 0, "Generator::below", "bound must be positive, got ", bound);
    const auto range = static_cast<std::uint64_t>(bound);
    const std::uint64_t reject = (0 - range) % range;  // so many low values would be too frequent
    for (;;) {
      const auto words = philox4x32(stream_.seed, take(1).offset);
      const std::uint64_t word = std::uint64_t{words[0]} << 32 | words[1];
      if (word >= reject) {
        return static_cast<std::int64_t>(word % range);
      }
    }
  }
  /// A generator of an independent stream, for one purpose of its own.
  [[nodiscard]] Generator fork(std::uint64_t key) const noexcept {
    const auto words = philox4x32(stream_.seed ^ 0x9E3779B97F4A7C15U, key);
    return Generator(std::uint64_t{words[0]} << 32 | words[1]);
  }

 private:
  PhiloxStream stream_;
};

/// Puts the items into a random order (Fisher-Yates).
template <class Items>
void shuffle(Items& items, Generator& generator) {
  for (std::size_t i = items.size(); i > 1; --i) {
    std::swap(items[i - 1],
              items[static_cast<std::size_t>(generator.below(static_cast<std::int64_t>(i)))]);
  }
}

/// Uniform in [low, high); high - low must be a finite number. Elements of bf16 are rounded, so
/// that `low` is, too.
template <Floating T = float>
Tensor<T> rand(const Shape& shape, Generator& generator, Number<T> low = 0, Number<T> high = 1,
               Device device = cpu) {
  LDLM_CHECK(low <= high && std::isfinite(high - low), "rand", "cannot draw from [", low, ", ",
             high, ')');
  Tensor<T> out = Tensor<T>::empty(shape, device);
  if (out.numel() > 0) {
    detail::kernel(device, &KernelTable<T>::uniform, "rand")(generator.take(out.numel()), low, high,
                                                             out.view());
  }
  return out;
}
/// Normal with the given mean and standard deviation.
template <Floating T = float>
Tensor<T> randn(const Shape& shape, Generator& generator, Number<T> mean = 0, Number<T> stddev = 1,
                Device device = cpu) {
  LDLM_CHECK(stddev >= 0, "randn", "the standard deviation must not be negative, got ", stddev);
  Tensor<T> out = Tensor<T>::empty(shape, device);
  if (out.numel() > 0) {
    detail::kernel(device, &KernelTable<T>::normal, "randn")(generator.take(out.numel()), mean,
                                                             stddev, out.view());
  }
  return out;
}
/// Standard normal, of the shape of `like` and on its device.
template <Floating T>
Tensor<T> randn_like(const Tensor<T>& like, Generator& generator) {
  return randn<T>(like.shape(), generator, 0, 1, like.device("randn_like"));
}
/// 1 with the given probability, else 0.
template <Floating T = float>
Tensor<T> bernoulli(const Shape& shape, Generator& generator, Number<T> probability,
                    Device device = cpu) {
  LDLM_CHECK(probability >= 0 && probability <= 1, "bernoulli",
             "probability must lie in [0, 1], got ", probability);
  Tensor<T> out = Tensor<T>::empty(shape, device);
  if (out.numel() > 0) {
    detail::kernel(device, &KernelTable<T>::bernoulli, "bernoulli")(generator.take(out.numel()),
                                                                    probability, out.view());
  }
  return out;
}
/// One class of each row of non-negative weights (..., V), as likely as its weight -> (...).
template <Floating T>
Tensor<std::int64_t> categorical(const Tensor<T>& weights, Generator& generator) {
  const Device device = weights.device("categorical");
  LDLM_CHECK_SHAPE(weights.rank() >= 1 && weights.size(-1) > 0, "categorical",
                   "needs at least one class, got ", to_string(weights.shape()));
  Shape shape = weights.shape();
  shape.erase(shape.rank() - 1);
  auto out = Tensor<std::int64_t>::empty(shape, device);
  if (out.numel() > 0) {
    const Tensor<T> rows = weights.contiguous().reshape({out.numel(), weights.size(-1)});
    detail::kernel(device, &KernelTable<T>::categorical, "categorical")(
        generator.take(out.numel()), rows.view(), out.reshape({-1}).view());
  }
  return out;
}

}  // namespace ldlm
