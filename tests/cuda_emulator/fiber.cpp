#include "fiber.hpp"

#include <sys/mman.h>

#include <cstdint>
#include <new>

#ifdef LDLM_EMULATOR_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef LDLM_EMULATOR_TSAN
#include <sanitizer/tsan_interface.h>
#endif
#ifndef __x86_64__
#include <ucontext.h>
#endif

namespace cuda_emulator {

namespace {

constexpr std::size_t page = 4096;

// Where the scheduler stands, as sanitizers know it.
struct Scheduler {
  void* position = nullptr;
  void* fake_stack = nullptr;
  const void* bottom = nullptr;
  std::size_t bytes = 0;
  void* thread = nullptr;
};
Scheduler scheduler;
void (*begin_function)() = nullptr;

}  // namespace

#ifdef __x86_64__
// Keeps what the System V calling convention says a call preserves (psABI 3.2.1), and no signal
// mask, for which swapcontext makes a system call each time.
extern "C" void ldlm_emulator_switch(void** save, void* load);
asm(R"(.text
.globl ldlm_emulator_switch
.type ldlm_emulator_switch,@function
ldlm_emulator_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size ldlm_emulator_switch,.-ldlm_emulator_switch
.section .note.GNU-stack,"",@progbits
.text
)");

namespace {
void* fresh_position(char* stack, void (*function)()) {
  auto** top = reinterpret_cast<void**>(stack + Fiber::stack_bytes);
  *--top = nullptr;  // no return address; it aligns the stack as a call does
  *--top = reinterpret_cast<void*>(function);
  for (int i = 0; i < 6; ++i) {
    *--top = nullptr;  // the preserved registers
  }
  return top;
}
void switch_stacks(void** save, void* load) {
  ldlm_emulator_switch(save, load);
}
}  // namespace
#else
namespace {
// A position is a context on the stack that it is of.
void* fresh_position(char* stack, void (*function)()) {
  auto* const context = new (stack) ucontext_t;
  ::getcontext(context);
  context->uc_stack.ss_sp = stack + sizeof(ucontext_t);
  context->uc_stack.ss_size = Fiber::stack_bytes - sizeof(ucontext_t);
  context->uc_link = nullptr;
  ::makecontext(context, function, 0);
  return context;
}
void switch_stacks(void** save, void* load) {
  ucontext_t here;
  *save = &here;
  ::swapcontext(&here, static_cast<ucontext_t*>(load));
}
}  // namespace
#endif

namespace {
// The first thing that runs on a fresh stack.
void begin() {
#ifdef LDLM_EMULATOR_ASAN
  __sanitizer_finish_switch_fiber(nullptr, &scheduler.bottom, &scheduler.bytes);
#endif
  begin_function();
  __builtin_trap();  // the function must have left
}
}  // namespace

void Fiber::prepare(void (*function)()) {
  if (stack_ == nullptr) {
    void* const memory = ::mmap(nullptr, page + stack_bytes, PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
      throw std::bad_alloc();
    }
    ::mprotect(memory, page, PROT_NONE);
    stack_ = static_cast<char*>(memory) + page;
#ifdef LDLM_EMULATOR_TSAN
    thread_ = __tsan_create_fiber(0);
#endif
  }
#ifdef LDLM_EMULATOR_ASAN
  __asan_unpoison_memory_region(stack_, stack_bytes);  // frames that were left in the middle
#endif
  fake_stack_ = nullptr;
  begin_function = function;
  position_ = fresh_position(stack_, begin);
}

void Fiber::enter() {
#ifdef LDLM_EMULATOR_TSAN
  scheduler.thread = __tsan_get_current_fiber();
  __tsan_switch_to_fiber(thread_, __tsan_switch_to_fiber_no_sync);
#endif
#ifdef LDLM_EMULATOR_ASAN
  __sanitizer_start_switch_fiber(&scheduler.fake_stack, stack_, stack_bytes);
#endif
  switch_stacks(&scheduler.position, position_);
#ifdef LDLM_EMULATOR_ASAN
  __sanitizer_finish_switch_fiber(scheduler.fake_stack, nullptr, nullptr);
#endif
}

void Fiber::leave([[maybe_unused]] bool last) {
#ifdef LDLM_EMULATOR_TSAN
  __tsan_switch_to_fiber(scheduler.thread, __tsan_switch_to_fiber_no_sync);
#endif
#ifdef LDLM_EMULATOR_ASAN
  __sanitizer_start_switch_fiber(last ? nullptr : &fake_stack_, scheduler.bottom, scheduler.bytes);
#endif
  switch_stacks(&position_, scheduler.position);
#ifdef LDLM_EMULATOR_ASAN
  __sanitizer_finish_switch_fiber(fake_stack_, &scheduler.bottom, &scheduler.bytes);
#endif
}

void Fiber::release([[maybe_unused]] char& token) {
#ifdef LDLM_EMULATOR_TSAN
  void* const here = __tsan_get_current_fiber();
  __tsan_switch_to_fiber(thread_, __tsan_switch_to_fiber_no_sync);
  __tsan_release(&token);
  __tsan_switch_to_fiber(here, __tsan_switch_to_fiber_no_sync);
#endif
}

Fiber::~Fiber() {
#ifdef LDLM_EMULATOR_TSAN
  if (thread_ != nullptr) {
    __tsan_destroy_fiber(thread_);
  }
#endif
  if (stack_ != nullptr) {
    ::munmap(stack_ - page, page + stack_bytes);
  }
}

}  // namespace cuda_emulator
