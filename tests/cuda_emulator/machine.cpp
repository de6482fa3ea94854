#include "machine.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <mutex>
#include <random>
#include <vector>

#include "device_memory.hpp"
#include "fiber.hpp"

#ifdef LDLM_EMULATOR_ASAN
#include <sanitizer/asan_interface.h>
#endif
#ifdef LDLM_EMULATOR_TSAN
#include <sanitizer/tsan_interface.h>
#endif

dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace cuda_emulator {

namespace {

// ---- Happens-before, for ThreadSanitizer: what precedes a release of a token precedes what comes
// after its acquisition. Every barrier of every block has a token of its own, or blocks would be
// ordered by it. ----
void release([[maybe_unused]] char& token) {
#ifdef LDLM_EMULATOR_TSAN
  __tsan_release(&token);
#endif
}
void acquire([[maybe_unused]] char& token) {
#ifdef LDLM_EMULATOR_TSAN
  __tsan_acquire(&token);
#endif
}

// ThreadSanitizer takes blocks whose threads are the same fibers for one after the other, and sees
// no race between them. So there are several sets of fibers, as many as it can watch.
#ifdef LDLM_EMULATOR_TSAN
constexpr std::size_t most_fibers = 2 * max_block_threads;
#else
constexpr std::size_t most_fibers = max_block_threads;
#endif

enum class State : std::uint8_t { ready, at_block_barrier, in_warp_call, done };

struct Thread {
  Fiber* fiber = nullptr;
  State state = State::ready;
  unsigned number = 0;  // in the block
  Place place;          // of the barrier
  WarpCall* call = nullptr;
  AsyncCopy copies[128]{};  // not waited for yet, oldest first
  unsigned copy_count = 0, group = 0;
};

// Inside a launch nothing here allocates, and nothing is cleared with memset: ThreadSanitizer sees
// both, wherever they are called, and would order fibers by them or report them.
struct Machine {
  std::mutex mutex;  // one launch at a time
  std::mt19937_64 random{1};
  Counts counts;
  const char* fault_what = "";  // of the fault that ended the launch
  Place fault_place;
  dim3 fault_block;
  char fault[512] = "";

  const Launch* launch = nullptr;
  std::deque<Fiber> fibers;
  std::size_t sets_of_fibers = 1, set_of_fibers = 0;  // and the one whose turn it is
  std::vector<Thread> threads;
  std::vector<unsigned> ready;
  std::vector<unsigned> order;
  Thread* current = nullptr;
  bool faulted = false;
  LaneWords collected[max_block_threads]{};

  // Tokens. 33 a block: its barrier's, and one a warp's.
  static constexpr std::size_t block_tokens = 33;
  char launch_begin = 0, launch_end = 0;
  std::vector<char> tokens = std::vector<char>(block_tokens << 10);
  std::size_t block_token = 0;

  // Shared memory: declarations of the block that runs, in its arena.
  struct Shared {
    const void* tag;
    char* memory;
  };
  static constexpr std::size_t arena_bytes = std::size_t{1} << 20;
  char* arena = nullptr;
  Shared shared[64]{};
  std::size_t shared_count = 0, arena_used = 0, static_shared = 0;
  char* dynamic = nullptr;
};

Machine& machine() {
  static auto* const m = new Machine;  // kernels may run while the program ends
  return *m;
}

void leave(State state) {
  Machine& m = machine();
  Thread& thread = *m.current;
  thread.state = state;
  thread.fiber->leave(state == State::done);
}

void run_thread() {
  Machine& m = machine();
  acquire(m.launch_begin);
  m.launch->run(m.launch->closure);
  if (m.current->copy_count > 0) {
    fault("a thread ends before its cp.async are waited for", {});
  }
  release(m.launch_end);
  leave(State::done);
}

void set_fault(const char* what, Place place) {
  Machine& m = machine();
  if (!m.faulted) {  // put into words after the launch: ThreadSanitizer sees snprintf
    m.fault_what = what;
    m.fault_place = place;
    m.fault_block = blockIdx;
  }
  m.faulted = true;
}

void enter(Thread& thread) {
  Machine& m = machine();
  ++m.counts.switches;
  m.current = &thread;
  const unsigned i = thread.number;
  threadIdx.x = i % blockDim.x;
  threadIdx.y = i / blockDim.x % blockDim.y;
  threadIdx.z = i / blockDim.x / blockDim.y;
  thread.fiber->enter();
}

// ---- Shared memory. ----

constexpr std::size_t redzone = 64;

char* take_shared(std::size_t bytes) {
  Machine& m = machine();
  const std::size_t room = (bytes + 127) / 128 * 128 + redzone;
  if (m.arena_used + room > Machine::arena_bytes) {
    return nullptr;
  }
  char* const memory = m.arena + m.arena_used;
  m.arena_used += room;
#ifdef LDLM_EMULATOR_ASAN
  __asan_unpoison_memory_region(memory, room);
  __asan_poison_memory_region(memory + bytes, room - bytes);
#endif
  auto* const volatile words = memory;
  for (std::size_t i = 0; i < bytes; ++i) {
    words[i] = static_cast<char>(0xff);  // NaN, of any format
  }
  return memory;
}

void begin_shared() {
  Machine& m = machine();
#ifdef LDLM_EMULATOR_TSAN
  // The next block's is other memory than the last one's: mapped anew, what that did is forgotten.
  ::mmap(m.arena, (m.arena_used + 4095) / 4096 * 4096, PROT_READ | PROT_WRITE,
         MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
#endif
#ifdef LDLM_EMULATOR_ASAN
  __asan_poison_memory_region(m.arena, Machine::arena_bytes);
#endif
  m.shared_count = 0;
  m.arena_used = redzone;
  m.static_shared = 0;
  m.dynamic = m.launch->dynamic_shared > 0 ? take_shared(m.launch->dynamic_shared) : nullptr;
}

// ---- Operations of a warp. ----

// The lane that lane `lane` of a shuffle reads from; itself where that lies outside of its group.
unsigned source_lane(const WarpCall& call, unsigned lane) {
  const int width = call.width;
  const int here = static_cast<int>(lane);
  const int base = here / width * width;
  int from = here;
  switch (call.op) {
    case WarpOp::shuffle:
      from = base + (call.argument & (width - 1));
      break;
    case WarpOp::shuffle_up:
      from = here - call.argument;
      break;
    case WarpOp::shuffle_down:
      from = here + call.argument;
      break;
    case WarpOp::shuffle_xor:
      from = here ^ call.argument;
      break;
    default:
      break;
  }
  // A xor may reach into a group of lower lanes (the guide, "Warp Shuffle Functions").
  const bool reachable = from < base + width && (from >= base || call.op == WarpOp::shuffle_xor);
  return static_cast<unsigned>(reachable ? from : here);
}

// Does what the lanes of `first`'s mask ask for, if they are all there.
void resolve_call(Thread* warp, unsigned lanes, unsigned first) {
  const WarpCall& call = *warp[first].call;
  for (unsigned lane = 0; lane < warp_threads; ++lane) {
    if ((call.mask >> lane & 1U) == 0) {
      continue;
    }
    if (lane >= lanes) {
      return set_fault("a mask names a lane that the block does not have", call.place);
    }
    const Thread& other = warp[lane];
    if (other.state == State::done) {
      return set_fault("a mask names a lane that has ended", call.place);
    }
    if (other.state != State::in_warp_call) {
      return;
    }
    if (other.call->mask != call.mask || other.call->op != call.op ||
        !(other.call->place == call.place) || other.call->width != call.width) {
      return set_fault("lanes of one mask are in different warp operations", call.place);
    }
  }
  if (call.op == WarpOp::collect) {
    for (unsigned lane = 0; lane < lanes; ++lane) {
      const auto* const words = reinterpret_cast<const volatile unsigned*>(warp[lane].call->in);
      for (unsigned i = 0; i < std::size(LaneWords{}); ++i) {
        machine().collected[warp[lane].number][i] = words[i];
      }
    }
  }
  unsigned votes = 0;
  for (unsigned lane = 0; lane < lanes; ++lane) {
    if ((call.mask >> lane & 1U) != 0 && warp[lane].call->in != 0) {
      votes |= 1U << lane;
    }
  }
  for (unsigned lane = 0; lane < lanes; ++lane) {
    if ((call.mask >> lane & 1U) == 0) {
      continue;
    }
    WarpCall& mine = *warp[lane].call;
    if (call.op == WarpOp::ballot) {
      mine.out = votes;
    } else if (call.op != WarpOp::sync && call.op != WarpOp::collect) {
      const unsigned from = source_lane(mine, lane);
      if (from >= lanes || (call.mask >> from & 1U) == 0) {
        return set_fault("a shuffle reads a lane that takes no part in it", mine.place);
      }
      mine.out = warp[from].call->in;
    }
  }
  const unsigned mask = call.mask;
  for (unsigned lane = 0; lane < lanes; ++lane) {
    if ((mask >> lane & 1U) != 0) {
      warp[lane].state = State::ready;
    }
  }
}

void resolve_warps() {
  Machine& m = machine();
  const auto count = static_cast<unsigned>(m.threads.size());
  for (unsigned first = 0; first < count && !m.faulted; first += warp_threads) {
    const unsigned lanes = std::min(warp_threads, count - first);
    for (unsigned lane = 0; lane < lanes && !m.faulted; ++lane) {
      if (m.threads[first + lane].state == State::in_warp_call) {
        resolve_call(&m.threads[first], lanes, lane);
      }
    }
  }
}

// ---- Blocks. ----

// No thread can go on: opens the barrier that all are at.
void resolve_barrier() {
  Machine& m = machine();
  const Thread* at = nullptr;
  bool ended = false;
  for (const Thread& thread : m.threads) {
    if (thread.state == State::in_warp_call) {
      return set_fault("a warp operation waits for lanes that do not come", thread.call->place);
    }
    ended = ended || thread.state == State::done;
    if (thread.state == State::at_block_barrier) {
      if (at != nullptr && !(at->place == thread.place)) {
        return set_fault("threads of one block are at different barriers", thread.place);
      }
      at = &thread;
    }
  }
  if (ended) {
    return set_fault("a barrier waits for threads that have ended", at->place);
  }
  for (Thread& thread : m.threads) {
    thread.state = State::ready;
  }
}

void run_block() {
  Machine& m = machine();
  ++m.counts.blocks;
  m.block_token = (m.block_token + Machine::block_tokens) % m.tokens.size();
  begin_shared();
  release(m.launch_begin);
  const std::size_t first_fiber = m.set_of_fibers * m.threads.size();
  m.set_of_fibers = (m.set_of_fibers + 1) % m.sets_of_fibers;
  for (unsigned i = 0; i < m.threads.size(); ++i) {
    Thread& thread = m.threads[i];
    thread.number = i;
    thread.copy_count = 0;
    thread.group = 0;
    thread.state = State::ready;
    thread.fiber = &m.fibers[first_fiber + i];
    thread.fiber->prepare(run_thread);
  }
  for (;;) {
    std::size_t ready = 0;
    std::size_t done = 0;
    for (unsigned i = 0; i < m.threads.size(); ++i) {
      if (m.threads[i].state == State::ready) {
        m.ready[ready++] = i;
      }
      done += m.threads[i].state == State::done ? 1 : 0;
    }
    if (done == m.threads.size()) {
      return;
    }
    if (ready == 0) {
      resolve_barrier();
    }
    std::shuffle(m.ready.begin(), m.ready.begin() + static_cast<std::ptrdiff_t>(ready), m.random);
    for (std::size_t i = 0; i < ready && !m.faulted; ++i) {
      enter(m.threads[m.ready[i]]);
    }
    if (!m.faulted) {
      resolve_warps();
    }
    if (m.faulted) {
      for (Thread& thread : m.threads) {  // what they did until here, they have done
        thread.fiber->release(m.launch_end);
      }
      return;
    }
  }
}

void prepare(const Launch& launch) {
  Machine& m = machine();
  m.launch = &launch;
  m.faulted = false;
  m.fault[0] = '\0';
  if (m.arena == nullptr) {
    m.arena = static_cast<char*>(::mmap(nullptr, Machine::arena_bytes, PROT_READ | PROT_WRITE,
                                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  }
  gridDim = launch.grid;
  blockDim = launch.block;
  const std::size_t threads = std::size_t{blockDim.x} * blockDim.y * blockDim.z;
  m.threads.assign(threads, Thread{});
  m.ready.resize(threads);
  m.order.resize(std::size_t{gridDim.x} * gridDim.y * gridDim.z);
  m.sets_of_fibers = std::min(most_fibers / threads, m.order.size());
  m.set_of_fibers = 0;
  while (m.fibers.size() < m.sets_of_fibers * threads) {
    m.fibers.emplace_back();
  }
  for (unsigned i = 0; i < m.order.size(); ++i) {
    m.order[i] = i;
  }
  std::shuffle(m.order.begin(), m.order.end(), m.random);
}

}  // namespace

bool run(const Launch& launch) {
  Machine& m = machine();
  const std::lock_guard lock(m.mutex);
  ++m.counts.launches;
  prepare(launch);
  const MemoryAccess access(MemoryAccess::of_a_kernel);
  for (const unsigned block : m.order) {
    blockIdx.x = block % gridDim.x;
    blockIdx.y = block / gridDim.x % gridDim.y;
    blockIdx.z = block / gridDim.x / gridDim.y;
    run_block();
    if (m.faulted) {
      break;
    }
  }
  acquire(m.launch_end);
  if (m.faulted) {
    std::snprintf(m.fault, sizeof m.fault, "%s: %s, block (%u, %u, %u), %s:%u", launch.kernel,
                  m.fault_what, m.fault_block.x, m.fault_block.y, m.fault_block.z,
                  m.fault_place.file, m.fault_place.line);
  }
  m.launch = nullptr;
  return !m.faulted;
}

void set_seed(std::uint64_t seed) {
  Machine& m = machine();
  const std::lock_guard lock(m.mutex);
  m.random.seed(seed);
}
const char* last_fault() {
  return machine().fault;
}
Counts counts() {
  return machine().counts;
}

void fault(const char* what, Place place) {
  set_fault(what, place);
  leave(State::done);  // the scheduler ends the launch
  std::abort();
}

void block_barrier(Place place) {
  Machine& m = machine();
  m.current->place = place;
  char& token = m.tokens[m.block_token];
  release(token);
  leave(State::at_block_barrier);
  acquire(token);
}

void warp_call(WarpCall& call) {
  Machine& m = machine();
  Thread& thread = *m.current;
  const unsigned lane = thread.number % warp_threads;
  if ((call.mask >> lane & 1U) == 0) {
    fault("a lane is not in its own mask", call.place);
  }
  thread.call = &call;
  char& token = m.tokens[m.block_token + 1 + thread.number / warp_threads];
  const bool orders = call.op == WarpOp::sync;  // the others say nothing of memory
  if (orders) {
    release(token);
  }
  leave(State::in_warp_call);
  if (orders) {
    acquire(token);
  }
}

const LaneWords* collect(const LaneWords& mine, Place place) {
  WarpCall call{
      WarpOp::collect, 0xffffffffU, 0, 32, reinterpret_cast<std::uint64_t>(mine), 0, place};
  warp_call(call);
  return machine().collected + machine().current->number / warp_threads * warp_threads;
}

void copy_async(void* to, const void* from, unsigned bytes, Place place) {
  Thread& thread = *machine().current;
  const auto misaligned = [](const void* at) { return reinterpret_cast<std::uintptr_t>(at) % 16; };
  if (misaligned(to) != 0 || misaligned(from) != 0 || bytes > 16) {
    fault("cp.async needs both addresses aligned to its 16 bytes", place);
  }
  if (thread.copy_count == std::size(thread.copies)) {
    fault("a thread has more copies under way than the emulator keeps", place);
  }
  thread.copies[thread.copy_count++] = {to, from, bytes, thread.group};
}

void commit_copies() {
  ++machine().current->group;
}

bool next_copy(unsigned groups_left, AsyncCopy& copy) {
  Thread& thread = *machine().current;
  if (thread.copy_count == 0 || thread.copies[0].group + groups_left >= thread.group) {
    return false;
  }
  copy = thread.copies[0];
  --thread.copy_count;
  for (unsigned i = 0; i < thread.copy_count; ++i) {
    AsyncCopy* const volatile to = &thread.copies[i];  // no memmove, see above
    *to = thread.copies[i + 1];
  }
  return true;
}

void* shared_memory(const void* tag, std::size_t bytes, Place place) {
  Machine& m = machine();
  for (std::size_t i = 0; i < m.shared_count; ++i) {
    if (m.shared[i].tag == tag) {
      return m.shared[i].memory;
    }
  }
  m.static_shared += bytes;
  if (m.static_shared > max_static_shared || m.shared_count == std::size(m.shared)) {
    fault("a kernel declares more than 48 KiB of shared memory", place);
  }
  char* const memory = take_shared(bytes);
  m.shared[m.shared_count].tag = tag;
  m.shared[m.shared_count].memory = memory;
  ++m.shared_count;
  return memory;
}

void* dynamic_shared_memory() {
  return machine().dynamic;
}

}  // namespace cuda_emulator
