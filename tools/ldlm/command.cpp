#include "command.hpp"

#include <csignal>

namespace ldlm::command {

namespace {

volatile std::sig_atomic_t signal_seen = 0;

void on_interrupt(int signal) {
  signal_seen = signal;
}

}  // namespace

CLI::App* add_subcommand(CLI::App& app, const std::string& name, const std::string& description,
                         const std::string& example, std::function<void()> action) {
  CLI::App* const command = app.add_subcommand(name, description);
  command->footer("Example:\n  " + example);
  command->fallthrough();
  command->callback(std::move(action));
  return command;
}

void refuse_without_effect(const CLI::App& command, const std::string& option,
                           const std::string& where) {
  const CLI::App* owner = &command;
  while (owner->get_option_no_throw(option) == nullptr && owner->get_parent() != nullptr) {
    owner = owner->get_parent();
  }
  if (owner->get_option(option)->count() > 0) {
    throw CLI::ValidationError(option, "has no effect " + where);
  }
}

void catch_interrupts() {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction action {};
    ::sigaction(signal, nullptr, &action);
    if (action.sa_handler != SIG_IGN) {
      action = {};
      action.sa_handler = on_interrupt;
      action.sa_flags = static_cast<int>(SA_RESTART | SA_RESETHAND);
      ::sigaction(signal, &action, nullptr);
    }
  }
}
bool interrupted() {
  return signal_seen != 0;
}
int interrupt_signal() {
  return signal_seen;
}

}  // namespace ldlm::command
