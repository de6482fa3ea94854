// ldlm: the Latent Diffusion Language Model from the command line. See `ldlm --help`.

#include <csignal>
#include <exception>
#include <iostream>
#include <new>
#include <string>
#include <vector>

#include <fcntl.h>
#include <unistd.h>

#include <ldlm/core/devices.hpp>
#include <ldlm/core/precision.hpp>
#include <ldlm/core/threads.hpp>

#include "command.hpp"
#include "literal_arguments.hpp"
#include "option_values.hpp"

namespace {

/// Takes the places of standard streams that were closed, so that no file of ours gets one of their
/// numbers and is then written to as standard output. Reading and writing still fail.
void occupy_standard_streams() {
  for (int stream = STDIN_FILENO; stream <= STDERR_FILENO; ++stream) {
    if (::fcntl(stream, F_GETFD) < 0) {  // the lowest free number is this one
      (void)::open("/dev/null", stream == STDIN_FILENO ? O_WRONLY : O_RDONLY);
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  using namespace ldlm;
  occupy_standard_streams();
  command::Common common;
  CLI::App app("Latent diffusion for text: train, sample, reconstruct and evaluate.", "ldlm");
  app.require_subcommand(1);
  app.set_version_flag(
      "--version",
      [] {
        try {
          return std::string(LDLM_VERSION "\n") + to_string(backend_info());
        } catch (const Error& error) {
          return std::string(LDLM_VERSION "\n") + error.what();
        }
      },
      "Print the version, and which kernels run on this processor");
  app.footer(
      "Exit status: 0, 1 for errors, 2 for wrong usage; 128 + signal where Ctrl-C, SIGTERM\n"
      "or SIGHUP ended a training, which has then written a checkpoint (a second one ends it at\n"
      "once).\n"
      "Example:\n  ldlm demo \"The river rises in the north.\"");
  app.option_defaults()->always_capture_default();
  app.add_option("--model", common.model, "The model's folder");
  app.add_option("--seed", common.seed, "Seed of everything random");
  app.add_option("--threads", common.threads, "Threads to use; 0: one per core")
      ->check(CLI::Range(0, 1024));
  app.add_option("--matmul-precision", common.precision,
                 "highest; high: products of tf32 on a card; medium: of bf16 where they are fast")
      ->check(CLI::IsMember({"highest", "high", "medium"}));
  app.add_option("--device", common.device_name, "Where models compute; see `ldlm devices`")
      ->check(CLI::IsMember({"cpu", "cuda"}));
  app.add_flag("--json", common.json, "Print results as JSON, a document a line");
  app.add_flag("--quiet", common.quiet, "Print results only");
  app.parse_complete_callback([&common] {
    (void)device_info(common.device());  // what cannot be used is said before any work
    if (common.threads > 0) {
      set_num_threads(common.threads);
    }
    set_matmul_precision(common.precision == "medium" ? MatmulPrecision::medium
                         : common.precision == "high" ? MatmulPrecision::high
                                                      : MatmulPrecision::highest);
  });
  command::add_text_commands(app, common);
  command::add_latent_commands(app, common);
  command::add_generate_command(app, common);
  command::add_embed_command(app, common);
  command::add_model_commands(app, common);
  command::add_select_command(app, common);
  command::add_pretraining_commands(app, common);
  command::add_training_commands(app, common);
  command::add_eval_command(app, common);
  command::add_quantize_command(app, common);
  command::add_devices_command(app, common);
  command::read_values_strictly(app);
  command::read_brackets_literally(app);

  constexpr int failed = 1;
  constexpr int wrong_usage = 2;
  std::signal(SIGXFSZ, SIG_IGN);  // a file that may not grow is an error of its writer
  std::signal(SIGPIPE, SIG_IGN);  // and so is a reader that has gone
  try {
    try {
      const std::vector<std::string> arguments = command::mark_brackets(argc, argv);
      std::vector<const char*> pointers;
      for (const std::string& argument : arguments) {
        pointers.push_back(argument.c_str());
      }
      app.parse(argc, pointers.data());
    } catch (const CLI::ParseError& error) {
      if (error.get_exit_code() != 0) {
        std::string message = error.what();
        const std::vector<std::string> unknown = app.remaining(true);
        if (dynamic_cast<const CLI::RequiredError*>(&error) != nullptr && !unknown.empty()) {
          message += "; unknown is " + unknown.front();  // such as a subcommand's name
        }
        command::say_error(message);
        std::cerr << "Run with --help for more information.\n";
        return wrong_usage;
      }
      app.exit(error);  // prints the help or the version
    }
    command::flush_output();
  } catch (const command::TextsFailed& failure) {  // each has been reported
    if (!common.quiet && *failure.what() != '\0') {
      command::say_error(failure.what());
    }
    return failed;
  } catch (const std::bad_alloc&) {
    command::say_error("out of memory");
    return failed;
  } catch (const std::exception& error) {
    command::say_error(error.what());
    return failed;
  }
  return command::interrupted() ? 128 + command::interrupt_signal() : 0;
}
