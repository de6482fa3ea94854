#pragma once
// The bodies of text/shuffle.hpp.

#include <ldlm/text/shuffle.hpp>

#include <numeric>

#include <ldlm/core/linkage.hpp>
#include <ldlm/text/hash.hpp>

namespace ldlm {

LDLM_BODY std::vector<std::size_t> shuffled_indices(std::size_t n, std::uint64_t seed) {
  std::vector<std::size_t> order(n);
  std::iota(order.begin(), order.end(), std::size_t{0});
  shuffle(order, seed);
  return order;
}

LDLM_BODY bool held_out(std::string_view key, double fraction, std::uint64_t seed) {
  LDLM_CHECK(fraction >= 0 && fraction <= 1, "split", "fraction ", fraction,
             " is not between 0 and 1");
  const std::uint64_t bits = counter_hash(seed, detail::hash_bytes(key)) >> 11;
  return static_cast<double>(bits) * 0x1.0p-53 < fraction;
}

}  // namespace ldlm
