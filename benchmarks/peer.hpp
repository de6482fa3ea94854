#pragma once
// A peer that runs in a process of its own: a Python program of peers/, which answers each line of
// JSON with one (peers/serve.py). It times its own runs, so that the pipe costs it nothing.

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "harness.hpp"

namespace ldlm::bench {

using Json = nlohmann::json;

/// A folder that is removed at the end.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "ldlm_bench_XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) {
      throw std::runtime_error("cannot make a folder " + name);
    }
    path = name;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  std::filesystem::path path;
};

class PeerProcess {
 public:
  /// Starts `python script`, with its standard error going to ours.
  PeerProcess(const std::string& python, const std::string& script) : script_(script) {
    std::array<int, 2> to{}, from{};
    // Closed on exec: another peer that kept an end open would keep this one from ending.
    if (::pipe2(to.data(), O_CLOEXEC) != 0 || ::pipe2(from.data(), O_CLOEXEC) != 0) {
      throw std::runtime_error("cannot make a pipe");
    }
    process_ = ::fork();
    if (process_ == 0) {
      ::dup2(to[0], STDIN_FILENO);
      ::dup2(from[1], STDOUT_FILENO);
      ::execlp(python.c_str(), python.c_str(), script.c_str(), nullptr);
      std::perror(python.c_str());
      ::_exit(127);
    }
    ::close(to[0]);
    ::close(from[1]);
    to_ = ::fdopen(to[1], "w");
    from_ = ::fdopen(from[0], "r");
  }
  ~PeerProcess() {
    std::fclose(to_);  // the end of its input ends the peer
    std::fclose(from_);
    ::waitpid(process_, nullptr, 0);
  }
  PeerProcess(const PeerProcess&) = delete;
  PeerProcess& operator=(const PeerProcess&) = delete;

  /// Its answer; an exception with its words where it failed.
  Json ask(const Json& request) {
    std::fputs((request.dump() + "\n").c_str(), to_);
    std::fflush(to_);
    std::string line;
    for (int c = std::fgetc(from_); c != EOF && c != '\n'; c = std::fgetc(from_)) {
      line += static_cast<char>(c);
    }
    const Json answer = Json::parse(line, nullptr, false);
    if (!answer.is_object()) {
      throw std::runtime_error(script_ + " ended without an answer");
    }
    if (answer.contains("error")) {
      throw std::runtime_error(script_ + ": " + answer["error"].get<std::string>());
    }
    return answer;
  }

 private:
  std::string script_;
  ::pid_t process_ = -1;
  std::FILE* to_ = nullptr;
  std::FILE* from_ = nullptr;
};

/// peers/`script` with these settings loaded, or null where LDLM_BENCH_PYTHON names no Python that
/// has its packages; says so on standard error.
inline std::shared_ptr<PeerProcess> start_peer(const std::string& name, const std::string& script,
                                               Json settings, int threads) {
  const char* const python = std::getenv("LDLM_BENCH_PYTHON");
  if (python == nullptr) {
    std::fprintf(stderr, "%s is left out: LDLM_BENCH_PYTHON names no Python\n", name.c_str());
    return nullptr;
  }
  try {
    const auto peer =
        std::make_shared<PeerProcess>(python, LDLM_BENCH_ROOT "/benchmarks/peers/" + script);
    settings["threads"] = threads;
    peer->ask({{"load", settings}});
    return peer;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s is left out: %s\n", name.c_str(), error.what());
    return nullptr;
  }
}

/// Adds the work that a peer has loaded as a contender, measured for `least` seconds at a time.
inline void add_contender(std::vector<Contender>& contenders, const std::string& name,
                          const std::shared_ptr<PeerProcess>& peer, double least, bool compared) {
  Contender contender{name, [peer, least] {
                        return peer->ask({{"measure", least}})["seconds"].get<double>();
                      }};
  if (compared) {
    contender.result = [peer] {
      const TemporaryFolder folder;
      const std::string file = folder.path / "result.f32";
      peer->ask({{"result", file}});
      std::vector<float> values(std::filesystem::file_size(file) / sizeof(float));
      std::ifstream(file, std::ios::binary)
          .read(reinterpret_cast<char*>(values.data()),
                static_cast<std::streamsize>(values.size() * sizeof(float)));
      return values;
    };
  }
  contenders.push_back(std::move(contender));
}

/// Adds a contender that peers/`script` runs with these settings, unless it cannot be started.
inline void add_peer(std::vector<Contender>& contenders, const std::string& name,
                     const std::string& script, const Json& settings, int threads,
                     bool compared = true) {
  if (const auto peer = start_peer(name, script, settings, threads)) {
    add_contender(contenders, name, peer, 0.05, compared);
  }
}

}  // namespace ldlm::bench
