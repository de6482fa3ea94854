#pragma once
// A flow of control with a stack of its own, known to AddressSanitizer and ThreadSanitizer. Units
// that define LDLM_EMULATOR_ASAN or LDLM_EMULATOR_TSAN tell that sanitizer of each switch.
//
// For ThreadSanitizer every fiber is a thread, and a switch orders nothing: what two fibers do to
// one word is a data race unless a barrier of the emulator lies between.

#include <cstddef>

namespace cuda_emulator {

class Fiber {
 public:
  static constexpr std::size_t stack_bytes = std::size_t{128} << 10;

  Fiber() = default;
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;
  ~Fiber();

  /// The next enter() begins `function`, which must end with leave(true), on a fresh stack; what
  /// the fiber was in the middle of is forgotten. Allocates the first time only.
  void prepare(void (*function)());
  /// From the scheduler: runs the fiber until it leaves.
  void enter();
  /// From within: goes back to where enter() was called. `last`: it will not be entered again.
  void leave(bool last = false);
  /// From the scheduler, of a fiber that is not entered again: what it did comes before what
  /// follows an acquisition of this token (ThreadSanitizer's).
  void release(char& token);

 private:
  char* stack_ = nullptr;  // above an inaccessible page
  void* position_ = nullptr;
  void* fake_stack_ = nullptr;  // AddressSanitizer's
  void* thread_ = nullptr;      // ThreadSanitizer's
};

}  // namespace cuda_emulator
