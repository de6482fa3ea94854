#pragma once
// A number of threads for the length of a test.

#include <ldlm/core/threads.hpp>

namespace ldlm_test {

class Threads {
 public:
  explicit Threads(int count) { ldlm::set_num_threads(count); }
  ~Threads() { ldlm::set_num_threads(before_); }
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;

 private:
  int before_ = ldlm::num_threads();
};

}  // namespace ldlm_test
