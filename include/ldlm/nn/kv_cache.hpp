#pragma once
// KvCache: the keys and values of the positions already seen, for decoding step by step.

#include <vector>

#include <ldlm/core/ops.hpp>

namespace ldlm {

/// Keys and values (B, H, T, D) in memory that is reserved once: appending never moves the past.
/// Moved, not copied: two of them would write into the same memory.
template <Floating T = float>
class KvCache {
 public:
  KvCache() = default;
  /// Room for `capacity` positions.
  KvCache(std::int64_t batch, std::int64_t heads, std::int64_t capacity, std::int64_t head_dim,
          Device device = cpu)
      : keys_(Tensor<T>::empty({batch, heads, capacity, head_dim}, device)),
        values_(Tensor<T>::empty({batch, heads, capacity, head_dim}, device)) {}

  KvCache(const KvCache&) = delete;
  KvCache& operator=(const KvCache&) = delete;
  KvCache(KvCache&&) noexcept = default;
  KvCache& operator=(KvCache&&) noexcept = default;
  ~KvCache() = default;

  /// Positions filled so far.
  [[nodiscard]] std::int64_t size() const noexcept { return size_; }
  [[nodiscard]] std::int64_t capacity() const noexcept { return extent(2); }
  [[nodiscard]] std::int64_t batch() const noexcept { return extent(0); }
  /// Views of the filled part, (B, H, size, D). They see later changes of the cache.
  [[nodiscard]] Tensor<T> keys() const { return filled(keys_); }
  [[nodiscard]] Tensor<T> values() const { return filled(values_); }

  /// Writes keys and values (B, H, T, D), of any strides, behind the past. Throws when full.
  void append(const Tensor<T>& k, const Tensor<T>& v) {
    check_fit(k, v, k.rank() == 4 ? k.size(2) : 0);
    const std::int64_t end = size_ + k.size(2);
    LDLM_CHECK_INDEX(end <= capacity(), "KvCache", "is full: ", size_, " of ", capacity(),
                     " positions are taken, ", k.size(2), " more do not fit");
    keys_.slice(2, size_, end).copy_(k);
    values_.slice(2, size_, end).copy_(v);
    size_ = end;
  }

  /// Writes keys and values (B, H, 1, D) to a position (1) that is on the cache's device, and does
  /// not count it: for work that is recorded (see device_graph.hpp) and then runs for one position
  /// after the other.
  void write(const Tensor<T>& k, const Tensor<T>& v, const Tensor<std::int64_t>& position) const {
    check_fit(k, v, 1);
    LDLM_CHECK_SHAPE(position.shape() == Shape{1}, "KvCache", "writes to one position (1), got ",
                     to_string(position.shape()));
    index_copy_(keys_.transpose(0, 2), position, k.transpose(0, 2));
    index_copy_(values_.transpose(0, 2), position, v.transpose(0, 2));
  }
  /// Views of all that is reserved, (B, H, capacity, D). What was not written is
  /// undefined.
  [[nodiscard]] const Tensor<T>& reserved_keys() const { return keys_; }
  [[nodiscard]] const Tensor<T>& reserved_values() const { return values_; }
  /// Counts so many more positions, which were written.
  void advance(std::int64_t positions) {
    LDLM_CHECK(positions >= 0, "KvCache", "cannot count ", positions, " positions");
    LDLM_CHECK_INDEX(positions <= capacity() - size_, "KvCache", "is full: ", size_, " of ",
                     capacity(), " positions are taken, ", positions, " more do not fit");
    size_ += positions;
  }

  /// Sequence b becomes what sequence indices[b] was, as beams do; only the rows that change are
  /// moved. With another number of indices than the batch has sequences, the batch changes size.
  void reorder(const Tensor<std::int64_t>& indices) {
    LDLM_CHECK_STATE(indices.defined(), "KvCache", "the indices are undefined");
    LDLM_CHECK_SHAPE(indices.rank() == 1, "KvCache", "reorder needs one axis of indices, got ",
                     to_string(indices.shape()));
    detail::check_indices(indices, batch(), "KvCache");
    const std::vector<std::int64_t> sources = indices.to_vector();
    if (indices.numel() == batch()) {
      move_rows(sources);
    } else {
      resize(sources);
    }
  }

  /// Keeps the first `size` positions only.
  void truncate(std::int64_t size) {
    LDLM_CHECK_INDEX(size >= 0 && size <= size_, "KvCache", "cannot keep ", size, " of ", size_,
                     " positions");
    size_ = size;
  }
  /// Forgets everything; the memory stays reserved.
  void reset() noexcept { size_ = 0; }

 private:
  // Throws unless there is a cache, and keys and values (B, H, T, D) are of it, but for
  // `positions`.
  void check_fit(const Tensor<T>& k, const Tensor<T>& v, std::int64_t positions) const {
    LDLM_CHECK_STATE(keys_.defined(), "KvCache", "has no capacity: it was default-constructed");
    LDLM_CHECK_STATE(k.defined() && v.defined(), "KvCache", "keys or values are undefined");
    Shape expected = keys_.shape();
    expected[2] = positions;
    LDLM_CHECK_SHAPE(k.shape() == expected && v.shape() == expected, "KvCache", "keys ",
                     to_string(k.shape()), " and values ", to_string(v.shape()),
                     " do not fit a cache of ", to_string(keys_.shape()));
  }
  [[nodiscard]] std::int64_t extent(int axis) const noexcept {
    return keys_.defined() ? keys_.shape()[axis] : 0;
  }
  [[nodiscard]] Tensor<T> filled(const Tensor<T>& all) const {
    return all.defined() ? all.slice(2, 0, size_) : all;
  }
  void copy_row(std::int64_t from, std::int64_t to) const {
    keys().select(0, to).copy_(keys().select(0, from));
    values().select(0, to).copy_(values().select(0, from));
  }

  // A parallel assignment in place: a row is overwritten once nobody needs it any more; what then
  // remains are cycles, each broken by one saved row.
  void move_rows(std::vector<std::int64_t> source) const {
    const auto at = [](std::vector<std::int64_t>& v, std::int64_t i) -> std::int64_t& {
      return v[static_cast<std::size_t>(i)];
    };
    const std::int64_t rows = batch();
    std::vector<std::int64_t> readers(source.size(), 0);
    for (std::int64_t b = 0; b < rows; ++b) {
      at(readers, at(source, b)) += at(source, b) != b ? 1 : 0;
    }
    std::vector<std::int64_t> free;
    for (std::int64_t b = 0; b < rows; ++b) {
      if (at(source, b) != b && at(readers, b) == 0) {
        free.push_back(b);
      }
    }
    while (!free.empty()) {
      const std::int64_t to = free.back();
      free.pop_back();
      const std::int64_t from = std::exchange(at(source, to), to);
      copy_row(from, to);
      if (--at(readers, from) == 0 && at(source, from) != from) {
        free.push_back(from);
      }
    }
    for (std::int64_t b = 0; b < rows; ++b) {
      if (at(source, b) == b) {
        continue;
      }
      const Tensor<T> key = keys().select(0, b).clone();
      const Tensor<T> value = values().select(0, b).clone();
      std::int64_t to = b;
      while (at(source, to) != b) {
        const std::int64_t from = std::exchange(at(source, to), to);
        copy_row(from, to);
        to = from;
      }
      at(source, to) = to;
      keys().select(0, to).copy_(key);
      values().select(0, to).copy_(value);
    }
  }

  void resize(const std::vector<std::int64_t>& sources) {
    KvCache wider(static_cast<std::int64_t>(sources.size()), extent(1), capacity(), extent(3),
                  keys_.device());
    wider.size_ = size_;
    for (std::size_t i = 0; i < sources.size(); ++i) {
      const auto to = static_cast<std::int64_t>(i);
      wider.keys().select(0, to).copy_(keys().select(0, sources[i]));
      wider.values().select(0, to).copy_(values().select(0, sources[i]));
    }
    *this = std::move(wider);
  }

  Tensor<T> keys_, values_;  // (B, H, capacity, D)
  std::int64_t size_ = 0;
};

}  // namespace ldlm
