// A stable radix sort, eight bits of the id at a time: each block counts the digits of its tile,
// the counts are added up to places, and each block puts its numbers there.

#include <ldlm_cuda/launch.cuh>
#include <ldlm_cuda/sort.cuh>

#include <bit>
#include <utility>

namespace ldlm::cuda_backend {

namespace {

inline constexpr int radix = 256;  // digits, and numbers in a tile, which has a thread for each

struct Digits {
  const std::int64_t* ids;
  std::int64_t step, count;
  const int* numbers;  // in the order so far; null: 0, 1, 2, ...
  int shift;

  __device__ int number(std::int64_t i) const {
    return numbers == nullptr ? static_cast<int>(i) : numbers[i];
  }
  __device__ int digit(std::int64_t i) const {
    return static_cast<int>(ids[number(i) * step] >> shift & (radix - 1));
  }
};

/// counts[digit][tile]
__global__ void count_digits_kernel(const __grid_constant__ Digits digits, int* counts) {
  LDLM_SHARED(int, mine, radix);
  mine[threadIdx.x] = 0;
  __syncthreads();
  const std::int64_t i = std::int64_t{blockIdx.x} * radix + threadIdx.x;
  if (i < digits.count) {
    atomicAdd(&mine[digits.digit(i)], 1);  // of integers: in any order the same
  }
  __syncthreads();
  counts[threadIdx.x * gridDim.x + blockIdx.x] = mine[threadIdx.x];
}

/// Each of the counts becomes the sum of those before it. One block.
__global__ void add_up_kernel(int* counts, std::int64_t n) {
  LDLM_SHARED(int, sums, radix);
  const std::int64_t part = (n + radix - 1) / radix;
  const std::int64_t begin = threadIdx.x * part;
  const std::int64_t end = begin + part < n ? begin + part : n;
  int sum = 0;
  for (std::int64_t i = begin; i < end; ++i) {
    sum += counts[i];
  }
  sums[threadIdx.x] = sum;
  __syncthreads();
  int before = 0;
  for (unsigned thread = 0; thread < threadIdx.x; ++thread) {
    before += sums[thread];
  }
  for (std::int64_t i = begin; i < end; ++i) {
    const int count = counts[i];
    counts[i] = before;
    before += count;
  }
}

__global__ void place_numbers_kernel(const __grid_constant__ Digits digits, const int* places,
                                     int* out) {
  LDLM_SHARED(int, tile, radix);
  const std::int64_t i = std::int64_t{blockIdx.x} * radix + threadIdx.x;
  const int digit = i < digits.count ? digits.digit(i) : -1;
  tile[threadIdx.x] = digit;
  __syncthreads();
  if (digit < 0) {
    return;
  }
  int place = places[digit * static_cast<int>(gridDim.x) + static_cast<int>(blockIdx.x)];
  for (unsigned thread = 0; thread < threadIdx.x; ++thread) {
    place += tile[thread] == digit ? 1 : 0;
  }
  out[place] = digits.number(i);
}

}  // namespace

void sort_numbers(const std::int64_t* ids, std::int64_t step, std::int64_t count,
                  std::int64_t bound, int* out, int* spare) {
  constexpr std::int64_t most = (std::int64_t{1} << 31) / radix;  // of tiles: places are ints
  const std::int64_t tiles = (count + radix - 1) / radix;
  LDLM_CHECK_INDEX(tiles < most, "sort_numbers", count, " ids are too many");
  const Scratch counts(static_cast<std::size_t>(radix * tiles) * sizeof(int));
  const auto bits =
      static_cast<int>(std::bit_width(static_cast<std::uint64_t>(bound > 1 ? bound - 1 : 1)));
  const int passes = (bits + 7) / 8;
  const Grid grid{dim3(static_cast<unsigned>(tiles)), dim3(radix)};
  Digits digits{ids, step, count, nullptr, 0};
  int* to = passes % 2 == 1 ? out : spare;  // so that the last one writes to `out`
  for (int pass = 0; pass < passes; ++pass) {
    digits.shift = 8 * pass;
    launch("sort_numbers", count_digits_kernel, grid, digits, counts.as<int>());
    launch("sort_numbers", add_up_kernel, Grid{dim3(1), dim3(radix)}, counts.as<int>(),
           radix * tiles);
    launch("sort_numbers", place_numbers_kernel, grid, digits, counts.as<int>(), to);
    digits.numbers = to;
    to = to == out ? spare : out;
  }
}

}  // namespace ldlm::cuda_backend
