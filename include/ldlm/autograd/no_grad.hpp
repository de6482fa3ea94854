#pragma once
// NoGrad: a scope in which functions compute values only.

#include <atomic>
#include <cstdint>
#include <utility>

namespace ldlm {

namespace detail {

/// What the functions of this thread record. `graph` numbers the graph that new nodes belong to: 0,
/// or the number of the recomputation that a checkpoint's backward pass is making.
struct Recording {
  bool enabled = true;
  std::uint64_t graph = 0;
};
inline Recording& recording() noexcept {
  thread_local Recording state;
  return state;
}

/// Replaces the thread's Recording for a scope.
class RecordingScope {
 public:
  explicit RecordingScope(Recording state) noexcept
      : previous_(std::exchange(recording(), state)) {}
  RecordingScope(const RecordingScope&) = delete;
  RecordingScope& operator=(const RecordingScope&) = delete;
  ~RecordingScope() { recording() = previous_; }

 private:
  Recording previous_;
};

inline std::uint64_t new_graph() noexcept {
  static std::atomic<std::uint64_t> count{0};
  return ++count;
}

}  // namespace detail

/// While one lives, functions called in this thread record no graph and save nothing:
/// `{ const NoGrad scope; auto y = model(x); }`. Scopes nest.
class NoGrad {
 public:
  NoGrad() noexcept : scope_({false, detail::recording().graph}) {}

 private:
  detail::RecordingScope scope_;
};

/// Whether functions called in this thread record a graph.
[[nodiscard]] inline bool grad_enabled() noexcept {
  return detail::recording().enabled;
}

}  // namespace ldlm
