// Checkpoints: exact, complete or not there at all, whenever the process dies.

#include <algorithm>
#include <bit>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include <ldlm/io/checkpoint.hpp>

#include "io_support.hpp"
#include "kill_support.hpp"

using namespace io_support;
using ldlm::Checkpoint;
using ldlm::Generator;
using ldlm::JsonValue;
using ldlm::latest_checkpoint;
using ldlm::list_checkpoints;
using ldlm::load_checkpoint;
using ldlm::NamedTensors;
using ldlm::save_checkpoint;
using ldlm::Tensor;

namespace {

Tensor<float> filled(std::int64_t n, float value) {
  Tensor<float> out = Tensor<float>::empty({n});
  std::fill_n(out.data(), n, value);
  return out;
}

// A checkpoint in which everything tells the step.
Checkpoint checkpoint_of(std::int64_t step, std::int64_t n = 16) {
  const auto value = static_cast<float>(step);
  Checkpoint out;
  out.step = step;
  out.data_position = 10 * step;
  out.generators = {{"noise", Generator(7, static_cast<std::uint64_t>(step))}};
  out.extra = JsonValue::object({{"step", step}});
  out.model = {{"weight", filled(n, value)}};
  out.optimizer = {{"weight.mean", filled(n, value)}, {"weight.variance", filled(n, value)}};
  out.ema = {{"weight", filled(n, value)}};
  return out;
}

// Whether every part of a loaded checkpoint is of its step.
bool is_consistent(const Checkpoint& checkpoint) {
  const auto value = static_cast<float>(checkpoint.step);
  bool ok =
      checkpoint.data_position == 10 * checkpoint.step && checkpoint.generators.size() == 1 &&
      checkpoint.generators[0].second.offset() == static_cast<std::uint64_t>(checkpoint.step) &&
      checkpoint.extra.find("step")->as<std::int64_t>() == checkpoint.step &&
      checkpoint.model.size() == 1 && checkpoint.optimizer.size() == 2 &&
      checkpoint.ema.size() == 1;
  for (const auto& part : {checkpoint.model, checkpoint.optimizer, checkpoint.ema}) {
    for (const auto& [name, tensor] : part) {
      const std::vector<float> values(tensor.data(), tensor.data() + tensor.numel());
      ok = ok && std::count(values.begin(), values.end(), value) == tensor.numel();
    }
  }
  return ok;
}

// Steps of the complete checkpoints, in the order in which they were saved.
std::vector<std::int64_t> steps(const fs::path& root) {
  std::vector<std::int64_t> out;
  for (const auto& entry : list_checkpoints(root)) {
    out.push_back(entry.step);
  }
  return out;
}

Checkpoint latest(const fs::path& root) {
  return load_checkpoint(latest_checkpoint(root).value());
}

}  // namespace

TEST_CASE("a checkpoint comes back bit for bit") {
  TempFolder folder;
  Checkpoint saved;
  saved.step = 1234;
  saved.data_position = 5'000'000'000;
  saved.generators = {{"data", Generator(UINT64_MAX, 3)}, {"noise", Generator(1, UINT64_MAX)}};
  saved.schedule = JsonValue::object({{"rate", 0.1 + 0.2}, {"warm_up", 100}});
  saved.config = JsonValue::object({{"layers", JsonValue::array({1, 2})}});
  saved.extra = "free";
  const std::vector<std::uint32_t> bits{0x7fc01234, 0xff800000, 0x80000000, 0x00000001, 0x3f800000};
  Tensor<float> odd = Tensor<float>::empty({5});
  std::transform(bits.begin(), bits.end(), odd.data(),
                 [](std::uint32_t word) { return std::bit_cast<float>(word); });
  saved.model = {{"b", odd}, {"a", filled(3, 2)}};
  saved.optimizer = {{"b.mean", odd}};

  const fs::path path = save_checkpoint(folder / "runs" / "x", saved);
  CHECK(path == folder / "runs" / "x" / "step-00001234");
  const Checkpoint loaded = load_checkpoint(path);
  CHECK(loaded.step == 1234);
  CHECK(loaded.data_position == 5'000'000'000);
  REQUIRE(loaded.generators.size() == 2);
  CHECK(loaded.generators[0].first == "data");
  CHECK(loaded.generators[0].second.seed() == UINT64_MAX);
  CHECK(loaded.generators[0].second.offset() == 3);
  CHECK(loaded.generators[1].second.offset() == UINT64_MAX);
  CHECK(loaded.schedule == saved.schedule);
  CHECK(loaded.config == saved.config);
  CHECK(loaded.extra == saved.extra);
  REQUIRE(find(loaded.model, "b") != nullptr);
  for (std::size_t i = 0; i < bits.size(); ++i) {
    CHECK(std::bit_cast<std::uint32_t>(find(loaded.model, "b")->data()[i]) == bits[i]);
  }
  CHECK(find(loaded.model, "a")->shape() == ldlm::Shape{3});
  CHECK(loaded.optimizer.size() == 1);
  CHECK(loaded.ema.empty());
}

TEST_CASE("the last ones are kept, in the order of saving") {
  TempFolder folder;
  CHECK(list_checkpoints(folder / "none").empty());
  CHECK(!latest_checkpoint(folder.path()));
  for (const std::int64_t step : {100, 200, 300, 400}) {
    save_checkpoint(folder.path(), checkpoint_of(step), 3);
  }
  CHECK(steps(folder.path()) == std::vector<std::int64_t>{200, 300, 400});
  // Training goes on from an older one: the newest save counts, not the largest step.
  save_checkpoint(folder.path(), checkpoint_of(250), 3);
  CHECK(steps(folder.path()) == std::vector<std::int64_t>{300, 400, 250});
  CHECK(latest(folder.path()).step == 250);
  save_checkpoint(folder.path(), checkpoint_of(300), 3);  // replaces
  CHECK(steps(folder.path()) == std::vector<std::int64_t>{400, 250, 300});
  CHECK(folder.listing() == "step-00000250 step-00000300 step-00000400");
  save_checkpoint(folder.path(), checkpoint_of(123'456'789), 0);  // this one at least
  CHECK(folder.listing() == "step-123456789");
  CHECK(is_consistent(latest(folder.path())));
}

TEST_CASE("what a killed save leaves is passed over, and removed by the next one") {
  TempFolder folder;
  save_checkpoint(folder.path(), checkpoint_of(1));
  save_checkpoint(folder.path(), checkpoint_of(2));
  fs::create_directory(folder / ".step-00000003.tmp");
  write_text(folder / ".step-00000003.tmp" / "model.safetensors", "half");
  CHECK(latest(folder.path()).step == 2);

  // Killed between the two renames that replace step 2: the old one still counts.
  fs::rename(folder / "step-00000002", folder / "step-00000002.old");
  CHECK(is_consistent(latest(folder.path())));
  CHECK(latest(folder.path()).step == 2);
  // Killed after them: the new one counts.
  fs::copy(folder / "step-00000002.old", folder / "step-00000002");
  CHECK(latest_checkpoint(folder.path()) == folder / "step-00000002");

  write_text(folder / "notes.txt", "mine");
  fs::create_directory(folder / "step-x");
  save_checkpoint(folder.path(), checkpoint_of(3));
  CHECK(folder.listing() == "notes.txt step-00000001 step-00000002 step-00000003 step-x");
}

TEST_CASE("incomplete and mismatched checkpoints are refused") {
  TempFolder folder;
  const fs::path path = save_checkpoint(folder.path(), checkpoint_of(5));
  const fs::path newer = save_checkpoint(folder.path(), checkpoint_of(6));
  const auto load = [&] { return message_of([&] { (void)load_checkpoint(path); }, folder.path()); };
  const auto damage = [&](const std::string& file, const std::string& text) {
    const std::string good = read_text(path / file);
    write_text(path / file, text);
    const std::string message = load();
    CHECK(latest(folder.path()).step == 6);
    write_text(path / file, good);
    return message;
  };
  CHECK(load() == "no error");
  const std::string model = read_text(path / "model.safetensors");
  CHECK(damage("model.safetensors", model.substr(0, model.size() - 1)) ==
        "[checkpoint] step-00000005/model.safetensors: incomplete: has " +
            std::to_string(model.size() - 1) + " bytes, state.json says " +
            std::to_string(model.size()));
  CHECK(damage("optimizer.safetensors", read_text(newer / "optimizer.safetensors")) ==
        "[checkpoint] step-00000005/optimizer.safetensors: was not saved with state.json, which is "
        "of step 5");
  CHECK(damage("state.json", R"({"format": "something"})") ==
        "[config] step-00000005/state.json: key \"format\" must be \"ldlm-checkpoint-1\", got "
        "\"something\" (at byte 11)");
  CHECK(damage("state.json", "{}") ==
        "[config] step-00000005/state.json: key \"format\" is missing");
  CHECK(damage("state.json", "{").substr(0, 41) == "[json] step-00000005/state.json: byte 1: ");
  std::string state = read_text(path / "state.json");
  const std::size_t at = state.find("\"sequence\": 1");
  REQUIRE(at != std::string::npos);
  state.replace(at, 13, "\"sequence\": 9223372036854775807");
  CHECK(damage("state.json", state) ==
        "[config] step-00000005/state.json: key \"sequence\" is out of range (at byte 62)");

  fs::rename(path / "ema.safetensors", folder / "e");
  CHECK(load() == "[checkpoint] step-00000005/ema.safetensors: No such file or directory");
  fs::rename(folder / "e", path / "ema.safetensors");
  fs::remove(path / "state.json");
  CHECK(load() ==
        "[checkpoint] step-00000005: incomplete or no checkpoint: there is no state.json");
  CHECK(message_of([&] { (void)load_checkpoint(folder / "none"); }, folder.path()) ==
        "[checkpoint] none: incomplete or no checkpoint: there is no state.json");

  // Nor must going on from an earlier one than the last.
  const std::string optimizer = read_text(newer / "optimizer.safetensors");
  save_checkpoint(folder.path(), checkpoint_of(5));
  fs::remove(newer / "optimizer.safetensors");
  CHECK(
      message_of([&] { (void)latest_checkpoint(folder.path()); }, folder.path()) ==
      "[checkpoint] step-00000006: is incomplete; without it, training would go on from "
      "step-00000005: [checkpoint] step-00000006/optimizer.safetensors: No such file or directory");
  write_text(newer / "optimizer.safetensors", optimizer);

  // Starting afresh because nothing is complete must not happen unnoticed.
  fs::remove(newer / "model.safetensors");
  fs::remove_all(path);
  CHECK(message_of([&] { (void)latest_checkpoint(folder.path()); }, folder.path()) ==
        "[checkpoint] " + folder.path().native() +
            ": holds no complete checkpoint: [checkpoint] step-00000006/model.safetensors: No such "
            "file or directory");
  save_checkpoint(folder.path(), checkpoint_of(6));  // but a save goes on
  CHECK(latest(folder.path()).step == 6);
}

TEST_CASE("a failed save leaves everything as it was") {
  TempFolder folder;
  save_checkpoint(folder.path(), checkpoint_of(1), 1);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit old{};
  ::getrlimit(RLIMIT_FSIZE, &old);
  const rlimit limit{8192, old.rlim_max};
  ::setrlimit(RLIMIT_FSIZE, &limit);  // files stop growing, as on a full disk
  const std::string message = message_of(
      [&] { save_checkpoint(folder.path(), checkpoint_of(2, 10'000), 1); }, folder.path());
  ::setrlimit(RLIMIT_FSIZE, &old);
  std::signal(SIGXFSZ, handler);
  CHECK(message == "[write] .step-00000002.tmp/model.safetensors: File too large (at byte 8192)");
  CHECK(folder.listing() == "step-00000001");
  CHECK(is_consistent(latest(folder.path())));

  Checkpoint bad = checkpoint_of(2);
  bad.extra = std::numeric_limits<double>::infinity();
  CHECK(message_of([&] { save_checkpoint(folder.path(), bad); }) ==
        "[json] cannot write NaN or infinity");
  bad = checkpoint_of(-1);
  CHECK(message_of([&] { save_checkpoint(folder.path(), bad); }) ==
        "[checkpoint] step must not be negative, got -1");
  write_text(folder / "file", "x");
  CHECK(message_of([&] { save_checkpoint(folder / "file", checkpoint_of(1)); }, folder.path()) ==
        "[checkpoint] file: Not a directory");
  CHECK(folder.listing() == "file step-00000001");
}

TEST_CASE("killed at random moments, twenty times, a trainer always finds a whole checkpoint") {
  TempFolder folder;
  std::mt19937 random(20240229);
  std::int64_t known = 0;  // the last step whose save had returned before a kill
  for (int round = 0; round < 20; ++round) {
    CAPTURE(round);
    int pipe[2];
    REQUIRE(::pipe(pipe) == 0);
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {  // trains on from the latest checkpoint, and tells each step it has saved
      try {
        const auto path = latest_checkpoint(folder.path());
        std::int64_t step = path ? load_checkpoint(*path).step : 0;
        for (;;) {
          // Every other save replaces the last one.
          save_checkpoint(folder.path(), checkpoint_of(++step, 20'000), 2);
          save_checkpoint(folder.path(), checkpoint_of(step, 20'000), 2);
          if (::write(pipe[1], &step, sizeof(step)) != sizeof(step)) {
            ::_exit(1);
          }
        }
      } catch (...) {
        ::_exit(1);
      }
    }
    ::close(pipe[1]);
    if (round == 0) {  // one save at least
      REQUIRE(::read(pipe[0], &known, sizeof(known)) == sizeof(known));
    }
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 60'000));
    REQUIRE(::kill(child, SIGKILL) == 0);
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    REQUIRE(WIFSIGNALED(status));  // it was killed, it did not fail
    for (std::int64_t step = 0; ::read(pipe[0], &step, sizeof(step)) == sizeof(step);) {
      known = step;
    }
    ::close(pipe[0]);

    const Checkpoint found = latest(folder.path());
    CHECK(is_consistent(found));
    CHECK(found.step >= known);
    CHECK(found.step <= known + 1);
    known = found.step;
  }
}

TEST_CASE("killed at every single system call of a save, the old or the new one is whole") {
  TempFolder prepared;
  save_checkpoint(prepared.path(), checkpoint_of(1), 2);
  save_checkpoint(prepared.path(), checkpoint_of(2), 2);
  for (const std::int64_t next : {3, 2}) {  // a new step, or one that replaces
    Killed killed = Killed::yes;
    int calls = 1;
    for (; killed == Killed::yes; ++calls) {
      CAPTURE(calls);
      REQUIRE(calls < 2000);
      TempFolder folder;
      fs::copy(prepared.path(), folder.path(), fs::copy_options::recursive);
      killed = run_until_system_call(calls, [&] {
        Checkpoint checkpoint = checkpoint_of(next);
        checkpoint.config = "new";
        save_checkpoint(folder.path(), checkpoint, 1);
      });
      if (killed == Killed::not_allowed) {
        MESSAGE("skipped: ptrace is not allowed here");
        return;
      }

      const Checkpoint found = latest(folder.path());
      const bool is_new = found.config == JsonValue("new");
      REQUIRE(is_consistent(found));
      REQUIRE(found.step == (is_new ? next : 2));
      REQUIRE((is_new || killed == Killed::yes));
      // The next save works, and cleans up.
      save_checkpoint(folder.path(), checkpoint_of(4), 1);
      REQUIRE(folder.listing() == "step-00000004");
      REQUIRE(is_consistent(latest(folder.path())));
    }
    MESSAGE("killed at ", calls - 2, " system calls");
  }
}
