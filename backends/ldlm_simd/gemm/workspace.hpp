#pragma once
// The memory that a thread packs into: grown when needed, kept for the next product.

#include <cstddef>
#include <cstdint>
#include <new>
#include <utility>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include <ldlm_simd/vector.hpp>

namespace ldlm::simd {

/// Uninitialised memory for elements of T, aligned to cache lines; large buffers lie on huge pages
/// where the system grants them.
template <class T, class Arch>
class GemmBuffer {
 public:
  GemmBuffer() = default;
  GemmBuffer(const GemmBuffer&) = delete;
  GemmBuffer& operator=(const GemmBuffer&) = delete;
  ~GemmBuffer() { release(); }

  /// Room for at least `count` elements; what was in the buffer may be lost.
  T* reserve(std::int64_t count) {
    const auto bytes = static_cast<std::size_t>(count) * sizeof(T);
    if (bytes > bytes_) {
      release();
      alignment_ = std::align_val_t{bytes < huge_page ? 64 : huge_page};
      const std::size_t unit = bytes < huge_page ? 4096 : huge_page;
      const std::size_t rounded = (bytes + unit - 1) / unit * unit;
      data_ = static_cast<T*>(::operator new(rounded, alignment_));
      bytes_ = rounded;
#if defined(__linux__)
      if (bytes >= huge_page) {
        ::madvise(data_, rounded, MADV_HUGEPAGE);  // a wish: failure changes nothing
      }
#endif
    }
    return data_;
  }

 private:
  void release() {
    if (data_ != nullptr) {
      ::operator delete(data_, alignment_);
      data_ = nullptr;
      bytes_ = 0;
    }
  }

  static constexpr std::size_t huge_page = std::size_t{2} << 20;
  T* data_ = nullptr;
  std::size_t bytes_ = 0;
  std::align_val_t alignment_{64};
};

/// Which rows of which A lie packed in a workspace.
struct GemmBlockKey {
  std::uint64_t product = 0;  // number of the gemm call
  std::int64_t batch = 0, row = 0;
  friend bool operator==(const GemmBlockKey&, const GemmBlockKey&) = default;
};

template <class T, class Arch>
struct GemmWorkspace {
  GemmBuffer<T, Arch> a;                 // rows of A
  GemmBlockKey a_key;                    // which ones
  std::int64_t a_first = 0, a_last = 0;  // for steps in [a_first, a_last)
  GemmBuffer<T, Arch> b;                 // one panel of B
  GemmBuffer<T, Arch> sums;              // sums that may not go to C yet
  GemmBuffer<T, Arch> shared_b;  // panels of B that all threads read; owned by the calling thread

  /// This thread's own. Made anew where the thread's objects, or even static ones, are being
  /// destroyed and the first one is gone; that second one is the system's to free.
  static GemmWorkspace& local() {
    static constinit thread_local GemmWorkspace* workspace = nullptr;
    struct Owner {
      ~Owner() { delete std::exchange(workspace, nullptr); }
    };
    if (workspace == nullptr) [[unlikely]] {
      static thread_local const Owner owner;
      workspace = new GemmWorkspace;
    }
    return *workspace;
  }
};

}  // namespace ldlm::simd
