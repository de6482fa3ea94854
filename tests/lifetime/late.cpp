// Kernels, tensors and tokenizers' tables in the destructor of a static object, in a process and in
// the child of its fork().

#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>

#include <ldlm/core/ops.hpp>
#include <ldlm/core/threads.hpp>
#include <ldlm/text/normalizer.hpp>

#if __has_include(<sys/wait.h>)
#include <sys/wait.h>
#include <unistd.h>
#endif

namespace {

using Floats = ldlm::Tensor<float>;

// Exit codes other than 0 name what went wrong; nobody catches what a destructor throws.
void compute(int first_code) {
  const auto a = Floats::full({300, 300}, 1.0F);
  const auto b = matmul(a, a);
  if (b.at({299, 299}) != 300.0F) {
    std::_Exit(first_code);
  }
  if (sum(softmax(b)).item() < 299.0F || sum(Floats::ones({100000})).item() != 100000.0F) {
    std::_Exit(first_code + 1);
  }
  if (ldlm::nfc("e\xCC\x81") != "\xC3\xA9") {
    std::_Exit(first_code + 2);
  }
}

// Made before all that the library makes on its first use, and so destroyed after it.
struct Late {
  ~Late() {
    compute(10);
    kept = Floats();
  }
  Floats kept;
} late;

}  // namespace

int main() {
  ldlm::set_num_threads(3);
  late.kept = Floats::ones({1000});
  compute(20);
  std::thread([] { compute(30); }).join();
#if __has_include(<sys/wait.h>)
  const pid_t child = fork();
  if (child == 0) {
    compute(40);
#ifdef __SANITIZE_ADDRESS__
    _exit(0);  // what the parent's threads own looks like leaks here
#endif
    return 0;  // through all destructors
  }
  int status = -1;
  if (child < 0 || waitpid(child, &status, 0) != child || status != 0) {
    std::printf("the child ended with %d\n", WIFEXITED(status) ? WEXITSTATUS(status) : -status);
    return 1;
  }
#endif
  compute(50);
  return 0;
}
