#pragma once
// Tiles of a few rows and columns of elements that lie anywhere, gathered into one contiguous run.

#include <ldlm_simd/loops.hpp>
#include <ldlm_simd/transpose.hpp>

namespace ldlm::simd {

/// The largest size of an element of a tile, in bytes.
inline constexpr std::int64_t max_element = 8;

/// The bytes of a T, which is one of the types that tiles move: float, double and small ones.
template <class T>
requires(std::is_same_v<T, float> || std::is_same_v<T, double> ||
         sizeof(T) == 1) inline constexpr auto element_size = static_cast<std::int64_t>(sizeof(T));

/// Calls move(null pointer to the type that elements of `size` bytes are moved as).
template <class Move>
void with_element(std::int64_t size, const Move& move) {
  switch (size) {
    case 1:
      return move(static_cast<unsigned char*>(nullptr));
    case 4:
      return move(static_cast<float*>(nullptr));
    default:
      return move(static_cast<double*>(nullptr));
  }
}

/// Where a tile's elements lie: `rows` rows, `across` elements apart, of `columns` elements, `step`
/// apart, of `size` bytes.
struct TileSteps {
  std::int64_t across, step, rows, columns, size;
};

/// The rows of a tile, each contiguous, `step` elements apart.
struct TileRows {
  std::byte* first;
  std::int64_t step;
};

/// A buffer for up to Capacity elements of a tile, row after row.
template <std::int64_t Capacity, class Arch>
class Tile {
  static constexpr std::int64_t few = 8;     // columns, for which rows are stepped along first
  static constexpr std::int64_t whole = 16;  // columns that are worth a call for each row

 public:
  [[nodiscard]] std::byte* data() { return data_; }

  /// Whether a tile's elements follow each other in memory.
  static bool one_run(const TileSteps& s) {
    return (s.step == 1 || s.columns == 1) && (s.across == s.columns || s.rows == 1);
  }
  /// Whether a kernel may be called for each row of the tile where it lies.
  static bool in_place(const TileSteps& s) {
    return one_run(s) || (s.step == 1 && s.across != 0 && s.columns >= whole);
  }
  /// The rows themselves if they may stay where they are, else copies of them, here. Rows that
  /// repeat those of the call before are not copied again.
  TileRows rows(std::byte* from, const TileSteps& s) {
    if (in_place(s)) {
      return {from, s.across};
    }
    if (s.across != 0 || from != from_ || s.columns != columns_ || s.rows > rows_) {
      with_element(s.size, [&]<class T>(T*) { gather<T>(reinterpret_cast<const T*>(from), s); });
      from_ = s.across == 0 ? from : nullptr;
      columns_ = s.columns;
      rows_ = s.rows;
    }
    return {data_, s.columns};
  }
  /// Writes the elements to where they belong.
  void scatter(std::byte* to, const TileSteps& s) const {
    with_element(s.size, [&]<class T>(T*) { scatter<T>(reinterpret_cast<T*>(to), s); });
  }

  /// The same for one row of n elements of `size` bytes.
  void gather_row(const std::byte* from, std::int64_t step, std::int64_t n, std::int64_t size) {
    with_element(size, [&]<class T>(T*) {
      gather_row<T>(reinterpret_cast<const T*>(from), step, n, elements<T>());
    });
  }
  void scatter_row(std::byte* to, std::int64_t step, std::int64_t n, std::int64_t size) const {
    with_element(size, [&]<class T>(T*) {
      unpack<T, Arch>(elements<T>(), reinterpret_cast<T*>(to), step, n);
    });
  }

 private:
  template <class T>
  [[nodiscard]] T* elements() {
    return reinterpret_cast<T*>(data_);
  }
  template <class T>
  [[nodiscard]] const T* elements() const {
    return reinterpret_cast<const T*>(data_);
  }

  template <class T>
  void gather(const T* from, const TileSteps& s) {
    T* const to = elements<T>();
    if (s.across == 0) {
      gather_row(from, s.step, s.columns, to);
      for (std::int64_t i = s.columns; i < s.rows * s.columns; i *= 2) {
        std::copy_n(to, std::min(i, s.rows * s.columns - i), to + i);
      }
    } else if (s.across == 1 && s.step != 0) {
      transpose_block<T, Arch>(from, s.step, to, s.columns, s.columns, s.rows);
    } else if (s.columns < few) {
      for (std::int64_t j = 0; j < s.columns; ++j) {
        for (std::int64_t i = 0; i < s.rows; ++i) {
          to[i * s.columns + j] = from[i * s.across + j * s.step];
        }
      }
    } else {
      for (std::int64_t i = 0; i < s.rows; ++i) {
        gather_row(from + i * s.across, s.step, s.columns, to + i * s.columns);
      }
    }
  }
  template <class T>
  void scatter(T* to, const TileSteps& s) const {
    const T* const from = elements<T>();
    if (s.across == 1) {
      transpose_block<T, Arch>(from, s.columns, to, s.step, s.rows, s.columns);
    } else if (s.columns < few) {
      for (std::int64_t j = 0; j < s.columns; ++j) {
        for (std::int64_t i = 0; i < s.rows; ++i) {
          to[i * s.across + j * s.step] = from[i * s.columns + j];
        }
      }
    } else {
      for (std::int64_t i = 0; i < s.rows; ++i) {
        unpack<T, Arch>(from + i * s.columns, to + i * s.across, s.step, s.columns);
      }
    }
  }
  template <class T>
  static void gather_row(const T* from, std::int64_t step, std::int64_t n, T* to) {
    if (step == 0) {
      std::fill_n(to, n, *from);
    } else {
      pack<T, Arch>(from, step, to, n);
    }
  }

  alignas(64) std::byte data_[Capacity * max_element];
  const std::byte* from_ = nullptr;  // what is here, if its rows repeat each other
  std::int64_t rows_ = 0, columns_ = 0;
};

}  // namespace ldlm::simd
