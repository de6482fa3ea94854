#pragma once
// The bodies of text/bpe.hpp.

#include <ldlm/text/bpe.hpp>

#include <algorithm>
#include <functional>

#include <ldlm/core/error.hpp>
#include <ldlm/core/linkage.hpp>
#include <ldlm/core/utf8.hpp>
#include <ldlm/text/byte_level.hpp>

namespace ldlm {

namespace detail {

LDLM_BODY void MergeTable::reserve(std::size_t merges) {
  entries_.resize(power_of_two(merges * 2 + 2));
}

LDLM_BODY void MergeTable::set(BpeMerge pair, std::uint32_t rank, TokenId merged) {
  Entry& entry = entries_[slot(key_of(pair.first, pair.second))];
  entry = {key_of(pair.first, pair.second), rank, static_cast<PieceId>(merged)};
}

}  // namespace detail

LDLM_BODY BpeModel::BpeModel(Vocabulary vocabulary, std::vector<BpeMerge> merges, Options options)
    : vocabulary_(std::move(vocabulary)), merges_(std::move(merges)), options_(std::move(options)) {
  table_.reserve(merges_.size());
  for (std::size_t rank = 0; rank < merges_.size(); ++rank) {
    const auto [left, right] = merges_[rank];
    const std::string both = vocabulary_.token(left) + vocabulary_.token(right);
    const TokenId merged = vocabulary_.find(both);
    LDLM_CHECK(merged >= 0, "bpe", "merge ", rank + 1, " (\"", vocabulary_.token(left), "\" \"",
               vocabulary_.token(right), "\") makes \"", both, "\", which is no piece");
    table_.set(merges_[rank], static_cast<std::uint32_t>(rank), merged);
  }
  for (std::size_t b = 0; b < 256; ++b) {
    byte_ids_[b] =
        static_cast<PieceId>(vocabulary_.find(to_utf8(std::u32string(1, byte_characters()[b]))));
  }
  if (options_.unk_token) {
    unk_id_ = static_cast<PieceId>(vocabulary_.find(*options_.unk_token));
  }
}

LDLM_BODY void BpeModel::tokenize(std::string_view word, Pieces& out) const {
  out.ids.clear();
  out.sizes.clear();
  if (options_.ignore_merges) {
    if (const TokenId id = vocabulary_.find(to_byte_characters(word)); id >= 0) {
      out.ids.push_back(static_cast<PieceId>(id));
      out.sizes.push_back(static_cast<std::uint32_t>(word.size()));
      return;
    }
  }
  start(word, out);
  if (out.ids.size() <= scan_limit) {
    merge_by_scanning(out);
  } else {
    merge_by_heap(out);
  }
}

LDLM_BODY void BpeModel::start(std::string_view word, Pieces& out) const {
  out.ids.reserve(word.size());
  out.sizes.reserve(word.size());
  for (const char c : word) {
    const PieceId id = byte_ids_[static_cast<unsigned char>(c)];
    if (id >= 0) {
      out.ids.push_back(id);
      out.sizes.push_back(1);
      continue;
    }
    if (!options_.unk_token) {
      continue;
    }
    LDLM_CHECK(unk_id_ >= 0, "bpe", "no piece for byte ",
               static_cast<unsigned>(static_cast<unsigned char>(c)), ", and the unknown token \"",
               *options_.unk_token, "\" is no piece");
    if (options_.fuse_unk && !out.ids.empty() && out.ids.back() == unk_id_) {
      ++out.sizes.back();
    } else {
      out.ids.push_back(unk_id_);
      out.sizes.push_back(1);
    }
  }
}

LDLM_BODY void BpeModel::merge_by_scanning(Pieces& word) const {
  std::size_t n = word.ids.size();
  if (n < 2) {
    return;
  }
  std::array<std::uint32_t, scan_limit> ranks;  // of the pair (i, i + 1)
  for (std::size_t i = 0; i + 1 < n; ++i) {
    ranks[i] = rank(word.ids[i], word.ids[i + 1]);
  }
  PieceId* ids = word.ids.data();
  std::uint32_t* sizes = word.sizes.data();
  while (n > 1) {
    const std::size_t best = static_cast<std::size_t>(
        std::min_element(ranks.begin(), ranks.begin() + (n - 1)) - ranks.begin());
    if (ranks[best] == no_rank) {
      break;
    }
    ids[best] = table_.find(ids[best], ids[best + 1])->merged;
    sizes[best] += sizes[best + 1];
    --n;
    for (std::size_t i = best + 1; i < n; ++i) {
      ids[i] = ids[i + 1];
      sizes[i] = sizes[i + 1];
      ranks[i - 1] = ranks[i];
    }
    if (best > 0) {
      ranks[best - 1] = rank(ids[best - 1], ids[best]);
    }
    if (best + 1 < n) {
      ranks[best] = rank(ids[best], ids[best + 1]);
    }
  }
  word.ids.resize(n);
  word.sizes.resize(n);
}

LDLM_BODY void BpeModel::merge_by_heap(Pieces& word) const {
  widen(word);
  auto& ids = word.ids;
  auto& widths = word.sizes;
  const std::size_t n = ids.size();
  using Entry = std::uint64_t;
  std::vector<Entry> heap;
  const std::size_t room = n + n / 16;  // what merges have made stale is dropped when it is full
  heap.reserve(room);
  const auto rank_at = [&, n](std::size_t i) {
    const std::size_t next = i + widths[i];
    return ids[i] == absorbed || next == n ? no_rank : rank(ids[i], ids[next]);
  };
  const auto is_stale = [&](Entry e) { return rank_at(place_of(e)) != rank_of(e); };
  const auto push = [&](std::size_t i) {
    const std::uint32_t r = rank_at(i);
    if (r == no_rank) {
      return;
    }
    if (heap.size() == room) {
      std::erase_if(heap, is_stale);
      std::make_heap(heap.begin(), heap.end(), std::greater<>());
    }
    heap.push_back(Entry{r} << 32 | i);
    std::push_heap(heap.begin(), heap.end(), std::greater<>());
  };
  for (std::size_t i = 0; i < n; i += widths[i]) {
    push(i);
  }
  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end(), std::greater<>());
    const Entry top = heap.back();
    heap.pop_back();
    if (is_stale(top)) {
      continue;
    }
    const std::size_t i = place_of(top);
    const std::size_t right = i + widths[i];
    const std::uint32_t width = widths[i] + widths[right];
    ids[i] = table_.find(ids[i], ids[right])->merged;
    ids[right] = absorbed;
    widths[i] = widths[i + width - 1] = width;
    push(i);
    if (i > 0) {
      push(i - widths[i - 1]);
    }
  }
  std::size_t kept = 0;
  for (std::size_t i = 0; i < n;) {
    const std::uint32_t width = widths[i];
    ids[kept] = ids[i];
    widths[kept++] = width;
    i += width;
  }
  ids.resize(kept);
  widths.resize(kept);
}

LDLM_BODY void BpeModel::widen(Pieces& word) {
  std::size_t at = 0;
  for (const std::uint32_t size : word.sizes) {
    at += size;
  }
  std::size_t i = word.ids.size();
  if (at == i) {
    return;
  }
  word.ids.resize(at);
  word.sizes.resize(at);
  while (i-- > 0) {
    const PieceId id = word.ids[i];
    const std::uint32_t width = word.sizes[i];
    at -= width;
    std::fill_n(word.ids.begin() + static_cast<std::ptrdiff_t>(at), width, absorbed);
    word.ids[at] = id;
    word.sizes[at] = word.sizes[at + width - 1] = width;
  }
}

}  // namespace ldlm
