#pragma once
// Tiles of a few rows and columns of elements that lie anywhere, gathered into one contiguous run.

#include <ldlm_simd/loops.hpp>
#include <ldlm_simd/transpose.hpp>

namespace ldlm::simd {

/// Where a tile's elements lie: `rows` rows, `across` elements apart, of `columns` elements, `step`
/// apart.
struct TileSteps {
  std::int64_t across, step, rows, columns;
  /// Whether they follow each other in memory.
  [[nodiscard]] bool one_run() const {
    return (step == 1 || columns == 1) && (across == columns || rows == 1);
  }
};

/// The rows of a tile, each contiguous, `step` elements apart.
template <class T>
struct TileRows {
  T* first;
  std::int64_t step;
};

/// A buffer for up to Capacity elements of a tile, row after row.
template <class T, std::int64_t Capacity, class Arch>
class Tile {
  static constexpr std::int64_t few = 8;     // columns, for which rows are stepped along first
  static constexpr std::int64_t whole = 16;  // columns that are worth a call for each row

 public:
  [[nodiscard]] T* data() { return data_; }

  /// Whether a kernel may be called for each row of the tile where it lies.
  static bool in_place(const TileSteps& s) {
    return s.one_run() || (s.step == 1 && s.across != 0 && s.columns >= whole);
  }
  /// The rows themselves if they may stay where they are, else copies of them, here. Rows that
  /// repeat those of the call before are not copied again.
  TileRows<const T> rows(const T* from, const TileSteps& s) {
    if (in_place(s)) {
      return {from, s.across};
    }
    gather(from, s);
    return {data_, s.columns};
  }

 private:
  void gather(const T* from, const TileSteps& s) {
    if (s.across == 0) {
      if (from != from_ || s.columns != columns_ || s.rows > rows_) {
        gather_row(from, s.step, s.columns, data_);
        for (std::int64_t i = s.columns; i < s.rows * s.columns; i *= 2) {
          std::copy_n(data_, std::min(i, s.rows * s.columns - i), data_ + i);
        }
        from_ = from;
        columns_ = s.columns;
        rows_ = s.rows;
      }
      return;
    }
    if (s.across == 1 && s.step != 0) {
      transpose_block<T, Arch>(from, s.step, data_, s.columns, s.columns, s.rows);
    } else if (s.columns < few) {
      for (std::int64_t j = 0; j < s.columns; ++j) {
        for (std::int64_t i = 0; i < s.rows; ++i) {
          data_[i * s.columns + j] = from[i * s.across + j * s.step];
        }
      }
    } else {
      for (std::int64_t i = 0; i < s.rows; ++i) {
        gather_row(from + i * s.across, s.step, s.columns, data_ + i * s.columns);
      }
    }
  }

 public:
  /// Writes the elements to where they belong.
  void scatter(T* to, const TileSteps& s) const {
    if (s.across == 1) {
      transpose_block<T, Arch>(data_, s.columns, to, s.step, s.rows, s.columns);
    } else if (s.columns < few) {
      for (std::int64_t j = 0; j < s.columns; ++j) {
        for (std::int64_t i = 0; i < s.rows; ++i) {
          to[i * s.across + j * s.step] = data_[i * s.columns + j];
        }
      }
    } else {
      for (std::int64_t i = 0; i < s.rows; ++i) {
        unpack<T, Arch>(data_ + i * s.columns, to + i * s.across, s.step, s.columns);
      }
    }
  }

 private:
  static void gather_row(const T* from, std::int64_t step, std::int64_t n, T* to) {
    if (step == 0) {
      std::fill_n(to, n, *from);
    } else {
      pack<T, Arch>(from, step, to, n);
    }
  }

  alignas(64) T data_[Capacity];
  const T* from_ = nullptr;  // what is here, if its rows repeat each other
  std::int64_t rows_ = 0, columns_ = 0;
};

}  // namespace ldlm::simd
