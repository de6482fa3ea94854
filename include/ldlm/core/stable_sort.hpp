#pragma once
// std::stable_sort without its temporary buffer, which newer compilers call deprecated in the
// headers of standard libraries up to libstdc++ 12.

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <numeric>
#include <utility>
#include <vector>

namespace ldlm::detail {

/// Sorts; what is equal keeps its order. Any `less` is safe, if only NaN makes it inconsistent.
template <std::random_access_iterator It, class Less>
void stable_sort(It first, It last, Less less) {
  if (std::is_sorted(first, last, less)) {
    return;
  }
  const auto size = static_cast<std::size_t>(last - first);
  const auto at = [first](std::size_t i) -> const auto& {
    return first[static_cast<std::iter_difference_t<It>>(i)];
  };
  std::vector<std::size_t> order(size);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::vector<std::size_t> merged(size);
  for (std::size_t run = 1; run < size; run *= 2) {
    for (std::size_t low = 0; low < size; low += 2 * run) {
      const auto place = [&](std::size_t i) {
        return order.begin() + static_cast<std::ptrdiff_t>(std::min(i, size));
      };
      std::merge(place(low), place(low + run), place(low + run), place(low + 2 * run),
                 merged.begin() + static_cast<std::ptrdiff_t>(low),
                 [&](std::size_t a, std::size_t b) { return less(at(a), at(b)); });
    }
    order.swap(merged);
  }
  std::vector<std::iter_value_t<It>> sorted;
  sorted.reserve(size);
  for (const std::size_t i : order) {
    sorted.push_back(std::move(first[static_cast<std::iter_difference_t<It>>(i)]));
  }
  std::move(sorted.begin(), sorted.end(), first);
}

}  // namespace ldlm::detail
