#pragma once
// The emulated multiprocessor: runs the threads of a block as fibers, one block after the other,
// blocks and threads in an order drawn from a seed, and stops at what a card would not forgive.
//
// A fault ends the launch: last_fault() says what and where. Data races are ThreadSanitizer's to
// find, accesses out of bounds AddressSanitizer's.

#include <cstddef>
#include <cstdint>

/// Extents of a grid or a block; CUDA's type.
struct dim3 {
  unsigned x = 1, y = 1, z = 1;
  constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1)  // NOLINT: implicit, as CUDA's
      : x(x_), y(y_), z(z_) {}
};

/// Of the thread that runs. CUDA's names.
extern dim3 threadIdx, blockIdx, blockDim, gridDim;  // NOLINT(readability-identifier-naming)

namespace cuda_emulator {

/// What the card can do (that of compute capability 8.6 and later: the least of those supported).
inline constexpr unsigned warp_threads = 32;
inline constexpr unsigned max_block_threads = 1024;
inline constexpr std::size_t max_static_shared = std::size_t{48} << 10;
inline constexpr std::size_t max_dynamic_shared = std::size_t{99} << 10;

struct Place {
  const char* file = "";
  unsigned line = 0, column = 0;
  friend bool operator==(const Place& a, const Place& b) {
    return a.line == b.line && a.column == b.column;
  }
};

// ---- For the host. ----

/// A launch: `run(closure)` is the kernel, called by every thread.
struct Launch {
  const char* kernel = "";
  dim3 grid, block;
  std::size_t dynamic_shared = 0;
  void (*run)(const void* closure) = nullptr;
  const void* closure = nullptr;
};
/// Runs it to its end. False if a thread met a fault.
bool run(const Launch& launch);

/// Of the orders of blocks and threads from now on.
void set_seed(std::uint64_t seed);
/// What ended the last launch that did not reach its end: "KERNEL: what, file:line"; else "".
const char* last_fault();
struct Counts {
  std::uint64_t launches = 0, blocks = 0, switches = 0;
};
Counts counts();

// ---- For kernels. ----

/// Ends the launch.
[[noreturn]] void fault(const char* what, Place place);

/// __syncthreads().
void block_barrier(Place place);

enum class WarpOp : std::uint8_t {
  sync,
  shuffle,
  shuffle_up,
  shuffle_down,
  shuffle_xor,
  ballot,
  collect
};
/// One lane's part in an operation of its warp: 8 bytes that it gives, 8 that it gets.
struct WarpCall {
  WarpOp op = WarpOp::sync;
  unsigned mask = 0;  // of the lanes that take part
  int argument = 0;   // source lane or distance
  int width = 32;     // of the groups within which lanes are counted
  std::uint64_t in = 0, out = 0;
  Place place;
};
/// Waits for the other lanes of the mask, then gives the call its `out`.
void warp_call(WarpCall& call);
/// What all 32 lanes give, up to 8 words each, until this warp's next call of it: for instructions
/// of a whole warp.
using LaneWords = unsigned[8];
const LaneWords* collect(const LaneWords& mine, Place place);

/// cp.async: this thread's copy of 16 bytes to shared memory, `bytes` of them from global memory
/// and the rest zeros; `group` counts the commits before it.
struct AsyncCopy {
  void* to;
  const void* from;
  unsigned bytes, group;
};
/// Keeps it: nothing is copied until the thread waits for its group, as late as a card may.
void copy_async(void* to, const void* from, unsigned bytes, Place place);
void commit_copies();
/// Takes the oldest one that cp.async.wait_group waits for, to be made now; false if there is none.
bool next_copy(unsigned groups_left, AsyncCopy& copy);

/// The block's array of `bytes` bytes behind a declaration in the source, `tag`. Filled with NaN.
void* shared_memory(const void* tag, std::size_t bytes, Place place);
/// The block's dynamic shared memory.
void* dynamic_shared_memory();

}  // namespace cuda_emulator
