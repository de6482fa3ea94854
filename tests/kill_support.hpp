#pragma once
// Killing a process at a chosen system call, to try every state that a killed writer can leave.

#include <cerrno>
#include <csignal>
#include <stdexcept>

#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

namespace io_support {

enum class Killed { yes, no, not_allowed };

/// Runs `action` in a child process, which is killed on its way into its n-th system call (n = 1,
/// 2, ...). Returns no if the action gets through with fewer; throws if it fails.
template <class Action>
Killed run_until_system_call(int n, Action&& action) {
  const pid_t child = ::fork();
  if (child == 0) {
    if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) {
      ::_exit(77);
    }
    ::raise(SIGSTOP);
    try {
      action();
    } catch (...) {
      ::_exit(1);
    }
    ::_exit(0);
  }
  int status = 0;
  bool ok = child > 0 && ::waitpid(child, &status, 0) == child;
  if (ok && WIFEXITED(status) && WEXITSTATUS(status) == 77) {
    return Killed::not_allowed;
  }
  // Each call stops the child twice, on its way in and on its way out.
  for (int stops = 1; ok && stops < 2 * n && WIFSTOPPED(status); ++stops) {
    ok = ::ptrace(PTRACE_SYSCALL, child, nullptr, nullptr) == 0 &&
         ::waitpid(child, &status, 0) == child;
  }
  const bool killed = ok && WIFSTOPPED(status);
  if (killed) {
    ok = ::kill(child, SIGKILL) == 0 && ::waitpid(child, &status, 0) == child;
  }
  if (!ok || (!killed && !(WIFEXITED(status) && WEXITSTATUS(status) == 0))) {
    throw std::runtime_error("the child process failed");
  }
  return killed ? Killed::yes : Killed::no;
}

}  // namespace io_support
