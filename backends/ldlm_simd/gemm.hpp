#pragma once
// Matrix product C = act(alpha A B + beta C + bias) + residual, over a batch.
//
// C is cut into tasks of some rows and columns. A task walks K in blocks; for each it packs its
// rows of A (unless they are still there from the task before), and multiplies them, panel by
// panel, with columns of B, which are packed by all threads together beforehand where several tasks
// need them, else by the task itself. Only outputs are split among threads: the sum of an element
// is always made in the same order, by the same instructions.

#include <algorithm>
#include <atomic>
#include <cstdint>

#include <ldlm_simd/cache_info.hpp>
#include <ldlm_simd/gemm_amx.hpp>
#include <ldlm_simd/gemm_element.hpp>
#include <ldlm_simd/gemm_epilogue.hpp>
#include <ldlm_simd/gemm_skinny.hpp>
#include <ldlm_simd/gemm_workspace.hpp>
#include <ldlm_simd/thread_pool.hpp>

namespace ldlm::simd {

namespace detail {

/// How a product is cut; multiples of the tile where not at an edge. Independent of the number of
/// threads.
struct GemmBlocking {
  std::int64_t k;     // steps of a K block
  std::int64_t rows;  // rows of a task; the last may have up to a tile more
  std::int64_t row_tasks;
  std::int64_t columns;       // columns of a task
  std::int64_t columns_once;  // columns of B that are packed at once, if together
  bool keep_a;                // all K blocks of a task's A are kept for the thread's next task
};

template <class Element, class T, class Arch>
GemmBlocking choose_blocking(std::int64_t m, std::int64_t n, std::int64_t k, bool b_in_panels) {
  using Tile = GemmTile<T, Arch>;
  constexpr std::int64_t tile_rows = Element::rows;
  const CacheSizes& cache = cache_sizes();
  const auto elements = [](std::int64_t bytes) {
    return bytes / static_cast<std::int64_t>(sizeof(T));
  };
  k = std::max(k, Element::k_unit);
  GemmBlocking blocking{};
  // A block of A stays in half of L2 while panels of B pass by, two in the other half; it should be
  // eight tiles high, if A is, so that each element of B that comes from afar is used often.
  const std::int64_t a_most = elements(cache.l2 / 2);
  const std::int64_t high = std::min(8 * tile_rows, round_up(m, tile_rows));
  std::int64_t k_most = std::max<std::int64_t>(128, a_most / std::max(high, 2 * Tile::columns));
  std::int64_t rows_most = a_most / tile_rows * tile_rows;
  if (b_in_panels && m > tile_rows && m <= 2 * tile_rows) {
    // Memory is what counts here: the second of the two tiles that go over a panel finds it in L1,
    // while both ask for the next.
    k_most = elements(cache.l1 / 6) / Tile::columns;
  } else if (k > k_most) {
    // C has to be passed over several times anyway: short blocks of many rows, in a quarter of L2,
    // and the part of C beside them.
    rows_most = round_up(256, tile_rows);
    k_most = std::max<std::int64_t>(128, a_most / 2 / 256);
  }
  blocking.k = round_up(divide_up(k, divide_up(k, k_most)), Element::k_unit);
  constexpr std::int64_t task_work = std::int64_t{1} << 22;
  rows_most =
      std::min(rows_most, std::max<std::int64_t>(1, a_most / blocking.k / tile_rows) * tile_rows);
  if (n * k <= a_most) {
    // All of B stays in L2 too, so that passing over it is cheap: many low blocks of A are shared
    // out evenly, and each is packed by the thread that multiplies it.
    const std::int64_t enough = round_up(divide_up(task_work, n * k), tile_rows);
    rows_most = std::clamp(enough, std::min(8 * tile_rows, rows_most), rows_most);
  }
  blocking.row_tasks = divide_up(m, rows_most);
  blocking.rows = m / blocking.row_tasks / tile_rows * tile_rows;
  const std::int64_t last = m - blocking.rows * (blocking.row_tasks - 1);
  if (blocking.rows == 0 || last >= blocking.rows + tile_rows) {
    blocking.rows = round_up(divide_up(m, blocking.row_tasks), tile_rows);
    blocking.row_tasks = divide_up(m, blocking.rows);
  }
  // Enough work for a task that starting it costs nothing, and little enough to share it out; less
  // where it need not pack. With several K blocks, a task's part of C is passed over several times,
  // and shares L2 with A.
  const std::int64_t columns_least = k <= blocking.k                     ? Tile::columns
                                     : b_in_panels && m <= 2 * tile_rows ? 3 * Tile::columns
                                                                         : 512;
  const std::int64_t columns = std::max(
      (b_in_panels ? task_work / 16 : task_work) / (std::min(blocking.rows, m) * k), columns_least);
  blocking.columns = round_up(divide_up(n, divide_up(n, columns)), Tile::columns);
  blocking.keep_a = k > blocking.k && blocking.rows * k <= elements(cache.l3 / 4);
  const std::int64_t b_most = elements(std::clamp<std::int64_t>(cache.l3 / 4, 1 << 20, 16 << 20));
  blocking.columns_once = round_up(std::max<std::int64_t>(1, b_most / k), blocking.columns);
  blocking.columns_once = std::min(blocking.columns_once, round_up(n, Tile::columns));
  return blocking;
}

/// The part of a product that one task makes.
struct GemmTask {
  std::int64_t row, rows, column, columns;
};

/// Panels of B of all of K that were packed for all tasks, the first of them starting at `column`.
template <class T>
struct GemmPanels {
  const T* data = nullptr;  // null: each task packs its own
  std::int64_t column = 0;
  std::int64_t lanes = 0;  // of each panel; 0: of a tile, and of the last as few as it needs
};

/// Whether B lies in panels already. (Elements of other sizes are packed from them.)
template <class Element, class T>
bool is_in_panels(const Gemm<T>& g) {
  return Element::steps == 1 && is_packed(g) && g.b_packed.format == WeightFormat::f32;
}

/// One matrix of a batch, ready to be multiplied. K is counted in packed elements of Element.
template <class Element, class T, class Arch>
class GemmMatrix {
 public:
  GemmMatrix(const Gemm<T>& g, const GemmBlocking& blocking, std::uint64_t product,
             std::int64_t batch, const GemmPanels<T>& shared_b)
      : g_(g), k_(packed_k(g)), blocking_(blocking), key_{product, batch, 0}, shared_b_(shared_b) {
    const bool reads_c = g.beta != T{0} || (g.residual != nullptr && g.residual == g.c);
    adds_to_c_ = g.beta == T{1} && !has_epilogue(g);
    sums_in_c_ = !reads_c || adds_to_c_;
    // Nobody looks at C while it could be in a cache.
    const std::int64_t bytes = g.m * g.c_row * static_cast<std::int64_t>(sizeof(T));
    streams_c_ = !reads_c && !has_epilogue(g) && k_ <= blocking.k && bytes > 4 * cache_sizes().l2 &&
                 can_stream<T, Arch>(g.c, g.c_row);
    asks_ = std::is_same_v<T, float> && Element::steps == 1 && shared_b.data == nullptr &&
            (g.b_row == 1 || g.b_col == 1) &&
            g.n * g.k * static_cast<std::int64_t>(sizeof(T)) > cache_sizes().l2;
  }

  /// Packed elements along k.
  static std::int64_t packed_k(const Gemm<T>& g) {
    return round_up(divide_up(g.k, Element::steps), Element::k_unit);
  }

  void multiply(const GemmTask& task) {
    [[maybe_unused]] const typename Element::Session session;
    GemmWorkspace<T, Arch>& workspace = GemmWorkspace<T, Arch>::local();
    T* const sums = workspace.sums.reserve(sums_in_c_ || k_ <= blocking_.k
                                               ? Element::rows * Tile::columns
                                               : round_up(task.rows, Element::rows) *
                                                     round_up(task.columns, Tile::columns));
    const std::int64_t passes = divide_up(task.rows, Element::rows);
    for (std::int64_t step = 0; step == 0 || step < k_; step += blocking_.k) {
      const std::int64_t steps = std::min(blocking_.k, k_ - step);
      const T* const a = pack_a(workspace, task, step, steps);
      T* sum = sums;
      for (std::int64_t j = 0; j < task.columns; j += Tile::columns) {
        const std::int64_t columns = std::min(Tile::columns, task.columns - j);
        const std::int64_t lanes = round_up(columns, W);
        GemmPanel<T> b = panel_of_b(workspace, task.column + j, columns, step, steps, passes);
        if (asks_ && j + Tile::columns < task.columns) {
          ask_for(b, task.column + j + Tile::columns, step, steps, passes);
        } else if (asks_ && step + steps < k_) {
          ask_for(b, task.column, step + steps, steps, passes);
        }
        const T* a_strip = a;
        for (std::int64_t i = 0; i < task.rows;) {
          const std::int64_t rows = Element::tile_rows(task.rows - i);
          multiply_one(task.row + i, std::min(rows, task.rows - i), task.column + j, columns, rows,
                       lanes, step, steps, a_strip, b, sum);
          a_strip += rows * steps;
          i += rows;
          if (b.next != nullptr) {
            b.next += b.advance_tile;
          }
          if (!sums_in_c_ && k_ > blocking_.k) {
            sum += Element::rows * Tile::columns;
          }
        }
      }
    }
    if (streams_c_) {
      finish_streaming<Arch>();
    }
  }

  /// Packs all of K of `columns` columns of B, one panel after the other.
  static void pack_panels(const Gemm<T>& g, std::int64_t column, std::int64_t columns, T* out) {
    if constexpr (std::is_same_v<T, float>) {
      if (is_packed(g) && g.b_packed.format == WeightFormat::f32) {
        for (std::int64_t j = 0; j < columns; j += Tile::columns) {
          const std::int64_t count = std::min(Tile::columns, columns - j);
          const float* const from = g.b_packed.panel((column + j) / panel_rows);
          Element::pack_b({from + (column + j) % panel_rows, count, count, g.k, 1, panel_rows},
                          round_up(count, W), out + j * packed_k(g));
        }
        return;
      }
      if (is_packed(g)) {
        T* const plain = GemmWorkspace<T, Arch>::local().b.reserve(Tile::columns * g.k + W);
        Gemm<T> expanded = g;
        expanded.b_packed = {};
        expanded.b = plain;
        expanded.b_row = 1;
        expanded.b_col = g.k;
        for (std::int64_t j = 0; j < columns; j += Tile::columns) {
          const std::int64_t count = std::min(Tile::columns, columns - j);
          expand_columns<Arch>(g.b_packed, column + j, count, plain);
          pack_panels(expanded, 0, count, out + j * packed_k(g));
        }
        return;
      }
    }
    const std::int64_t rest = columns % Tile::columns;
    const std::int64_t wide = rest <= W ? columns - rest : columns;
    const T* const b = g.b + column * g.b_col;
    Element::pack_b({b, wide, wide, g.k, g.b_col, g.b_row}, Tile::columns, out);
    Element::pack_b({b + wide * g.b_col, columns - wide, columns - wide, g.k, g.b_col, g.b_row}, W,
                    out + wide * packed_k(g));
  }

 private:
  using Tile = GemmTile<T, Arch>;
  static constexpr std::int64_t W = width<T, Arch>;

  /// The task's rows of A, packed; from an earlier task if they are still there.
  const T* pack_a(GemmWorkspace<T, Arch>& workspace, const GemmTask& task, std::int64_t step,
                  std::int64_t steps) {
    const std::int64_t rows_packed = blocking_.rows + Element::rows;
    T* packed = workspace.a.reserve(rows_packed * (blocking_.keep_a ? k_ : steps) + W);
    GemmBlockKey key = key_;
    key.row = task.row;
    if (workspace.a_key != key) {
      workspace.a_key = key;
      workspace.a_first = workspace.a_last = 0;
    }
    if (blocking_.keep_a) {
      packed += rows_packed * step;
    } else if (workspace.a_first != step) {
      workspace.a_first = workspace.a_last = step;
    }
    if (workspace.a_last >= step + steps) {
      return packed;
    }
    workspace.a_last = step + steps;
    // Full tiles first, all at once, then what is left.
    T* out = packed;
    const auto pack_rows = [&](std::int64_t i, std::int64_t count, std::int64_t height) {
      const std::int64_t row = task.row + i;
      Element::pack_a(
          {g_.a + row * g_.a_row + step * Element::steps * g_.a_col, count,
           count % height != 0 ? count : g_.m - row, elements_of(step, steps), g_.a_row, g_.a_col},
          height, out);
      out += round_up(count, height) * steps;
    };
    std::int64_t full = 0;
    while (task.rows - full >= Element::rows &&
           Element::tile_rows(task.rows - full) == Element::rows) {
      full += Element::rows;
    }
    pack_rows(0, full, Element::rows);
    for (std::int64_t i = full; i < task.rows;) {
      const std::int64_t height = Element::tile_rows(task.rows - i);
      pack_rows(i, std::min(height, task.rows - i), height);
      i += height;
    }
    return packed;
  }

  /// The steps [step, step + steps) of the panel at `column`, which `passes` tiles will go over.
  GemmPanel<T> panel_of_b(GemmWorkspace<T, Arch>& workspace, std::int64_t column,
                          std::int64_t columns, std::int64_t step, std::int64_t steps,
                          std::int64_t passes) {
    if (shared_b_.lanes > 0) {
      const std::int64_t lane = column % shared_b_.lanes;
      const T* const panel = shared_b_.data + (column - lane) * k_ + lane;
      return weights(panel + step * shared_b_.lanes, steps, passes);
    }
    const std::int64_t lanes = round_up(columns, W);
    if (shared_b_.data != nullptr) {
      return {shared_b_.data + (column - shared_b_.column) * k_ + step * lanes, lanes};
    }
    T* const panel = workspace.b.reserve(Tile::columns * std::max<std::int64_t>(steps, 1) + W);
    Element::pack_b({g_.b + step * Element::steps * g_.b_row + column * g_.b_col, columns, columns,
                     elements_of(step, steps), g_.b_col, g_.b_row},
                    lanes, panel);
    return {panel, lanes};
  }
  /// A panel of weights, which come from memory. A single pass asks for what it reads itself 2 KiB
  /// later; of several, each asks for a part of the next panel.
  GemmPanel<T> weights(const T* panel, std::int64_t steps, std::int64_t passes) const {
    constexpr std::int64_t size = sizeof(T), two_steps = 2 * panel_rows * size;
    GemmPanel<T> out{panel, panel_rows};
    out.next = reinterpret_cast<const char*>(panel + (passes == 1 ? 2048 / size : panel_rows * k_));
    out.advance = two_steps / passes;
    out.advance_tile = steps / 2 * out.advance;
    return out;
  }
  /// Has the `passes` tiles that go over `panel` ask for the part of B that is packed next.
  void ask_for(GemmPanel<T>& panel, std::int64_t column, std::int64_t step, std::int64_t steps,
               std::int64_t passes) const {
    constexpr std::int64_t size = sizeof(T);
    panel.next = reinterpret_cast<const char*>(g_.b + step * g_.b_row + column * g_.b_col);
    if (g_.b_col == 1) {  // some rows of the panel in each pass
      const std::int64_t rows = divide_up(steps, passes);
      panel.every = std::max<std::int64_t>(1, steps / 2 / rows);
      panel.advance = g_.b_row * size;
      panel.advance_tile = rows * panel.advance;
    } else {  // some lines of every column
      panel.every = std::max<std::int64_t>(1, steps / 2 / Tile::columns);
      panel.advance = g_.b_col * size;
      panel.advance_tile = divide_up(divide_up(steps * size, 64), passes) * 64;
    }
  }

  /// One tile of C at (i, j): `rows` x `columns` valid of height x lanes.
  void multiply_one(std::int64_t i, std::int64_t rows, std::int64_t j, std::int64_t columns,
                    std::int64_t height, std::int64_t lanes, std::int64_t step, std::int64_t steps,
                    const T* a, const GemmPanel<T>& b, T* sum) {
    const bool last = step + steps >= k_;
    const TileStore to_sums = step > 0 ? TileStore::add : TileStore::replace;
    if (!sums_in_c_) {
      Element::multiply(height, lanes, steps, a, b, g_.alpha, sum, Tile::columns, to_sums);
      if (last) {
        finish_block<T, Arch>(g_, i, j, rows, columns, sum, Tile::columns, g_.beta);
      }
      return;
    }
    T* const c = g_.c + i * g_.c_row + j;
    const TileStore to_c = adds_to_c_ ? TileStore::add : streams_c_ ? TileStore::stream : to_sums;
    if (rows == height && columns == lanes) {
      Element::multiply(height, lanes, steps, a, b, g_.alpha, c, g_.c_row, to_c);
    } else {
      Element::multiply(height, lanes, steps, a, b, g_.alpha, sum, Tile::columns,
                        TileStore::replace);
      Gemm<T> plain;
      plain.c = g_.c;
      plain.c_row = g_.c_row;
      finish_block<T, Arch>(plain, i, j, rows, columns, sum, Tile::columns,
                            to_c == TileStore::add ? T{1} : T{0});
    }
    if (last && has_epilogue(g_)) {
      finish_block<T, Arch>(g_, i, j, rows, columns, c, g_.c_row, T{0});
    }
  }

  /// Steps of K that `steps` packed elements from `step` on hold.
  [[nodiscard]] std::int64_t elements_of(std::int64_t step, std::int64_t steps) const {
    return std::min(steps * Element::steps, g_.k - step * Element::steps);
  }

  Gemm<T> g_;
  std::int64_t k_;
  GemmBlocking blocking_;
  GemmBlockKey key_;
  GemmPanels<T> shared_b_;
  bool adds_to_c_;  // C is only added to
  bool sums_in_c_;  // unfinished sums may lie in C
  bool streams_c_;  // C is written past the caches
  bool asks_;       // B comes from afar, and each of its panels is packed once
};

/// The batch's matrix number `index`.
template <class T>
Gemm<T> matrix_of_batch(const Gemm<T>& g, std::int64_t index) {
  Gemm<T> one = g;
  one.batch_rank = 0;
  std::int64_t c_offset = 0;
  for (int axis = g.batch_rank - 1; axis >= 0; --axis) {
    const std::int64_t at = index % g.batch_shape[axis];
    index /= g.batch_shape[axis];
    one.a += at * g.a_batch[axis];
    one.b += at * g.b_batch[axis];
    c_offset += at * g.c_batch[axis];
  }
  const auto move = [c_offset](auto*& pointer) {
    if (pointer != nullptr) {
      pointer += c_offset;
    }
  };
  move(one.c);
  move(one.pre_activation);
  move(one.residual);
  return one;
}

/// All products of a batch, packed as Element says; `product` is the number of this call.
template <class Element, class T, class Arch>
void multiply_packed(const Gemm<T>& g, std::int64_t batches, std::uint64_t product) {
  using Tile = GemmTile<T, Arch>;
  using Matrix = GemmMatrix<Element, T, Arch>;
  const std::int64_t k = Matrix::packed_k(g);
  const GemmBlocking blocking =
      choose_blocking<Element, T, Arch>(g.m, g.n, k, is_in_panels<Element>(g));
  const std::int64_t row_tasks = blocking.row_tasks;
  // Multiplies the columns [first, last) of the batch's matrices [batch, batch + count).
  const auto multiply = [&](std::int64_t batch, std::int64_t count, std::int64_t first,
                            std::int64_t last, const GemmPanels<T>& shared_b) {
    const std::int64_t column_tasks = divide_up(last - first, blocking.columns);
    const std::int64_t work = std::min(blocking.rows, g.m) *
                              std::min(blocking.columns, last - first) *
                              std::max<std::int64_t>(k, 1);
    const std::int64_t grain = std::max<std::int64_t>(1, (1 << 16) / work);
    parallel_for(0, count * row_tasks * column_tasks, grain, [&](std::int64_t lo, std::int64_t hi) {
      for (std::int64_t task = lo; task < hi; ++task) {
        const std::int64_t index = batch + task / (row_tasks * column_tasks);
        const std::int64_t row_task = task / column_tasks % row_tasks;
        const std::int64_t row = row_task * blocking.rows;
        const std::int64_t column = first + task % column_tasks * blocking.columns;
        Matrix(matrix_of_batch(g, index), blocking, product, index, shared_b)
            .multiply({row, row_task + 1 < row_tasks ? blocking.rows : g.m - row, column,
                       std::min(blocking.columns, last - column)});
      }
    });
  };
  if constexpr (std::is_same_v<T, float>) {
    if (is_in_panels<Element>(g)) {
      multiply(0, 1, 0, g.n, {g.b_packed.panel(0), 0, panel_rows});
      return;
    }
  }
  if (row_tasks == 1 && !is_packed(g)) {
    multiply(0, batches, 0, g.n, {});
    return;
  }
  // Several tasks need each panel of B, or it has to be made of a packed one.
  T* const packed = GemmWorkspace<T, Arch>::local().shared_b.reserve(
      blocking.columns_once * std::max<std::int64_t>(k, 1) + width<T, Arch>);
  for (std::int64_t batch = 0; batch < batches; ++batch) {
    const Gemm<T> one = matrix_of_batch(g, batch);
    for (std::int64_t first = 0; first < g.n; first += blocking.columns_once) {
      const std::int64_t last = std::min(g.n, first + blocking.columns_once);
      parallel_for(first, last, 4 * Tile::columns, [&](std::int64_t lo, std::int64_t hi) {
        Matrix::pack_panels(one, lo, hi - lo, packed + (lo - first) * k);
      });
      multiply(batch, 1, first, last, {packed, first, 0});
    }
  }
}

}  // namespace detail

/// The kernel table's gemm; see Gemm for what it computes.
template <class T, class Arch>
void gemm(const Gemm<T>& args) {
  Gemm<T> g = args;
  std::int64_t batches = 1;
  for (int axis = 0; axis < g.batch_rank; ++axis) {
    batches *= g.batch_shape[axis];
  }
  if (g.m <= 0 || g.n <= 0 || batches <= 0) {
    return;
  }
  if (g.k <= 0) {  // A and B have no elements, so that even their addresses may not be moved
    g.a_row = g.a_col = g.b_row = g.b_col = 0;
    std::fill_n(g.a_batch, max_batch_rank, 0);
    std::fill_n(g.b_batch, max_batch_rank, 0);
  }
  if (g.n == 1 && g.c_row == 1 && g.bias == nullptr && !detail::is_packed(g)) {
    // A column is a row of the transposed product, C' = B' A'.
    std::swap(g.m, g.n);
    std::swap(g.a, g.b);
    std::swap(g.a_row, g.b_col);
    std::swap(g.a_col, g.b_row);
    std::swap(g.a_batch, g.b_batch);
    g.c_row = g.n;
  }
  static std::atomic<std::uint64_t> products{0};
  const std::uint64_t product = products.fetch_add(1, std::memory_order_relaxed) + 1;
  if (is_skinny<T, Arch>(g)) {
    if (const std::int64_t parts = skinny_parts<T, Arch>(g); batches == 1 && parts > 1) {
      return multiply_skinny_in_parts<T, Arch>(detail::matrix_of_batch(g, 0), parts, product);
    }
    constexpr std::int64_t unit = 8 * width<T, Arch>;  // columns: whole cache lines of C
    const std::int64_t units = detail::divide_up(g.n, unit);
    std::int64_t grain = std::max<std::int64_t>(1, (1 << 15) / (g.m * g.k * unit));
    if (g.b_row != 1 && !detail::is_packed(g)) {  // rows of B are read best in long pieces
      grain = std::max(grain, detail::divide_up(batches * units, num_threads()));
    }
    parallel_for(0, batches * units, grain, [&](std::int64_t lo, std::int64_t hi) {
      for (std::int64_t at = lo; at < hi;) {
        const std::int64_t batch = at / units;
        const std::int64_t end = std::min(hi, (batch + 1) * units);
        multiply_skinny<T, Arch>(detail::matrix_of_batch(g, batch), (at - batch * units) * unit,
                                 std::min(g.n, (end - batch * units) * unit), {product, batch, 0});
        at = end;
      }
    });
    return;
  }
  if constexpr (compiled_with_amx<T, Arch>) {
    if (g.allow_bf16 && GemmAmx<Arch>::available()) {
      return detail::multiply_packed<GemmAmx<Arch>, T, Arch>(g, batches, product);
    }
  }
  detail::multiply_packed<GemmSingles<T, Arch>, T, Arch>(g, batches, product);
}

}  // namespace ldlm::simd
