#pragma once
// Orders and splits that depend on a seed alone: the same on every platform and standard library.

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include <ldlm/core/error.hpp>

namespace ldlm {

/// The counter-th 64-bit number of a seed's stream (SplitMix64; Steele et al. 2014).
[[nodiscard]] constexpr std::uint64_t counter_hash(std::uint64_t seed,
                                                   std::uint64_t counter) noexcept {
  std::uint64_t x = seed + (counter + 1) * 0x9E3779B97F4A7C15U;
  x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9U;
  x = (x ^ x >> 27) * 0x94D049BB133111EBU;
  return x ^ x >> 31;
}

/// Numbers below a bound, without bias, from a seed's stream.
class CounterRandom {
 public:
  explicit CounterRandom(std::uint64_t seed) noexcept : seed_(counter_hash(seed, 0)) {}

  [[nodiscard]] std::uint64_t next() noexcept { return counter_hash(seed_, counter_++); }
  /// Uniform in [0, bound), bound > 0.
  [[nodiscard]] std::uint64_t below(std::uint64_t bound) noexcept {
    const std::uint64_t excess = (~std::uint64_t{0} % bound + 1) % bound;  // 2^64 mod bound
    std::uint64_t x = next();
    while (x > ~std::uint64_t{0} - excess) {
      x = next();
    }
    return x % bound;
  }

 private:
  std::uint64_t seed_;
  std::uint64_t counter_ = 0;
};

/// Puts the items into the order that a seed decides (Fisher-Yates).
template <class Items>
void shuffle(Items& items, std::uint64_t seed) {
  CounterRandom random(seed);
  for (std::size_t i = items.size(); i > 1; --i) {
    std::swap(items[i - 1], items[static_cast<std::size_t>(random.below(i))]);
  }
}

/// 0 .. n-1 in the order that a seed decides.
[[nodiscard]] std::vector<std::size_t> shuffled_indices(std::size_t n, std::uint64_t seed);

/// Shuffles a stream in bounded memory: of `size` items kept, a random one makes way for each that
/// comes in. Push every item, then drain; items come out through `out(T)`.
template <class T>
class ShuffleBuffer {
 public:
  ShuffleBuffer(std::size_t size, std::uint64_t seed) : size_(size), random_(seed) {
    LDLM_CHECK(size > 0, "shuffle", "a buffer of 0 items");
  }

  template <class Out>
  void push(T item, Out&& out) {
    if (items_.size() < size_) {
      items_.push_back(std::move(item));
      return;
    }
    std::swap(item, items_[static_cast<std::size_t>(random_.below(size_))]);
    out(std::move(item));
  }

  template <class Out>
  void drain(Out&& out) {
    for (std::size_t i = items_.size(); i > 0; --i) {
      std::swap(items_[i - 1], items_[static_cast<std::size_t>(random_.below(i))]);
      out(std::move(items_[i - 1]));
    }
    items_.clear();
  }

 private:
  std::size_t size_;
  CounterRandom random_;
  std::vector<T> items_;
};

/// Whether an item belongs to the part held out for validation, about `fraction` of all. It hangs
/// on the seed and the item's key (such as an article's title) alone: adding articles to a corpus
/// moves none from one side to the other.
[[nodiscard]] bool held_out(std::string_view key, double fraction, std::uint64_t seed);

}  // namespace ldlm

#ifndef LDLM_LINKED
#include <ldlm/text/impl/shuffle.hpp>
#endif
