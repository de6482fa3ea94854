#pragma once
// How a matrix product is cut: into blocks of K that caches hold, into tasks that threads take.
// Plain numbers in, plain numbers out, so that a test can have a table of them. No plan depends on
// the number of threads, and so neither do the bits of a result.

#include <algorithm>
#include <cstdint>

#include <ldlm_simd/cache_info.hpp>

namespace ldlm::simd {

namespace detail {

constexpr std::int64_t divide_up(std::int64_t x, std::int64_t y) {
  return (x + y - 1) / y;
}
constexpr std::int64_t round_up(std::int64_t x, std::int64_t y) {
  return divide_up(x, y) * y;
}

}  // namespace detail

/// Sizes of a product C (m, n) = A (m, k) B (k, n), and of what multiplies it. K is counted in
/// packed elements, which may hold several steps and are as large as an element of C.
struct GemmSizes {
  std::int64_t m = 0, n = 0, k = 0;
  std::int64_t c_row = 0;    // elements from one row of C to the next
  std::int64_t element = 4;  // bytes
  std::int64_t tile_rows = 1, tile_columns = 1;
  std::int64_t k_unit = 1;  // K is padded to a multiple of this
};

/// Where B comes from.
enum class GemmSource : std::uint8_t {
  matrix,  // each task, or all together, pack what they need of it
  panels,  // it lies packed already
  weights  // of fewer bits; made into floats and packed by all tasks together
};

/// Rows and columns of C that one task makes.
struct GemmTask {
  std::int64_t row = 0, rows = 0, column = 0, columns = 0;
};

/// How a product is cut whose factors are packed. Rows and columns are multiples of the tile where
/// not at an edge.
struct GemmPlan {
  std::int64_t k = 0;     // steps of a K block
  std::int64_t rows = 0;  // of a task; the last may have up to a tile more
  std::int64_t row_tasks = 0;
  std::int64_t columns = 0;       // of a task
  std::int64_t columns_once = 0;  // columns of B that are packed at once, if together
  std::int64_t grain = 1;         // tasks that a thread takes at least
  bool keep_a = false;            // all K blocks of a task's A are kept for the thread's next task
  bool together = false;          // B is packed by all threads before any multiplies
  bool far_b = false;             // B does not fit into L2
  bool far_c = false;             // nobody finds C in a cache once it is written

  [[nodiscard]] std::int64_t column_tasks(std::int64_t columns_there) const {
    return detail::divide_up(columns_there, columns);
  }
  /// Task `index` of those that make the columns [first, last) of C's m rows.
  [[nodiscard]] GemmTask task(std::int64_t index, std::int64_t m, std::int64_t first,
                              std::int64_t last) const {
    const std::int64_t across = column_tasks(last - first);
    const std::int64_t down = index / across % row_tasks;
    const std::int64_t column = first + index % across * columns;
    return {down * rows, down + 1 < row_tasks ? rows : m - down * rows, column,
            std::min(columns, last - column)};
  }
};

namespace plan_detail {

/// A block of A takes half of L2: panels of B pass by in the other half, two at a time.
inline constexpr std::int64_t a_share = 2;
/// A block of A should be so many tiles high, so that each element of B that comes from afar is
/// used often.
inline constexpr std::int64_t high_tiles = 8;
/// Shorter K blocks spend too much of their time on loading and storing sums.
inline constexpr std::int64_t least_k = 128;
/// Panels of weights that two tiles pass over stay in L1 for the second one, which also holds A's
/// strips and what is prefetched of the next panel.
inline constexpr std::int64_t panel_share = 6;
/// Rows of a block of A, if C has to be passed over several times anyway.
inline constexpr std::int64_t many_rows = 256;
/// Multiply-adds of a task: enough that starting it costs nothing, few enough to share them out.
inline constexpr std::int64_t task_work = std::int64_t{1} << 22;
/// The same where nothing has to be packed.
inline constexpr std::int64_t panel_task_work = task_work / 16;
/// Columns of a task with several K blocks: its part of C shares L2 with A.
inline constexpr std::int64_t block_columns = 512;
/// The same for few rows of C and B in panels, in tiles: there is no A to speak of.
inline constexpr std::int64_t panel_block_tiles = 3;
/// What threads share (packed B) or keep for long (all of a task's A) takes a quarter of L3, which
/// other processes use too.
inline constexpr std::int64_t l3_share = 4;
/// Less of B packed at once costs a wait of all threads too often, more takes memory for nothing.
inline constexpr std::int64_t least_b = std::int64_t{1} << 20, most_b = std::int64_t{16} << 20;
/// Multiply-adds that are worth waking a thread for.
inline constexpr std::int64_t thread_work = std::int64_t{1} << 16;
/// C of so many times L2 is out of the cache before anyone reads it: it is stored past it.
inline constexpr std::int64_t far_c_l2 = 4;

/// Rows of a task and K of a block, before both are evened out.
struct Block {
  std::int64_t rows, k;
};
inline Block largest_block(const GemmSizes& s, bool panels, std::int64_t a_most,
                           const CacheSizes& cache) {
  using detail::round_up;
  const std::int64_t high = std::min(high_tiles * s.tile_rows, round_up(s.m, s.tile_rows));
  const std::int64_t k = std::max(least_k, a_most / std::max(high, 2 * s.tile_columns));
  const std::int64_t rows = a_most / s.tile_rows * s.tile_rows;
  if (panels && s.m > s.tile_rows && s.m <= 2 * s.tile_rows) {
    // Memory is what counts here: the second of the two tiles that go over a panel finds it in L1,
    // while both prefetch the next.
    return {rows, cache.l1 / panel_share / s.element / s.tile_columns};
  }
  if (s.k > k) {
    // C has to be passed over several times anyway: short blocks of many rows, in a quarter of L2,
    // and the part of C beside them.
    return {round_up(many_rows, s.tile_rows), std::max(least_k, a_most / 2 / many_rows)};
  }
  return {rows, k};
}

}  // namespace plan_detail

/// The plan of a product that goes through packed blocks. (Never inlined, so that all units of a
/// program have it, and the baseline's may serve.)
[[gnu::noinline]] inline GemmPlan plan_gemm(GemmSizes s, GemmSource source,
                                            const CacheSizes& cache) {
  using detail::divide_up;
  using detail::round_up;
  const bool panels = source == GemmSource::panels;
  s.k = std::max(s.k, s.k_unit);
  GemmPlan plan;
  const std::int64_t a_most = cache.l2 / plan_detail::a_share / s.element;
  auto [rows_most, k_most] = plan_detail::largest_block(s, panels, a_most, cache);
  plan.k = round_up(divide_up(s.k, divide_up(s.k, k_most)), s.k_unit);
  rows_most =
      std::min(rows_most, std::max<std::int64_t>(1, a_most / plan.k / s.tile_rows) * s.tile_rows);
  if (s.n * s.k <= a_most) {
    // All of B stays in L2 too, so that passing over it is cheap: many low blocks of A are shared
    // out evenly, and each is packed by the thread that multiplies it.
    const std::int64_t enough = round_up(divide_up(plan_detail::task_work, s.n * s.k), s.tile_rows);
    rows_most =
        std::clamp(enough, std::min(plan_detail::high_tiles * s.tile_rows, rows_most), rows_most);
  }
  plan.row_tasks = divide_up(s.m, rows_most);
  plan.rows = s.m / plan.row_tasks / s.tile_rows * s.tile_rows;
  const std::int64_t last = s.m - plan.rows * (plan.row_tasks - 1);
  if (plan.rows == 0 || last >= plan.rows + s.tile_rows) {
    plan.rows = round_up(divide_up(s.m, plan.row_tasks), s.tile_rows);
    plan.row_tasks = divide_up(s.m, plan.rows);
  }
  const std::int64_t rows = std::min(plan.rows, s.m);
  const std::int64_t columns_least = s.k <= plan.k ? s.tile_columns
                                     : panels && s.m <= 2 * s.tile_rows
                                         ? plan_detail::panel_block_tiles * s.tile_columns
                                         : plan_detail::block_columns;
  const std::int64_t columns =
      std::max((panels ? plan_detail::panel_task_work : plan_detail::task_work) / (rows * s.k),
               columns_least);
  plan.columns = round_up(divide_up(s.n, divide_up(s.n, columns)), s.tile_columns);
  plan.keep_a = s.k > plan.k && plan.rows * s.k <= cache.l3 / plan_detail::l3_share / s.element;
  const std::int64_t b_most =
      std::clamp(cache.l3 / plan_detail::l3_share, plan_detail::least_b, plan_detail::most_b) /
      s.element;
  plan.columns_once = round_up(std::max<std::int64_t>(1, b_most / s.k), plan.columns);
  plan.columns_once = std::min(plan.columns_once, round_up(s.n, s.tile_columns));
  plan.grain = std::max<std::int64_t>(
      1, plan_detail::thread_work / (rows * std::min(plan.columns, s.n) * s.k));
  // Several tasks need each panel of B, or it has to be made of a packed one.
  plan.together = !panels && (plan.row_tasks > 1 || source == GemmSource::weights);
  plan.far_b = s.n * s.k * s.element > cache.l2;
  plan.far_c = s.k <= plan.k && s.m * s.c_row * s.element > plan_detail::far_c_l2 * cache.l2;
  return plan;
}

/// How B lies, for a product of few rows, which reads it in place.
enum class GemmLayout : std::uint8_t {
  columns,  // each is contiguous along k, as in a linear layer's weight (n, k)
  weights,  // so are these, of fewer bits
  rows,     // (k, n)
  other     // it has to be packed
};

/// How a product is cut that reads B in place, once.
struct FewRowsPlan {
  std::int64_t parts = 1;  // of K, each summed by itself, then added up in their order
  std::int64_t part_k = 0;
  std::int64_t unit = 0;     // columns that no two threads share
  std::int64_t grain = 1;    // units that a thread takes at least
  bool long_pieces = false;  // a thread takes as many units as there are for it
  std::int64_t columns = 0;  // whose sums are made at once
};

/// The most rows for which reading B in place beats packing it.
inline constexpr std::int64_t few_rows = 16;
/// The least elements, in vectors, that make a column worth its horizontal sum.
inline constexpr std::int64_t column_vectors = 2;

/// Whether rows of B lie so close together, for one or two rows of A, that reading many of them at
/// a time confuses the processor's prefetcher: it follows a single stream in each page.
constexpr bool has_short_rows(std::int64_t m, GemmLayout layout, std::int64_t row_bytes) {
  return m <= 2 && layout == GemmLayout::rows && row_bytes <= 4096;
}

/// The plan of a product of few rows; `lanes` of a vector, `b_row` elements from one row of B to
/// the next.
[[gnu::noinline]] inline FewRowsPlan plan_few_rows(const GemmSizes& s, GemmLayout layout,
                                                   std::int64_t b_row, std::int64_t lanes,
                                                   const CacheSizes& cache) {
  constexpr std::int64_t unit_vectors = 8;  // whole cache lines of C, and enough for a loop
  constexpr std::int64_t thread_work = std::int64_t{1} << 15;  // multiply-adds worth waking it for
  constexpr std::int64_t sums_share = 2;                       // of L1; B passes through the rest
  constexpr std::int64_t least_vectors = 8, most_vectors = 256;
  constexpr std::int64_t k_parts = 8;
  constexpr std::int64_t k_unit = 8;  // steps that are taken at once
  FewRowsPlan plan;
  plan.part_k = s.k;
  // Several where threads would otherwise read small pieces of many short rows of a B that comes
  // from afar. Each part is read by one thread, as it lies in memory.
  if (has_short_rows(s.m, layout, b_row * s.element) && s.k * s.n * s.element > cache.l2) {
    plan.part_k = detail::round_up(detail::divide_up(s.k, k_parts), k_unit);
    plan.parts = detail::divide_up(s.k, plan.part_k);
  }
  plan.unit = unit_vectors * lanes;
  plan.grain = std::max<std::int64_t>(1, thread_work / (s.m * s.k * plan.unit));
  plan.long_pieces = layout == GemmLayout::rows;
  plan.columns = std::clamp(cache.l1 / sums_share / (s.m * s.element) / lanes * lanes,
                            least_vectors * lanes, most_vectors * lanes);
  return plan;
}

}  // namespace ldlm::simd
