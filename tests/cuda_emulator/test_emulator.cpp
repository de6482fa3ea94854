// The emulator itself: what kernels may rely on, and every fault that it finds without a sanitizer.

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include <ldlm/core/dtype.hpp>
#include <ldlm_cuda/launch.cuh>
#include <ldlm_cuda/mma.cuh>

#include "runtime.hpp"

namespace {

using cuda_emulator::last_fault;

/// Device memory of a test.
template <class T>
class Array {
 public:
  explicit Array(std::size_t count, const std::vector<T>& values = {}) : count_(count) {
    REQUIRE(cudaMalloc(&data_, count * sizeof(T)) == cudaSuccess);
    if (!values.empty()) {
      REQUIRE(cudaMemcpyAsync(data_, values.data(), count * sizeof(T), cudaMemcpyHostToDevice,
                              nullptr) == cudaSuccess);
    }
  }
  Array(const Array&) = delete;
  Array& operator=(const Array&) = delete;
  ~Array() { cudaFree(data_); }
  [[nodiscard]] T* data() const { return static_cast<T*>(data_); }
  [[nodiscard]] std::vector<T> values() const {
    std::vector<T> out(count_);
    REQUIRE(cudaMemcpyAsync(out.data(), data_, count_ * sizeof(T), cudaMemcpyDeviceToHost,
                            nullptr) == cudaSuccess);
    return out;
  }

 private:
  std::size_t count_;
  void* data_ = nullptr;
};

/// Runs a closure as a kernel, whatever comes of it.
template <class Kernel>
cudaError_t run_kernel(dim3 grid, dim3 block, const Kernel& kernel, std::size_t shared = 0) {
  cuda_emulator::launch(nullptr, "test", grid, block, shared, nullptr, kernel);
  return cudaGetLastError();
}
/// What fault it ends with.
template <class Kernel>
std::string fault_of(dim3 grid, dim3 block, const Kernel& kernel) {
  CHECK(run_kernel(grid, block, kernel) == cudaErrorLaunchFailure);
  const std::string fault = last_fault();
  CHECK(cudaStreamSynchronize(nullptr) == cudaErrorLaunchFailure);  // nothing works any more
  cuda_emulator::reset_errors();
  CHECK(cudaStreamSynchronize(nullptr) == cudaSuccess);
  return fault;
}
bool contains(const std::string& text, const char* part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("every thread of every block runs once") {
  const Array<int> out(6 * 24, std::vector<int>(6 * 24, 0));
  int* const at = out.data();
  CHECK(run_kernel(dim3(3, 2), dim3(4, 3, 2), [at] {
          const unsigned block = blockIdx.y * gridDim.x + blockIdx.x;
          const unsigned thread =
              (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
          at[block * 24 + thread] += 1;
        }) == cudaSuccess);
  CHECK(out.values() == std::vector<int>(6 * 24, 1));
}

TEST_CASE("the order of threads and blocks follows the seed") {
  const auto order = [](std::uint64_t seed) {
    cuda_emulator::set_seed(seed);
    const Array<unsigned> out(1 + 8 * 64, std::vector<unsigned>(1 + 8 * 64, 0));
    unsigned* const at = out.data();
    CHECK(run_kernel(8, 64, [at] { at[1 + atomicAdd(at, 1U)] = blockIdx.x * 64 + threadIdx.x; }) ==
          cudaSuccess);
    return out.values();
  };
  CHECK(order(1) == order(1));
  CHECK(order(1) != order(2));
  auto sorted = order(3);
  std::sort(sorted.begin() + 1, sorted.end());
  CHECK(sorted[1] == 0);
  CHECK(sorted.back() == 8 * 64 - 1);
}

TEST_CASE("shared memory is a block's own, filled with NaN, and barriers order it") {
  const Array<float> out(4 * 96);
  float* const at = out.data();
  CHECK(run_kernel(4, 96, [at] {
          LDLM_SHARED(float, values, 96);
          LDLM_SHARED(float, others, 96);
          if (!(others[threadIdx.x] != others[threadIdx.x])) {
            cuda_emulator::fault("not NaN", {__FILE__, __LINE__});
          }
          values[threadIdx.x] = static_cast<float>(100 * blockIdx.x + threadIdx.x);
          __syncthreads();
          at[blockIdx.x * 96 + threadIdx.x] = values[95 - threadIdx.x];
        }) == cudaSuccess);
  const auto values = out.values();
  for (int i = 0; i < 4 * 96; ++i) {
    REQUIRE(values[static_cast<std::size_t>(i)] == 100 * (i / 96) + 95 - i % 96);
  }
}

TEST_CASE("dynamic shared memory") {
  const Array<int> out(64);
  int* const at = out.data();
  CHECK(run_kernel(
            1, 64,
            [at] {
              auto* const values = static_cast<int*>(cuda_emulator::dynamic_shared_memory());
              values[threadIdx.x] = static_cast<int>(threadIdx.x);
              __syncthreads();
              at[threadIdx.x] = values[threadIdx.x ^ 63U];
            },
            64 * sizeof(int)) == cudaSuccess);
  CHECK(out.values()[0] == 63);
}

// Lane i of a warp of 64 threads holds 100 + i.
template <class Shuffle>
std::vector<int> shuffled(const Shuffle& shuffle) {
  const Array<int> out(64);
  int* const at = out.data();
  CHECK(run_kernel(1, 64, [&] { at[threadIdx.x] = shuffle(100 + int(threadIdx.x)); }) ==
        cudaSuccess);
  return out.values();
}
TEST_CASE("shuffles, after the table of the programming guide") {
  constexpr unsigned all = 0xffffffffU;
  const auto check = [](const std::vector<int>& values, const auto& source) {
    for (int i = 0; i < 64; ++i) {
      const int warp = i / 32 * 32;
      REQUIRE(values[static_cast<std::size_t>(i)] == 100 + warp + source(i % 32));
    }
  };
  check(shuffled([](int v) { return __shfl_sync(all, v, 5); }), [](int) { return 5; });
  check(shuffled([](int v) { return __shfl_sync(all, v, 37); }), [](int) { return 5; });
  check(shuffled([](int v) { return __shfl_sync(all, v, 3, 8); }),
        [](int i) { return i / 8 * 8 + 3; });
  check(shuffled([](int v) { return __shfl_up_sync(all, v, 3); }),
        [](int i) { return i < 3 ? i : i - 3; });
  check(shuffled([](int v) { return __shfl_up_sync(all, v, 1, 4); }),
        [](int i) { return i % 4 < 1 ? i : i - 1; });
  check(shuffled([](int v) { return __shfl_down_sync(all, v, 16); }),
        [](int i) { return i + 16 > 31 ? i : i + 16; });
  check(shuffled([](int v) { return __shfl_down_sync(all, v, 2, 8); }),
        [](int i) { return i % 8 + 2 > 7 ? i : i + 2; });
  check(shuffled([](int v) { return __shfl_xor_sync(all, v, 9); }), [](int i) { return i ^ 9; });
  // Of groups, a xor reaches lower ones only.
  check(shuffled([](int v) { return __shfl_xor_sync(all, v, 8, 8); }),
        [](int i) { return (i & 8) != 0 ? i ^ 8 : i; });
}

TEST_CASE("votes") {
  const Array<unsigned> out(3 * 32);
  unsigned* const at = out.data();
  CHECK(run_kernel(1, 32, [at] {
          const bool odd = threadIdx.x % 2 != 0;
          at[threadIdx.x] = __ballot_sync(0xffffffffU, odd);
          at[32 + threadIdx.x] = __any_sync(0xffffffffU, threadIdx.x == 7) ? 1 : 0;
          at[64 + threadIdx.x] = __all_sync(0xffffffffU, odd) ? 1 : 0;
        }) == cudaSuccess);
  CHECK(out.values()[4] == 0xaaaaaaaaU);
  CHECK(out.values()[40] == 1);
  CHECK(out.values()[70] == 0);
}

TEST_CASE("half a warp works on its own") {
  const Array<int> out(32, std::vector<int>(32, -1));
  int* const at = out.data();
  CHECK(run_kernel(1, 32, [at] {
          if (threadIdx.x < 16) {
            at[threadIdx.x] = __shfl_xor_sync(0x0000ffffU, int(threadIdx.x), 15);
          }
        }) == cudaSuccess);
  CHECK(out.values()[0] == 15);
  CHECK(out.values()[16] == -1);
}

TEST_CASE("mma multiplies what the manual's figures say that lanes hold") {
  // A[i][k] = i + 16 k and B[k][j] = 1 for one k and j: D's column j is A's column k. Exact in
  // bf16.
  using Factors = ldlm::cuda_backend::Bf16Factors;
  const auto product = [](int k_set, int j_set, bool swapped) {
    const Array<float> out(32 * 4);
    float* const at = out.data();
    CHECK(run_kernel(dim3(1), dim3(32), [=] {
            const int group = static_cast<int>(threadIdx.x) / 4;
            const int two = 2 * (static_cast<int>(threadIdx.x) % 4);
            const auto a_pair = [](int row, int k) {
              const auto value = [row](int at_k) { return static_cast<float>(row + 16 * at_k); };
              return Factors::pack({value(k), value(k + 1)});
            };
            const auto b_pair = [=](int k) {
              const auto value = [=](int at_k) {
                return at_k == k_set && group == j_set ? 1.0F : 0.0F;
              };
              return Factors::pack({value(k), value(k + 1)});
            };
            unsigned a[4] = {a_pair(group, two), a_pair(group + 8, two), a_pair(group, two + 8),
                             a_pair(group + 8, two + 8)};
            if (swapped) {
              std::swap(a[0], a[1]);
            }
            const unsigned b[2] = {b_pair(two), b_pair(two + 8)};
            float d[4] = {};
            Factors::multiply(d, a, b);
            std::copy(d, d + 4, at + 4 * threadIdx.x);
          }) == cudaSuccess);
    return out.values();
  };
  for (int k = 0; k < 16; k += 3) {
    for (int j = 0; j < 8; j += 2) {
      const auto d = product(k, j, false);
      for (int lane = 0; lane < 32; ++lane) {
        for (int i = 0; i < 4; ++i) {
          const int row = lane / 4 + i / 2 * 8;
          const int column = 2 * (lane % 4) + i % 2;
          const float expected = column == j ? static_cast<float>(row + 16 * k) : 0.0F;
          CHECK(d[static_cast<std::size_t>(4 * lane + i)] == expected);
        }
      }
    }
  }
  CHECK(product(3, 2, true) != product(3, 2, false));  // values in the wrong registers are seen
}

TEST_CASE("mma of tf32 loses the last 13 bits of the factors") {
  using Factors = ldlm::cuda_backend::Tf32Factors;
  const Array<float> out(32 * 4);
  float* const at = out.data();
  // A[i][k] = i + 16 k + 2^-20, of which tf32 keeps no more than i + 16 k; B is 1 at (5, 3).
  CHECK(run_kernel(dim3(1), dim3(32), [at] {
          const int group = static_cast<int>(threadIdx.x) / 4;
          const int lane = static_cast<int>(threadIdx.x) % 4;
          const auto a_word = [](int row, int k) {
            return Factors::pack({static_cast<float>(row + 16 * k) + 0x1p-20F});
          };
          const auto b_word = [group](int k) {
            return Factors::pack({k == 5 && group == 3 ? 1.0F : 0.0F});
          };
          const unsigned a[4] = {a_word(group, lane), a_word(group + 8, lane),
                                 a_word(group, lane + 4), a_word(group + 8, lane + 4)};
          const unsigned b[2] = {b_word(lane), b_word(lane + 4)};
          float d[4] = {};
          Factors::multiply(d, a, b);
          std::copy(d, d + 4, at + 4 * threadIdx.x);
        }) == cudaSuccess);
  const auto d = out.values();
  for (int lane = 0; lane < 32; ++lane) {
    for (int i = 0; i < 4; ++i) {
      const int row = lane / 4 + i / 2 * 8;
      const bool set = 2 * (lane % 4) + i % 2 == 3;
      CHECK(d[static_cast<std::size_t>(4 * lane + i)] == static_cast<float>(set ? row + 80 : 0));
    }
  }
}

TEST_CASE("ldmatrix gives lanes what the manual's figures say") {
  using ldlm::bf16;
  for (const bool transposed : {false, true}) {
    const Array<unsigned> out(32 * 4);
    unsigned* const at = out.data();
    CHECK(run_kernel(1, 32, [=] {
            // Element (r, c) of matrix m is 64 m + 8 r + c, in rows 24 apart.
            struct alignas(16) Eight {
              bf16 of[8];
            };
            LDLM_SHARED(Eight, memory, 4 * 8 * 3);
            for (int i = static_cast<int>(threadIdx.x); i < 256; i += 32) {
              memory[i / 8 * 3].of[i % 8].bits = static_cast<std::uint16_t>(i);
            }
            __syncthreads();
            unsigned words[4];
            const bf16* const row = memory[threadIdx.x * 3].of;
            if (transposed) {
              ldlm::cuda_backend::load_matrices<true>(words, row);
            } else {
              ldlm::cuda_backend::load_matrices<false>(words, row);
            }
            std::copy(words, words + 4, at + 4 * threadIdx.x);
          }) == cudaSuccess);
    const auto words = out.values();
    for (unsigned lane = 0; lane < 32; ++lane) {
      const unsigned group = lane / 4;
      const unsigned two = 2 * (lane % 4);
      for (unsigned m = 0; m < 4; ++m) {
        const unsigned first = 64 * m + (transposed ? 8 * two + group : 8 * group + two);
        const unsigned second = first + (transposed ? 8 : 1);
        CHECK(words[4 * lane + m] == (first | second << 16));
      }
    }
  }
  CHECK(contains(fault_of(1, 32,
                          [] {
                            LDLM_SHARED(float, memory, 64);
                            unsigned words[4];
                            ldlm::cuda_backend::load_matrices<false>(
                                words, reinterpret_cast<const ldlm::bf16*>(memory + threadIdx.x));
                          }),
                 "ldmatrix needs rows aligned to 16 bytes"));
}

TEST_CASE("cp.async copies when it is waited for, and not before") {
  using namespace ldlm::cuda_backend;
  const Array<float> in(32 * 8, std::vector<float>(32 * 8, 3));
  const Array<float> out(32 * 4);
  const float* const from = in.data();
  float* const at = out.data();
  CHECK(run_kernel(1, 32, [=] {
          LDLM_SHARED(float, memory, 32 * 8);
          float* const mine = memory + threadIdx.x * 8;
          const float* const source = from + threadIdx.x * 8;
          float* const seen = at + threadIdx.x * 4;
          copy_async(mine, source, true);
          commit_copies();
          copy_async(mine + 4, source + 4, false);
          commit_copies();
          seen[0] = mine[0];  // too early: NaN
          wait_copies<1>();
          seen[1] = mine[3];
          seen[2] = mine[4];  // of the group that may still be under way
          wait_copies<0>();
          seen[3] = mine[7];
        }) == cudaSuccess);
  for (std::size_t thread = 0; thread < 32; ++thread) {
    CHECK(std::isnan(out.values()[4 * thread]));
    CHECK(out.values()[4 * thread + 1] == 3);
    CHECK(std::isnan(out.values()[4 * thread + 2]));
    CHECK(out.values()[4 * thread + 3] == 0);
  }
  CHECK(contains(fault_of(1, 32,
                          [=] {
                            LDLM_SHARED(float, memory, 64);
                            copy_async(memory + 4, from + 1, true);
                          }),
                 "cp.async needs both addresses aligned to its 16 bytes"));
  CHECK(contains(fault_of(1, 32,
                          [=] {
                            LDLM_SHARED(float, memory, 128);
                            copy_async(memory + 4 * threadIdx.x, from, true);
                            commit_copies();
                          }),
                 "a thread ends before its cp.async are waited for"));
}

TEST_CASE("a barrier that some threads never reach") {
  const Array<float> out(64);
  CHECK(contains(fault_of(1, 64,
                          [] {
                            if (threadIdx.x >= 40) {
                              return;
                            }
                            __syncthreads();
                          }),
                 "a barrier waits for threads that have ended"));
}

TEST_CASE("barriers in divergent branches") {
  const std::string fault = fault_of(1, 64, [] {
    if (threadIdx.x < 32) {
      __syncthreads();
    } else {
      __syncthreads();
    }
  });
  CHECK(contains(fault, "threads of one block are at different barriers"));
  CHECK(contains(fault, "test_emulator.cpp:"));
}

TEST_CASE("barriers in divergent branches of one line") {
  const std::string fault =
      fault_of(1, 64, [] { threadIdx.x < 32 ? __syncthreads() : __syncthreads(); });
  CHECK(contains(fault, "threads of one block are at different barriers"));
}

TEST_CASE("a shuffle in a divergent branch") {
  CHECK(contains(fault_of(1, 64,
                          [] {
                            if (threadIdx.x < 16) {
                              (void)__shfl_xor_sync(0xffffffffU, 1, 1);
                            }
                          }),
                 "a mask names a lane that has ended"));
  CHECK(contains(fault_of(1, 64,
                          [] {
                            if (threadIdx.x < 16) {
                              (void)__shfl_xor_sync(0xffffffffU, 1, 1);
                            }
                            __syncthreads();
                          }),
                 "a warp operation waits for lanes that do not come"));
  CHECK(contains(fault_of(1, 32,
                          [] {
                            if (threadIdx.x < 16) {
                              (void)__shfl_xor_sync(0xffffffffU, 1, 1);
                            } else {
                              (void)__shfl_down_sync(0xffffffffU, 1, 1);
                            }
                          }),
                 "lanes of one mask are in different warp operations"));
}

TEST_CASE("masks that do not fit") {
  CHECK(contains(fault_of(1, 16, [] { (void)__shfl_xor_sync(0xffffffffU, 1, 1); }),
                 "a mask names a lane that the block does not have"));
  CHECK(contains(fault_of(1, 32, [] { (void)__shfl_xor_sync(0x0000ffffU, 1, 1); }),
                 "a lane is not in its own mask"));
  CHECK(contains(fault_of(1, 32,
                          [] {
                            if (threadIdx.x < 16) {
                              (void)__shfl_xor_sync(0x0000ffffU, 1, 16);
                            }
                          }),
                 "a shuffle reads a lane that takes no part in it"));
}

TEST_CASE("too much shared memory") {
  CHECK(contains(fault_of(1, 32,
                          [] {
                            LDLM_SHARED(float, a, 8 * 1024);
                            LDLM_SHARED(float, b, 5 * 1024);
                            a[0] = b[0];
                          }),
                 "more than 48 KiB"));
  const auto nothing = [] {};
  CHECK(run_kernel(1, 32, nothing, (48 << 10) + 1) == cudaErrorInvalidValue);
  CHECK(cuda_emulator::allow_dynamic_shared(nullptr, 64 << 10) == cudaSuccess);
  CHECK(run_kernel(1, 32, nothing, 64 << 10) == cudaSuccess);
  CHECK(cuda_emulator::allow_dynamic_shared(nullptr, 1 << 20) == cudaErrorInvalidValue);
  CHECK(cudaGetLastError() == cudaErrorInvalidValue);
  CHECK(cuda_emulator::allow_dynamic_shared(nullptr, 0) == cudaSuccess);
}

TEST_CASE("limits of a launch") {
  const auto nothing = [] {};
  CHECK(run_kernel(1, 1024, nothing) == cudaSuccess);
  CHECK(run_kernel(1, 1025, nothing) == cudaErrorInvalidConfiguration);
  CHECK(run_kernel(1, dim3(32, 32, 2), nothing) == cudaErrorInvalidConfiguration);
  CHECK(run_kernel(1, dim3(1, 1, 65), nothing) == cudaErrorInvalidConfiguration);
  CHECK(run_kernel(0, 32, nothing) == cudaErrorInvalidConfiguration);
  CHECK(run_kernel(dim3(1, 65536), 1, nothing) == cudaErrorInvalidConfiguration);
  CHECK(run_kernel(dim3(1, 1, 65536), 1, nothing) == cudaErrorInvalidConfiguration);
  CHECK(cudaGetLastError() == cudaSuccess);  // an error of a launch is told once
}

TEST_CASE("what a stream captures is done when its graph is launched, each time") {
  Array<int> values(32, std::vector<int>(32, 1));
  cudaStream_t stream = nullptr;
  REQUIRE(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking) == cudaSuccess);
  const auto add = [&](int addend) {
    cuda_emulator::launch(nullptr, "add", dim3(1), dim3(32), 0, stream,
                          [to = values.data(), addend] { to[threadIdx.x] += addend; });
    return cudaGetLastError();
  };
  CHECK(cudaStreamBeginCapture(nullptr, cudaStreamCaptureModeRelaxed) ==
        cudaErrorStreamCaptureUnsupported);
  CHECK(cudaGetLastError() == cudaErrorStreamCaptureUnsupported);
  REQUIRE(cudaStreamBeginCapture(stream, cudaStreamCaptureModeRelaxed) == cudaSuccess);
  CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeRelaxed) == cudaErrorIllegalState);
  CHECK(cudaGetLastError() == cudaErrorIllegalState);
  CHECK(add(2) == cudaSuccess);
  CHECK(cudaMemsetAsync(values.data() + 31, 0, sizeof(int), stream) == cudaSuccess);
  CHECK(add(3) == cudaSuccess);
  cudaGraph_t graph = nullptr;
  REQUIRE(cudaStreamEndCapture(stream, &graph) == cudaSuccess);
  CHECK(values.values() == std::vector<int>(32, 1));  // nothing is done yet
  cudaGraphExec_t executable = nullptr;
  REQUIRE(cudaGraphInstantiate(&executable, graph, 0) == cudaSuccess);
  CHECK(cudaGraphDestroy(graph) == cudaSuccess);
  std::vector<int> expected(32, 1);
  for (int run = 0; run < 2; ++run) {
    CHECK(cudaGraphLaunch(executable, stream) == cudaSuccess);
    for (int& x : expected) {
      x += 5;
    }
    expected[31] = 3;
    CHECK(values.values() == expected);
  }
  CHECK(cudaGraphExecDestroy(executable) == cudaSuccess);

  // Waiting cannot be captured, and ends what was.
  REQUIRE(cudaStreamBeginCapture(stream, cudaStreamCaptureModeRelaxed) == cudaSuccess);
  CHECK(cudaDeviceSynchronize() == cudaErrorStreamCaptureUnsupported);
  CHECK(cudaStreamSynchronize(stream) == cudaErrorStreamCaptureUnsupported);
  CHECK(cudaGetLastError() == cudaErrorStreamCaptureUnsupported);
  CHECK(cudaStreamEndCapture(stream, &graph) == cudaErrorStreamCaptureInvalidated);
  CHECK(graph == nullptr);
  CHECK(cudaGetLastError() == cudaErrorStreamCaptureInvalidated);
  CHECK(cudaStreamEndCapture(stream, &graph) == cudaErrorIllegalState);
  CHECK(cudaGetLastError() == cudaErrorIllegalState);
  CHECK(cudaStreamSynchronize(stream) == cudaSuccess);
  CHECK(cudaStreamDestroy(stream) == cudaSuccess);
}

TEST_CASE("device memory") {
  const Array<float> fresh(10);
  for (const float x : fresh.values()) {
    CHECK(std::isnan(x));
  }
  CHECK(reinterpret_cast<std::uintptr_t>(fresh.data()) % 256 == 0);
  float host[10] = {};
  CHECK(cudaMemcpyAsync(host, host, sizeof host, cudaMemcpyDeviceToHost, nullptr) ==
        cudaErrorInvalidValue);
  CHECK(cudaMemcpyAsync(fresh.data() + 1, host, sizeof host, cudaMemcpyHostToDevice, nullptr) ==
        cudaErrorInvalidValue);
  CHECK(cudaMemsetAsync(fresh.data(), 0, sizeof host, nullptr) == cudaSuccess);
  CHECK(fresh.values() == std::vector<float>(10, 0.0F));
  CHECK(cudaFree(fresh.data() + 1) == cudaErrorInvalidValue);
  std::size_t free = 0;
  std::size_t total = 0;
  CHECK(cudaMemGetInfo(&free, &total) == cudaSuccess);
  void* huge = nullptr;
  CHECK(cudaMalloc(&huge, free + 1) == cudaErrorMemoryAllocation);
  CHECK(huge == nullptr);
  (void)cudaGetLastError();
}

TEST_CASE("copies that the host waits for") {
  float* values = nullptr;
  REQUIRE(cudaMalloc(&values, 4 * sizeof(float)) == cudaSuccess);
  const float host[4] = {1, 2, 3, 4};
  float back[4] = {};
  CHECK(cudaMemcpy(values, host, sizeof host, cudaMemcpyHostToDevice) == cudaSuccess);
  CHECK(cudaMemset(values + 1, 0, sizeof(float)) == cudaSuccess);
  CHECK(cudaMemcpy(back, values, sizeof back, cudaMemcpyDeviceToHost) == cudaSuccess);
  CHECK(std::vector<float>(back, back + 4) == std::vector<float>{1, 0, 3, 4});
  CHECK(cudaMemcpy(back, host, sizeof back, cudaMemcpyDeviceToHost) == cudaErrorInvalidValue);
  CHECK(cudaFree(values) == cudaSuccess);
  cuda_emulator::reset_errors();
}

TEST_CASE("no card") {
  int count = -1;
  cuda_emulator::set_devices(0, cudaErrorInsufficientDriver);
  CHECK(cudaGetDeviceCount(&count) == cudaErrorInsufficientDriver);
  CHECK(count == 0);
  void* memory = nullptr;
  CHECK(cudaMalloc(&memory, 1) == cudaErrorInsufficientDriver);
  cuda_emulator::set_devices(1);
  CHECK(cudaGetDeviceCount(&count) == cudaSuccess);
  CHECK(count == 1);
  (void)cudaGetLastError();
}
