// How products are cut, for stated caches: a table of plans, and what every plan must keep to.

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include <ldlm_simd/gemm/plan.hpp>

namespace {

using ldlm::simd::CacheSizes;
using ldlm::simd::FewRowsPlan;
using ldlm::simd::GemmLayout;
using ldlm::simd::GemmPlan;
using ldlm::simd::GemmSizes;
using ldlm::simd::GemmSource;
using ldlm::simd::GemmTask;
using ldlm::simd::plan_few_rows;
using ldlm::simd::plan_gemm;

constexpr std::int64_t kib = 1 << 10, mib = 1 << 20;
constexpr CacheSizes server{48 * kib, 2 * mib, 32 * mib};
constexpr CacheSizes desktop{32 * kib, 512 * kib, 16 * mib};
constexpr CacheSizes tiny{8 * kib, 64 * kib, 64 * kib};

/// What multiplies packed elements.
struct Tile {
  std::int64_t rows, columns, element, k_unit;
};
constexpr Tile avx512{14, 32, 4, 1}, avx2{6, 16, 4, 1}, avx2_double{6, 8, 8, 1}, amx{32, 32, 4, 16};

GemmSizes sizes(std::int64_t m, std::int64_t n, std::int64_t k, const Tile& tile) {
  return {m, n, k, n, tile.element, tile.rows, tile.columns, tile.k_unit};
}

std::string text(const GemmSizes& s, GemmSource source, const CacheSizes& cache) {
  return std::to_string(s.m) + " x " + std::to_string(s.n) + " x " + std::to_string(s.k) +
         ", tile of " + std::to_string(s.tile_rows) + " rows, source " +
         std::to_string(static_cast<int>(source)) + ", L2 " + std::to_string(cache.l2);
}

struct PlanRow {
  std::int64_t m, n, k;
  Tile tile;
  GemmSource source;
  CacheSizes cache;
  // The plan.
  std::int64_t block_k, rows, row_tasks, columns, columns_once, grain;
  bool keep_a, together, far_b, far_c;
};

struct FewRowsRow {
  std::int64_t m, n, k;
  GemmLayout layout;
  std::int64_t lanes, element;
  CacheSizes cache;
  // The plan.
  std::int64_t parts, part_k, unit, grain;
  bool long_pieces;
  std::int64_t columns;
};

/// Calls check(sizes, source, cache) for many products.
template <class Check>
void for_each_product(const Check& check) {
  for (const CacheSizes& cache : {server, desktop, tiny}) {
    for (const Tile& tile : {avx512, avx2, avx2_double, amx}) {
      for (const GemmSource source :
           {GemmSource::matrix, GemmSource::panels, GemmSource::weights}) {
        for (const std::int64_t m : {1, 2, 13, 14, 15, 28, 29, 100, 257, 1000, 4099}) {
          for (const std::int64_t n : {1, 31, 33, 64, 530, 2304, 50257}) {
            for (const std::int64_t k : {0, 1, 64, 129, 768, 3000, 20000}) {
              const std::int64_t unit = tile.k_unit;
              check(sizes(m, n, (k + unit - 1) / unit * unit, tile), source, cache);
            }
          }
        }
      }
    }
  }
}

}  // namespace

TEST_CASE("plans of products through packed blocks") {
  using enum GemmSource;
  const std::vector<PlanRow> table = {
      // Half of L2 holds 262144 floats: 8 tiles of 14 rows, of all of K; 5 tasks share B.
      {512, 512, 512, avx512, matrix, server, 512, 112, 5, 64, 512, 1, false, true, false, false},
      {1024, 1024, 1024, avx512, matrix, server, 1024, 210, 5, 32, 1024, 1, false, true, true,
       false},
      // Several blocks of K: 19 tiles of 14 rows, 512 steps and 512 columns.
      {4096, 4096, 4096, avx512, matrix, server, 512, 266, 16, 512, 512, 1, true, true, true,
       false},
      // Two tiles pass over panels of 64 x 32 floats, a sixth of L1.
      {20, 2304, 768, avx512, panels, server, 64, 14, 1, 96, 2304, 1, true, false, true, false},
      {20, 2304, 768, avx512, matrix, server, 768, 14, 1, 384, 2304, 1, false, false, true, false},
      // Small: one task. None at all: a block of one step, and one thread for all tasks.
      {128, 64, 128, avx512, matrix, server, 128, 126, 1, 64, 64, 1, false, false, false, false},
      {1, 1, 0, avx512, matrix, server, 1, 14, 1, 32, 32, 65536, false, false, false, false},
      // C of 256 MiB is stored past the caches.
      {8192, 8192, 16, avx512, matrix, server, 16, 112, 74, 2048, 8192, 1, false, true, false,
       true},
      {64, 50257, 768, avx512, weights, server, 768, 56, 1, 128, 2816, 1, false, true, true, true},
      {512, 512, 512, avx2, matrix, desktop, 512, 102, 5, 80, 512, 1, false, true, true, false},
      {512, 512, 512, avx2_double, matrix, desktop, 512, 60, 9, 128, 512, 1, false, true, true,
       false},
      {300, 300, 2000, amx, matrix, server, 512, 160, 2, 320, 320, 1, true, true, true, false},
      {257, 530, 1300, avx2, matrix, tiny, 119, 66, 4, 272, 272, 1, false, true, true, false},
  };
  for (const PlanRow& row : table) {
    const GemmSizes s = sizes(row.m, row.n, row.k, row.tile);
    const GemmPlan plan = plan_gemm(s, row.source, row.cache);
    INFO(text(s, row.source, row.cache));
    CHECK(plan.k == row.block_k);
    CHECK(plan.rows == row.rows);
    CHECK(plan.row_tasks == row.row_tasks);
    CHECK(plan.columns == row.columns);
    CHECK(plan.columns_once == row.columns_once);
    CHECK(plan.grain == row.grain);
    CHECK(plan.keep_a == row.keep_a);
    CHECK(plan.together == row.together);
    CHECK(plan.far_b == row.far_b);
    CHECK(plan.far_c == row.far_c);
  }
}

TEST_CASE("tasks of a plan make each element of C once, in whole tiles") {
  for_each_product([](const GemmSizes& s, GemmSource source, const CacheSizes& cache) {
    const GemmPlan plan = plan_gemm(s, source, cache);
    bool whole = true;
    std::int64_t covered = 0, next_column = 0;
    for (std::int64_t first = 0; first < s.n; first += plan.columns_once) {
      const std::int64_t last = std::min(s.n, first + plan.columns_once);
      const std::int64_t across = plan.column_tasks(last - first);
      std::int64_t next_row = 0;
      for (std::int64_t index = 0; index < plan.row_tasks * across; ++index) {
        const GemmTask task = plan.task(index, s.m, first, last);
        // Row by row of tasks, each from left to right.
        next_column = index % across == 0 ? first : next_column;
        whole = whole && task.row == next_row && task.column == next_column && task.rows > 0 &&
                task.columns > 0 && task.rows < plan.rows + s.tile_rows &&
                (task.row + task.rows == s.m || task.rows % s.tile_rows == 0) &&
                (task.column + task.columns == s.n || task.columns % s.tile_columns == 0);
        next_column += task.columns;
        next_row += index % across == across - 1 ? task.rows : 0;
        covered += task.rows * task.columns;
      }
      whole = whole && next_row == s.m && next_column == last;
    }
    CHECK_MESSAGE((whole && covered == s.m * s.n), text(s, source, cache));
  });
}

TEST_CASE("blocks of a plan cover K, and fit into the caches that they are for") {
  for_each_product([](const GemmSizes& s, GemmSource source, const CacheSizes& cache) {
    const GemmPlan plan = plan_gemm(s, source, cache);
    INFO(text(s, source, cache));
    const std::int64_t k = std::max(s.k, s.k_unit);
    const std::int64_t blocks = (k + plan.k - 1) / plan.k;
    CHECK((plan.k % s.k_unit == 0 && blocks * plan.k >= k && (blocks - 1) * plan.k < k));
    // A block of A: half of L2, unless a single tile of the least K needs more.
    CHECK((plan.rows * plan.k * s.element <= cache.l2 / 2 || plan.rows == s.tile_rows));
    CHECK((plan.k <= 128 + s.k_unit ||
           2 * s.tile_columns * (plan.k - s.k_unit) * s.element <= cache.l2 / 2 ||
           source == GemmSource::panels));
    // Panels of weights that two tiles go over: a sixth of L1.
    CHECK((source != GemmSource::panels || s.m <= s.tile_rows || s.m > 2 * s.tile_rows ||
           s.tile_columns * (plan.k - s.k_unit) * s.element <= cache.l1 / 6));
    CHECK((!plan.keep_a || plan.rows * k * s.element <= cache.l3 / 4));
    CHECK((!plan.keep_a || blocks > 1));
    // All of B that is packed at once: a quarter of L3, but 1 to 16 MiB; or what one task needs.
    const std::int64_t b_most = std::clamp(cache.l3 / 4, mib, 16 * mib);
    CHECK((plan.columns_once == plan.columns ||
           (plan.columns_once - plan.columns) * k * s.element <= b_most));
    CHECK((plan.together || plan.row_tasks == 1 || source == GemmSource::panels));
    CHECK((source != GemmSource::weights || plan.together));
  });
}

TEST_CASE("plans of products with few rows") {
  using enum GemmLayout;
  const std::vector<FewRowsRow> table = {
      // Half of L1 holds 6144 floats; of one row, no more than 256 vectors are taken.
      {1, 3072, 768, columns, 16, 4, server, 1, 768, 128, 1, false, 4096},
      {4, 3072, 768, columns, 16, 4, server, 1, 768, 128, 1, false, 1536},
      {16, 50257, 768, weights, 16, 4, server, 1, 768, 128, 1, false, 384},
      // Rows of B longer than a page, and short ones from afar, which are read in 8 parts.
      {1, 3072, 768, rows, 16, 4, server, 1, 768, 128, 1, true, 4096},
      {2, 768, 3072, rows, 16, 4, server, 8, 384, 128, 1, true, 3072},
      {3, 768, 3072, rows, 16, 4, server, 1, 3072, 128, 1, true, 2048},
      {2, 768, 300, rows, 16, 4, server, 1, 300, 128, 1, true, 3072},
      {1, 100, 20, rows, 4, 8, desktop, 1, 20, 32, 51, true, 1024},
      {16, 100, 20, rows, 2, 8, tiny, 1, 20, 16, 6, true, 32},
  };
  for (const FewRowsRow& row : table) {
    const GemmSizes s = sizes(row.m, row.n, row.k, {1, 1, row.element, 1});
    const std::int64_t b_row = row.layout == rows ? row.n : 1;
    const FewRowsPlan plan = plan_few_rows(s, row.layout, b_row, row.lanes, row.cache);
    INFO(row.m << " x " << row.n << " x " << row.k);
    CHECK(plan.parts == row.parts);
    CHECK(plan.part_k == row.part_k);
    CHECK(plan.unit == row.unit);
    CHECK(plan.grain == row.grain);
    CHECK(plan.long_pieces == row.long_pieces);
    CHECK(plan.columns == row.columns);
  }
}

TEST_CASE("parts of few rows cover K") {
  for (const std::int64_t m : {1, 2, 3, 16}) {
    for (const std::int64_t n : {1, 40, 700, 1024, 1025}) {
      for (const std::int64_t k : {1, 7, 64, 300, 3071, 3072, 20001}) {
        for (const CacheSizes& cache : {server, desktop, tiny}) {
          const GemmSizes s = sizes(m, n, k, {1, 1, 4, 1});
          const FewRowsPlan plan = plan_few_rows(s, GemmLayout::rows, n, 8, cache);
          CHECK((plan.parts >= 1 && plan.parts <= 8));
          CHECK((plan.parts * plan.part_k >= k && (plan.parts - 1) * plan.part_k < k));
          CHECK((plan.parts == 1 || (m <= 2 && n * 4 <= 4096 && n * k * 4 > cache.l2)));
          CHECK((plan.columns % 8 == 0 && plan.columns > 0));
        }
      }
    }
  }
}
