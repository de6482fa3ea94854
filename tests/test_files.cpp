// Files and folders that are replaced whole, whatever is there and whenever the process dies.

#include <functional>
#include <map>
#include <string>
#include <vector>

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include <ldlm/files/folder_lock.hpp>
#include <ldlm/files/folder_update.hpp>

#include "io_support.hpp"
#include "kill_support.hpp"

using namespace io_support;
using ldlm::AtomicFile;
using ldlm::FolderLock;
using ldlm::FolderUpdate;

namespace {

/// What a folder holds: files with their texts, links with "-> target", folders with "/".
std::map<std::string, std::string> state_of(const fs::path& folder) {
  std::map<std::string, std::string> out;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    const std::string name =
        fs::relative(entry.path().parent_path(), folder) / entry.path().filename();
    const std::string key = fs::path(name).lexically_normal();
    out[key] = entry.is_symlink()     ? "-> " + fs::read_symlink(entry.path()).string()
               : entry.is_directory() ? "/"
                                      : read_text(entry.path());
  }
  return out;
}

void write(const fs::path& path, std::string_view text) {
  fs::create_directories(path.parent_path());
  write_text(path, text);
}

/// Writes parts a and b and the list of them, all with the same text, and removes "stale".
void update_model(const fs::path& folder, const std::string& text) {
  FolderUpdate update(folder);
  for (const char* const name : {"a/weights", "b/weights", "list"}) {
    update.add(name, [&](const fs::path& path) { ldlm::write_file(path, text); });
  }
  update.remove("stale");
  update.commit();
}

/// A model of old files among others of the user's.
void make_old_model(const fs::path& folder) {
  for (const char* const name : {"a/weights", "b/weights", "list", "stale"}) {
    write(folder / name, "old");
  }
  write(folder / "notes.txt", "mine");
  write(folder / "a" / "mine.txt", "mine too");
  fs::create_directory(folder / "empty");
  fs::create_symlink("notes.txt", folder / "link");
}

std::map<std::string, std::string> model_state(const std::string& text, bool with_others) {
  std::map<std::string, std::string> out{
      {"a", "/"}, {"a/weights", text}, {"b", "/"}, {"b/weights", text}, {"list", text}};
  if (with_others) {
    out.merge(std::map<std::string, std::string>{{"notes.txt", "mine"},
                                                 {"a/mine.txt", "mine too"},
                                                 {"empty", "/"},
                                                 {"link", "-> notes.txt"}});
  }
  if (text == "old") {
    out["stale"] = "old";
  }
  return out;
}

/// Runs in a process of its own, so that it may change its working folder.
void in_child(const std::function<void()>& action) {
  const pid_t child = ::fork();
  if (child == 0) {
    try {
      action();
    } catch (...) {
      ::_exit(1);
    }
    ::_exit(0);
  }
  int status = -1;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(status == 0);
}

/// The number in the name of a temporary file that is made and given up.
int number_of_temporary(const fs::path& folder, const std::string& prefix) {
  const AtomicFile file(folder / "file");
  for (const auto& [name, text] : state_of(folder)) {
    if (name.starts_with(prefix)) {
      return std::stoi(name.substr(prefix.size()));
    }
  }
  return -1;
}

}  // namespace

TEST_CASE("a file's target that is a link is replaced itself, and other things are refused") {
  const TempFolder folder;
  write(folder / "victim", "precious");
  fs::create_symlink("victim", folder / "link");
  fs::create_symlink("nowhere", folder / "dangling");
  ldlm::write_file(folder / "link", "new");
  ldlm::write_file(folder / "dangling", "new");
  CHECK(state_of(folder.path()) == std::map<std::string, std::string>{{"victim", "precious"},
                                                                      {"link", "new"},
                                                                      {"dangling", "new"}});

  fs::create_directory(folder / "folder");
  fs::create_symlink("folder", folder / "to-folder");
  REQUIRE(::mkfifo((folder / "pipe").c_str(), 0600) == 0);
  for (const char* const name : {"folder", "to-folder", "pipe"}) {
    CHECK(message_of([&] { ldlm::write_file(folder / name, "x"); }, folder.path()) ==
          std::string("[write] ") + name + ": exists and is not a regular file");
  }
  const std::string output = message_of([] { ldlm::write_file("/dev/stdout", "x"); });
  CHECK(output.starts_with("[write] /dev/stdout: "));
}

TEST_CASE("a file keeps its permissions when it is replaced") {
  const TempFolder folder;
  write(folder / "file", "old");
  REQUIRE(::chmod((folder / "file").c_str(), 0640) == 0);
  ldlm::write_file(folder / "file", "new");
  struct stat status {};
  REQUIRE(::stat((folder / "file").c_str(), &status) == 0);
  CHECK((status.st_mode & 0777U) == 0640);
}

TEST_CASE("temporary files follow no links and are cleared away after a kill") {
  const TempFolder folder;
  write(folder / "victim", "precious");
  const std::string prefix = ".file.tmp-" + std::to_string(::getpid()) + '-';
  const int next = number_of_temporary(folder.path(), prefix) + 1;
  // Names that are taken, by links even, are passed over.
  for (int i = 0; i < 3; ++i) {
    fs::create_symlink("victim", folder / (prefix + std::to_string(next + i)));
  }
  ldlm::write_file(folder / "file", "new");
  CHECK(read_text(folder / "victim") == "precious");

  const AtomicFile alive(folder / "file");
  write(folder / ".file.tmp-1-0", "of a process that is gone");
  write(folder / ".file.tmp-x", "no temporary");
  write(folder / ".other.tmp-1-0", "of another file");
  ldlm::write_file(folder / "file", "newer");
  CHECK(state_of(folder.path()).count(".file.tmp-1-0") == 0);
  CHECK(state_of(folder.path()).count(".file.tmp-x") == 1);
  CHECK(state_of(folder.path()).count(".other.tmp-1-0") == 1);
  // new took the fourth name, alive the next one
  CHECK(state_of(folder.path()).count(prefix + std::to_string(next + 4)) == 1);
}

TEST_CASE("no two temporary files of a process have one name") {
  const TempFolder folder;
  const std::string prefix = ".file.tmp-" + std::to_string(::getpid()) + '-';
  const int first = number_of_temporary(folder.path(), prefix);
  CHECK(number_of_temporary(folder.path(), prefix) == first + 1);
}

TEST_CASE(
    "what changed in the old folder before the exchange is brought, unless it did later, too") {
  const TempFolder folder;
  const fs::path old = folder / "old";
  const fs::path now = folder / "now";
  std::map<fs::path, std::uintmax_t> linked;
  write(old / "own", "old");
  write(now / "own", "new");
  fs::create_directories(old / "part");
  fs::create_directories(now / "part");
  for (const char* const name :
       {"kept", "part", "part/written", "written", "written-twice", "written-later", "removed",
        "removed-later", "removed-and-written-later", "written-and-removed-later"}) {
    if (std::string_view(name) != "part") {
      write(old / name, "linked");
      fs::create_hard_link(old / name, now / name);
    }
    struct stat status {};
    REQUIRE(::lstat((old / name).c_str(), &status) == 0);
    linked[name] = status.st_ino;
  }
  for (const char* const name : {"part/written", "written", "written-twice", "own", "added",
                                 "added-twice", "folder/added", "written-and-removed-later"}) {
    fs::create_directories((old / name).parent_path());
    ldlm::write_file(old / name, "before");
  }
  for (const char* const name :
       {"written-twice", "written-later", "added-twice", "removed-and-written-later"}) {
    ldlm::write_file(now / name, "after");
  }
  fs::remove(old / "removed");
  fs::remove(old / "removed-and-written-later");
  fs::remove(now / "removed-later");
  fs::remove(now / "written-and-removed-later");

  ldlm::detail::take_over_changes(old, now, linked, {"own"});
  CHECK(state_of(now) ==
        std::map<std::string, std::string>{{"own", "new"},
                                           {"kept", "linked"},
                                           {"part", "/"},
                                           {"part/written", "before"},
                                           {"written", "before"},
                                           {"written-twice", "after"},
                                           {"written-later", "after"},
                                           {"added", "before"},
                                           {"added-twice", "after"},
                                           {"folder", "/"},
                                           {"folder/added", "before"},
                                           {"removed-and-written-later", "after"}});
}

TEST_CASE("an update replaces its files together and leaves all others") {
  const TempFolder folder;
  const fs::path model = folder / "model";
  update_model(model, "first");
  CHECK(state_of(model) == model_state("first", false));
  fs::remove_all(model);

  make_old_model(model);
  REQUIRE(::chmod(model.c_str(), 0750) == 0);
  update_model(model / "", "new");
  CHECK(state_of(model) == model_state("new", true));
  struct stat status {};
  REQUIRE(::stat(model.c_str(), &status) == 0);
  CHECK((status.st_mode & 0777U) == 0750);

  // Through a link to the folder, and in the folder where the process works.
  fs::create_symlink("model", folder / "latest");
  update_model(folder / "latest", "newer");
  CHECK(fs::is_symlink(folder / "latest"));
  CHECK(state_of(model) == model_state("newer", true));
  in_child([&] {
    fs::current_path(model);
    update_model(".", "newest");
    if (state_of(".") != model_state("newest", true)) {
      ::_exit(2);
    }
  });
  CHECK(state_of(model) == model_state("newest", true));
  CHECK(folder.listing() == "latest model");
}

TEST_CASE("an update that fails or is given up changes nothing") {
  const TempFolder folder;
  make_old_model(folder / "model");
  {
    FolderUpdate update(folder / "model");
    update.add("a/weights", [](const fs::path& path) { ldlm::write_file(path, "new"); });
  }
  const auto failing = [&](const fs::path& name) {
    FolderUpdate update(folder / "model");
    update.add("list", [](const fs::path& path) { ldlm::write_file(path, "new"); });
    update.add(name, [](const fs::path& path) { ldlm::write_file(path, "new"); });
    update.commit();
  };
  CHECK(message_of([&] { failing("a"); }, folder.path()) ==
        "[write] model/a: exists and is not a regular file");
  CHECK(message_of([&] { failing("notes.txt/weights"); }, folder.path()) ==
        "[write] model/notes.txt: exists and is not a folder");
  CHECK(message_of(
            [&] {
              FolderUpdate update(folder / "model");
              update.add("c/d", [](const fs::path& path) { AtomicFile(path / "no" / "file"); });
            },
            folder.path()) == "[write] model/c/d/no/file: No such file or directory");
  CHECK(state_of(folder / "model") == model_state("old", true));
  CHECK(folder.listing() == "model");
  write(folder / "file", "x");
  CHECK(message_of([&] { FolderUpdate(folder / "file"); }, folder.path()) ==
        "[write] file: exists and is not a folder");
}

TEST_CASE("a part that is a link to another folder is replaced, what it leads to is not touched") {
  for (const bool in_place : {false, true}) {
    const TempFolder folder;
    make_old_model(folder / "model");
    write(folder / "elsewhere" / "weights", "precious");
    fs::remove_all(folder / "model" / "b");
    fs::create_symlink("../elsewhere", folder / "model" / "b");
    in_child([&] {
      fs::current_path(in_place ? folder / "model" : folder.path());
      update_model(folder / "model", "new");
    });
    CHECK(state_of(folder / "model") == model_state("new", true));
    CHECK(read_text(folder / "elsewhere" / "weights") == "precious");
  }
}

TEST_CASE("what another process writes to the folder during an update is kept") {
  const TempFolder folder;
  make_old_model(folder / "model");
  // Readers and writers in a loop beside fifty updates.
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    for (int i = 1;; ++i) {
      try {
        ldlm::write_file(folder / "model" / "log", std::to_string(i));
      } catch (...) {  // the folder has changed places under the temporary file
      }
    }
  }
  int last = 0;
  bool rising = true;
  bool whole = true;
  for (int i = 0; i < 50; ++i) {
    update_model(folder / "model", std::to_string(i));
    const std::string text = read_text(folder / "model" / "log");
    const int seen = text.empty() ? 0 : std::stoi(text);
    rising = rising && seen >= last;
    last = seen;
    whole = whole && read_text(folder / "model" / "b" / "weights") == std::to_string(i);
  }
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  CHECK(rising);
  CHECK(whole);
  CHECK(read_text(folder / "model" / "notes.txt") == "mine");
}

TEST_CASE("whoever reads a folder during updates gets one state of it") {
  for (const bool in_place : {false, true}) {
    const TempFolder folder;
    const fs::path model = folder / "model";
    make_old_model(model);
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      if (in_place) {
        fs::current_path(model);
      }
      try {
        for (int i = 0;; ++i) {
          update_model(model, std::to_string(i));
          ::usleep(50'000);
        }
      } catch (...) {
        ::_exit(1);
      }
    }
    int mixed = 0;
    for (int i = 0; i < 200; ++i) {
      const auto read = ldlm::read_folder(model, [&] {
        std::vector<std::string> texts;
        for (const char* const name : {"a/weights", "b/weights", "list"}) {
          texts.push_back(read_text(model / name));
          ::usleep(100);
        }
        return texts;
      });
      mixed += read[0] == read[1] && read[1] == read[2] && !read[0].empty() ? 0 : 1;
    }
    CAPTURE(in_place);
    CHECK(::kill(child, SIGKILL) == 0);
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(WIFSIGNALED(status));  // its updates did not fail
    CHECK(mixed == 0);
  }
}

TEST_CASE("killed at every single system call of an update, the old or the new state is whole") {
  int points = 0;
  for (const bool in_place : {false, true}) {
    Killed killed = Killed::yes;
    for (int calls = 1; killed == Killed::yes; ++calls, ++points) {
      CAPTURE(calls);
      REQUIRE(calls < 2000);
      const TempFolder folder;
      const fs::path model = folder / "model";
      make_old_model(model);
      killed = run_until_system_call(calls, [&] {
        if (in_place) {
          fs::current_path(model);
        }
        update_model(model, "new");
      });
      if (killed == Killed::not_allowed) {
        MESSAGE("skipped: ptrace is not allowed here");
        return;
      }
      if (in_place) {
        ldlm::finish_update(model);
      }
      auto found = state_of(model);
      const bool is_new = found["list"] == "new";
      for (auto at = found.begin(); at != found.end();) {  // what the killed one has left
        at = at->first.starts_with(".ldlm-new-") ? found.erase(at) : std::next(at);
      }
      CHECK(found == model_state(is_new ? "new" : "old", true));
      CHECK((is_new || killed == Killed::yes));
      { const FolderUpdate next(model); }  // clears away what is left
      CHECK(state_of(model) == found);
      CHECK(folder.listing() == "model");
    }
  }
  MESSAGE("killed at ", points, " system calls");
}

TEST_CASE("a folder is locked by one holder, whom the message names, until that ends") {
  const TempFolder folder;
  const fs::path model = folder / "new" / "model";
  {
    const FolderLock lock(model);
    const std::string message = message_of([&] { const FolderLock second(model); }, folder.path());
    CHECK(message.starts_with("[lock] new/model: is in use by process " +
                              std::to_string(::getpid()) + " on "));
    CHECK(message.ends_with(", which holds new/model/.ldlm-lock"));
    // The folder may be exchanged meanwhile.
    update_model(model, "new");
    CHECK(message_of([&] { const FolderLock second(model); }, folder.path()) == message);
  }
  CHECK(state_of(model) == model_state("new", false));

  // The lock of a process that was killed is none.
  const pid_t child = ::fork();
  if (child == 0) {
    const FolderLock lock(model);
    ::kill(::getpid(), SIGKILL);
  }
  REQUIRE(::waitpid(child, nullptr, 0) == child);
  CHECK(fs::exists(model / ".ldlm-lock"));
  CHECK(message_of([&] { const FolderLock lock(model); }) == "no error");
  CHECK_FALSE(fs::exists(model / ".ldlm-lock"));

  // A folder that the lock made is gone with it, if nothing came into it; others stay.
  { const FolderLock lock(folder / "made"); }
  CHECK_FALSE(fs::exists(folder / "made"));
  fs::create_directory(folder / "there");
  { const FolderLock lock(folder / "there"); }
  CHECK(fs::exists(folder / "there"));
  {
    const FolderLock lock(folder / "filled");
    write(folder / "filled" / "file", "precious");
  }
  CHECK(read_text(folder / "filled" / "file") == "precious");

  write(folder / "victim", "precious");
  fs::create_symlink("../../victim", model / ".ldlm-lock");
  CHECK(message_of([&] { const FolderLock lock(model); }, folder.path()) ==
        "[lock] new/model/.ldlm-lock: is a symbolic link");
  CHECK(read_text(folder / "victim") == "precious");
}
