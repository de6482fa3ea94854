#pragma once
// A product through packed blocks. A task walks K in blocks; for each it packs its rows of A
// (unless they are still there from the task before), and multiplies them, panel by panel, with
// columns of B, which are packed by all threads together beforehand where several tasks need them,
// else by the task itself. Only outputs are split among threads: the sum of an element is always
// made in the same order, by the same instructions.

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include <ldlm_simd/gemm/columns.hpp>
#include <ldlm_simd/gemm/epilogue.hpp>
#include <ldlm_simd/gemm/operands.hpp>
#include <ldlm_simd/gemm/pack.hpp>
#include <ldlm_simd/gemm/workspace.hpp>
#include <ldlm_simd/thread_pool.hpp>

namespace ldlm::simd::detail {

/// Panels of B of all of K that were packed for all tasks, the first of them starting at `column`.
template <class T>
struct GemmPanels {
  const T* data = nullptr;  // null: each task packs its own
  std::int64_t column = 0;
  std::int64_t lanes = 0;  // of each panel; 0: of a tile, and of the last as few as it needs
};

/// One matrix of a batch, ready to be multiplied. K is counted in packed elements of Element.
template <class Element, class T, class Arch>
class GemmMatrix {
 public:
  GemmMatrix(const Gemm<T>& g, const GemmPlan& plan, std::uint64_t product, std::int64_t batch,
             const GemmPanels<T>& shared_b)
      : g_(g), k_(packed_k(g)), plan_(plan), key_{product, batch, 0}, shared_b_(shared_b) {
    const bool reads_c = g.beta != T{0} || (g.residual != nullptr && g.residual == g.c);
    adds_to_c_ = g.beta == T{1} && !has_epilogue(g);
    sums_in_c_ = !reads_c || adds_to_c_;
    streams_c_ = !reads_c && !has_epilogue(g) && plan.far_c && can_stream<T, Arch>(g.c, g.c_row);
    prefetches_b_ = has_special_loops<T> && Element::steps == 1 && plan.far_b &&
                    shared_b.data == nullptr && (g.b_row == 1 || g.b_col == 1);
  }

  /// Packed elements along k.
  static std::int64_t packed_k(const Gemm<T>& g) {
    return round_up(divide_up(g.k, Element::steps), Element::k_unit);
  }

  void multiply(const GemmTask& task) {
    [[maybe_unused]] const typename Element::Session session;
    GemmWorkspace<T, Arch>& workspace = GemmWorkspace<T, Arch>::local();
    T* const sums = workspace.sums.reserve(sums_in_c_ || k_ <= plan_.k
                                               ? Element::rows * Tile::columns
                                               : round_up(task.rows, Element::rows) *
                                                     round_up(task.columns, Tile::columns));
    const std::int64_t passes = divide_up(task.rows, Element::rows);
    for (std::int64_t step = 0; step == 0 || step < k_; step += plan_.k) {
      const std::int64_t steps = std::min(plan_.k, k_ - step);
      const T* const a = pack_a(workspace, task, step, steps);
      T* sum = sums;
      for (std::int64_t j = 0; j < task.columns; j += Tile::columns) {
        const std::int64_t columns = std::min(Tile::columns, task.columns - j);
        const std::int64_t lanes = round_up(columns, Tile::least_columns);
        GemmPanel<T> b = panel_of_b(workspace, task.column + j, columns, step, steps, passes);
        if (prefetches_b_ && j + Tile::columns < task.columns) {
          prefetch_panel(b, task.column + j + Tile::columns, step, steps, passes);
        } else if (prefetches_b_ && step + steps < k_) {
          prefetch_panel(b, task.column, step + steps, steps, passes);
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
          if (!sums_in_c_ && k_ > plan_.k) {
            sum += Element::rows * Tile::columns;
          }
        }
      }
    }
    if (has_special_loops<T> && streams_c_) {
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
                          round_up(count, Tile::least_columns), out + j * packed_k(g));
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
    const std::int64_t wide = rest <= Tile::least_columns ? columns - rest : columns;
    const T* const b = g.b + column * g.b_col;
    Element::pack_b({b, wide, wide, g.k, g.b_col, g.b_row}, Tile::columns, out);
    Element::pack_b({b + wide * g.b_col, columns - wide, columns - wide, g.k, g.b_col, g.b_row},
                    Tile::least_columns, out + wide * packed_k(g));
  }

 private:
  using Tile = GemmTile<T, Arch>;
  static constexpr std::int64_t W = width<T, Arch>;

  /// The task's rows of A, packed; from an earlier task if they are still there.
  const T* pack_a(GemmWorkspace<T, Arch>& workspace, const GemmTask& task, std::int64_t step,
                  std::int64_t steps) {
    const std::int64_t rows_packed = plan_.rows + Element::rows;
    T* packed = workspace.a.reserve(rows_packed * (plan_.keep_a ? k_ : steps) + W);
    GemmBlockKey key = key_;
    key.row = task.row;
    if (workspace.a_key != key) {
      workspace.a_key = key;
      workspace.a_first = workspace.a_last = 0;
    }
    if (plan_.keep_a) {
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
    const std::int64_t lanes = round_up(columns, Tile::least_columns);
    if (shared_b_.data != nullptr) {
      return {shared_b_.data + (column - shared_b_.column) * k_ + step * lanes, lanes};
    }
    T* const panel = workspace.b.reserve(Tile::columns * std::max<std::int64_t>(steps, 1) + W);
    Element::pack_b({g_.b + step * Element::steps * g_.b_row + column * g_.b_col, columns, columns,
                     elements_of(step, steps), g_.b_col, g_.b_row},
                    lanes, panel);
    return {panel, lanes};
  }
  /// A panel of weights, which come from memory. A single pass prefetches what it reads itself 2
  /// KiB later; of several, each prefetches a part of the next panel.
  GemmPanel<T> weights(const T* panel, std::int64_t steps, std::int64_t passes) const {
    constexpr std::int64_t size = sizeof(T), two_steps = 2 * panel_rows * size;
    GemmPanel<T> out{panel, panel_rows};
    out.next = reinterpret_cast<const char*>(panel + (passes == 1 ? 2048 / size : panel_rows * k_));
    out.advance = two_steps / passes;
    out.advance_tile = steps / 2 * out.advance;
    return out;
  }
  /// Has the `passes` tiles that go over `panel` prefetch the part of B that is packed next.
  void prefetch_panel(GemmPanel<T>& panel, std::int64_t column, std::int64_t step,
                      std::int64_t steps, std::int64_t passes) const {
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
      move_block<T, Arch>(rows, columns, sum, Tile::columns, c, g_.c_row, to_c == TileStore::add);
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
  GemmPlan plan_;
  GemmBlockKey key_;
  GemmPanels<T> shared_b_;
  bool adds_to_c_;     // C is only added to
  bool sums_in_c_;     // unfinished sums may lie in C
  bool streams_c_;     // C is written past the caches
  bool prefetches_b_;  // B comes from afar, and each of its panels is packed once
};

/// All products of a batch, packed as Element says; `product` is the number of this call.
template <class Element, class T, class Arch>
void multiply_packed(const Gemm<T>& g, std::int64_t batches, std::uint64_t product) {
  using Tile = GemmTile<T, Arch>;
  using Matrix = GemmMatrix<Element, T, Arch>;
  const std::int64_t k = Matrix::packed_k(g);
  GemmSizes sizes{g.m, g.n, k, g.c_row, sizeof(T)};
  sizes.tile_rows = Element::rows;
  sizes.tile_columns = Tile::columns;
  sizes.k_unit = Element::k_unit;
  const GemmPlan plan = plan_gemm(sizes, source_of_b(g, Element::steps), cache_sizes());
  // Multiplies the columns [first, last) of the batch's matrices [batch, batch + count).
  const auto multiply = [&](std::int64_t batch, std::int64_t count, std::int64_t first,
                            std::int64_t last, const GemmPanels<T>& shared_b) {
    const std::int64_t tasks = plan.row_tasks * plan.column_tasks(last - first);
    parallel_for(0, count * tasks, plan.grain, [&](std::int64_t lo, std::int64_t hi) {
      for (std::int64_t task = lo; task < hi; ++task) {
        const std::int64_t index = batch + task / tasks;
        Matrix(matrix_of_batch<T, Arch>(g, index), plan, product, index, shared_b)
            .multiply(plan.task(task % tasks, g.m, first, last));
      }
    });
  };
  if constexpr (std::is_same_v<T, float>) {
    if (source_of_b(g, Element::steps) == GemmSource::panels) {
      multiply(0, 1, 0, g.n, {g.b_packed.panel(0), 0, panel_rows});
      return;
    }
  }
  if (!plan.together) {
    multiply(0, batches, 0, g.n, {});
    return;
  }
  T* const packed = GemmWorkspace<T, Arch>::local().shared_b.reserve(
      plan.columns_once * std::max<std::int64_t>(k, 1) + width<T, Arch>);
  for (std::int64_t batch = 0; batch < batches; ++batch) {
    const Gemm<T> one = matrix_of_batch<T, Arch>(g, batch);
    for (std::int64_t first = 0; first < g.n; first += plan.columns_once) {
      const std::int64_t last = std::min(g.n, first + plan.columns_once);
      constexpr std::int64_t grain = 4 * Tile::columns;  // less is not worth waking a thread for
      parallel_for(first, last, grain, [&](std::int64_t lo, std::int64_t hi) {
        Matrix::pack_panels(one, lo, hi - lo, packed + (lo - first) * k);
      });
      multiply(batch, 1, first, last, {packed, first, 0});
    }
  }
}

}  // namespace ldlm::simd::detail
