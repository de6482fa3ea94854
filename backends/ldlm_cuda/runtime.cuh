#pragma once
// The card as the backend's host code sees it: its stream, its memory, its errors.

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

#include <ldlm/core/device_memory.hpp>

namespace ldlm::cuda_backend {

/// Throws an Error "[op] CUDA: what went wrong" unless it is cudaSuccess.
void check(cudaError_t error, const char* op);
/// The error of a launch, if there is one; with LDLM_CUDA_SYNC=1 in the environment also what the
/// kernel itself met, for which it waits.
void check_launch(const char* op);

/// The one stream that all work goes to, but for that which the calling thread records. Throws,
/// saying why, if no card can be used.
cudaStream_t stream();
/// Of the card.
int multiprocessors();

/// Copies between host and card. read_back() waits for all work before it. Neither can be recorded.
void read_back(void* to, const void* from, std::size_t bytes, const char* op);
void write_to(void* to, const void* from, std::size_t bytes, const char* op);

/// Memory for a kernel that works through some of its own, of this scope.
class Scratch {
 public:
  explicit Scratch(std::size_t bytes);
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch();
  template <class T>
  [[nodiscard]] T* as() const {
    return static_cast<T*>(data_);
  }

 private:
  void* data_;
  std::size_t bytes_;
};

/// Makes the card's memory that of DeviceType::cuda; true.
bool register_memory();

}  // namespace ldlm::cuda_backend
