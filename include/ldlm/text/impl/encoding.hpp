#pragma once
// The bodies of text/encoding.hpp.

#include <ldlm/text/encoding.hpp>

#include <algorithm>
#include <utility>

#include <ldlm/core/error.hpp>
#include <ldlm/core/linkage.hpp>

namespace ldlm {

namespace detail {

/// Calls f(vector of a, the same vector of b) for each of two encodings' token vectors.
template <class A, class B, class F>
void for_each_field(A& a, B& b, F&& f) {
  f(a.ids, b.ids);
  f(a.type_ids, b.type_ids);
  f(a.attention_mask, b.attention_mask);
  f(a.special_tokens_mask, b.special_tokens_mask);
  f(a.tokens, b.tokens);
  f(a.offsets, b.offsets);
  f(a.byte_offsets, b.byte_offsets);
  f(a.word_ids, b.word_ids);
}

/// Tokens [begin, end) of an encoding.
LDLM_BODY Encoding slice(const Encoding& from, std::size_t begin, std::size_t end) {
  Encoding out;
  for_each_field(out, from, [&](auto& to, const auto& source) {
    const auto first = source.begin();
    to.assign(first + static_cast<std::ptrdiff_t>(begin), first + static_cast<std::ptrdiff_t>(end));
  });
  return out;
}

LDLM_BODY void append(Encoding& to, const Encoding& more) {
  const auto appended = [](const Encoding& head, const Encoding& tail) {
    Encoding both = head;
    both.overflowing.clear();
    for_each_field(both, tail,
                   [](auto& a, const auto& b) { a.insert(a.end(), b.begin(), b.end()); });
    return both;
  };
  std::vector<Encoding> overflowing;
  for (const Encoding& part : to.overflowing) {
    overflowing.push_back(appended(part, more));
    for (const Encoding& other : more.overflowing) {
      overflowing.push_back(appended(part, other));
    }
  }
  for (const Encoding& other : more.overflowing) {
    overflowing.push_back(appended(to, other));
  }
  for_each_field(to, more, [](auto& a, const auto& b) { a.insert(a.end(), b.begin(), b.end()); });
  to.overflowing = std::move(overflowing);
}

LDLM_BODY void prepend(const Encoding& head, Encoding& to) {
  for (Encoding& part : to.overflowing) {
    prepend(head, part);
  }
  for_each_field(to, head, [](auto& a, const auto& b) { a.insert(a.begin(), b.begin(), b.end()); });
}

LDLM_BODY void truncate(Encoding& encoding, std::size_t max_length, const Truncation& how) {
  const std::size_t n = encoding.size();
  if (max_length >= n) {
    return;
  }
  if (!how.keep_overflow) {
    const std::size_t begin = how.direction == TextDirection::right ? 0 : n - max_length;
    encoding = slice(encoding, begin, begin + max_length);
    return;
  }
  if (max_length == 0) {
    Encoding empty;
    empty.overflowing.push_back(std::move(encoding));
    encoding = std::move(empty);
    return;
  }
  LDLM_CHECK(how.stride < max_length, "truncate", "stride ", how.stride, " is not below the ",
             max_length, " tokens that are left for the text");
  const std::size_t step = max_length - how.stride;
  std::vector<Encoding> parts;
  if (how.direction == TextDirection::right) {
    for (std::size_t begin = 0, end = 0; end < n; begin += step) {
      end = std::min(begin + max_length, n);
      parts.push_back(slice(encoding, begin, end));
    }
  } else {
    for (std::size_t end = n, begin = n; begin > 0; end -= step) {
      begin = end > max_length ? end - max_length : 0;
      parts.push_back(slice(encoding, begin, end));
    }
  }
  encoding = std::move(parts.front());
  parts.erase(parts.begin());
  encoding.overflowing = std::move(parts);
}

LDLM_BODY void truncate(Encoding& first, Encoding* pair, std::size_t max_length,
                        const Truncation& how) {
  const std::size_t total = first.size() + (pair == nullptr ? 0 : pair->size());
  if (total <= max_length) {
    return;
  }
  const auto cut = [&](Encoding& e, std::size_t n) { truncate(e, n, how); };
  if (max_length == 0) {
    cut(first, 0);
    if (pair != nullptr) {
      cut(*pair, 0);
    }
    return;
  }
  if (how.strategy != Truncation::Strategy::longest_first) {
    const bool second = how.strategy == Truncation::Strategy::only_second;
    LDLM_CHECK(!second || pair != nullptr, "truncate", "strategy only_second needs a second text");
    Encoding& target = second ? *pair : first;
    const std::size_t excess = total - max_length;
    LDLM_CHECK(target.size() > excess, "truncate", "the ", second ? "second" : "first",
               " text has ", target.size(), " tokens, too few to take away ", excess,
               " for max_length");
    return cut(target, target.size() - excess);
  }
  if (pair == nullptr) {
    return cut(first, max_length);
  }
  // The shorter one stays whole if it fits into half; else both get half, the longer one more.
  const bool swapped = first.size() > pair->size();
  std::size_t shorter = std::min(first.size(), pair->size());
  std::size_t longer = shorter > max_length ? shorter : std::max(shorter, max_length - shorter);
  if (shorter + longer > max_length) {
    shorter = max_length / 2;
    longer = shorter + max_length % 2;
  }
  cut(first, swapped ? longer : shorter);
  cut(*pair, swapped ? shorter : longer);
}

LDLM_BODY void pad(Encoding& encoding, std::size_t length, const Padding& how) {
  for (Encoding& part : encoding.overflowing) {
    pad(part, length, how);
  }
  if (encoding.size() >= length) {
    return;
  }
  const std::size_t missing = length - encoding.size();
  const auto fill = [&](auto& field, auto value) {
    field.insert(how.direction == TextDirection::left ? field.begin() : field.end(), missing,
                 value);
  };
  fill(encoding.ids, how.pad_id);
  fill(encoding.type_ids, how.pad_type_id);
  fill(encoding.attention_mask, 0);
  fill(encoding.special_tokens_mask, 1);
  fill(encoding.tokens, how.pad_token);
  fill(encoding.offsets, TextSpan{});
  fill(encoding.byte_offsets, TextSpan{});
  fill(encoding.word_ids, -1);
}

}  // namespace detail

LDLM_BODY void pad(std::vector<Encoding>& encodings, const Padding& how) {
  std::size_t length = how.length.value_or(0);
  if (!how.length) {
    for (const Encoding& encoding : encodings) {
      length = std::max(length, encoding.size());
    }
  }
  if (how.multiple_of > 0) {
    length = (length + how.multiple_of - 1) / how.multiple_of * how.multiple_of;
  }
  for (Encoding& encoding : encodings) {
    detail::pad(encoding, length, how);
  }
}

}  // namespace ldlm
