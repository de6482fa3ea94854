// Mapped files and files that are replaced whole.

#include <csignal>
#include <cstddef>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include <ldlm/io/mapped_file.hpp>
#include <ldlm/io/safetensors_writer.hpp>

#include "io_support.hpp"

using namespace io_support;
using ldlm::AtomicFile;
using ldlm::MappedFile;

namespace {

// While it lives, no file of this process can grow beyond `bytes`: what a full disk does.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &old_);
    const rlimit limit{bytes, old_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &old_);
    std::signal(SIGXFSZ, handler_);
  }

 private:
  rlimit old_{};
  void (*handler_)(int);
};

}  // namespace

TEST_CASE("a mapped file shows its bytes and outlives its name") {
  TempFolder folder;
  write_text(folder / "f", "hello");
  std::shared_ptr<void> owner;
  std::span<std::byte> bytes;
  {
    const MappedFile file = MappedFile::open(folder / "f");
    CHECK(file.text() == "hello");
    CHECK(file.path() == (folder / "f").native());
    owner = file.owner();
    bytes = file.bytes();
  }
  bytes[0] = std::byte{'J'};
  CHECK(read_text(folder / "f") == "hello");
  fs::remove(folder / "f");
  CHECK(std::memcmp(bytes.data(), "Jello", 5) == 0);
}

TEST_CASE("an empty file is no error") {
  TempFolder folder;
  write_text(folder / "f", "");
  CHECK(MappedFile::open(folder / "f").bytes().empty());
}

TEST_CASE("what cannot be mapped says why") {
  TempFolder folder;
  const auto open = [&](const std::string& name) {
    return message_of([&] { (void)MappedFile::open(folder / name); }, folder.path());
  };
  CHECK(open("none") == "[open] none: No such file or directory");
  fs::create_directory(folder / "sub");
  CHECK(open("sub") == "[open] sub: is a folder, not a file");
  REQUIRE(::mkfifo((folder / "pipe").c_str(), 0600) == 0);
  CHECK(open("pipe") == "[open] pipe: is not a regular file");
  fs::create_symlink("loop", folder / "loop");
  CHECK(open("loop") == "[open] loop: Too many levels of symbolic links");
  CHECK(open(std::string(5000, 'x')).find("File name too long") != std::string::npos);
  if (::geteuid() != 0) {
    write_text(folder / "secret", "x");
    fs::permissions(folder / "secret", fs::perms::none);
    CHECK(open("secret") == "[open] secret: Permission denied");
  }
}

TEST_CASE("an atomic file appears at commit, and only then") {
  TempFolder folder;
  write_text(folder / "f", "old");
  {
    AtomicFile file(folder / "f");
    file.write("half of the n");
    CHECK(read_text(folder / "f") == "old");
  }
  CHECK(folder.listing() == "f");
  CHECK(read_text(folder / "f") == "old");
  {
    AtomicFile first(folder / "f");
    AtomicFile second(folder / "f");  // two writers do not mix
    first.write("first");
    second.write("second");
    AtomicFile moved = std::move(first);
    moved.commit();
    CHECK(read_text(folder / "f") == "first");
    second.commit();
    CHECK(read_text(folder / "f") == "second");
  }
  CHECK(folder.listing() == "f");
}

TEST_CASE("a mapped reader keeps the old file when it is replaced") {
  TempFolder folder;
  write_text(folder / "f", "old");
  const MappedFile file = MappedFile::open(folder / "f");
  ldlm::write_file(folder / "f", "the new one");
  CHECK(file.text() == "old");
  CHECK(MappedFile::open(folder / "f").text() == "the new one");
}

TEST_CASE("what cannot be written says why, and leaves nothing behind") {
  TempFolder folder;
  const auto write = [&](const fs::path& path) {
    return message_of([&] { ldlm::write_file(path, "x"); }, folder.path());
  };
  CHECK(write(folder / "none" / "f") == "[write] none/f: No such file or directory");
  write_text(folder / "file", "x");
  CHECK(write(folder / "file" / "f") == "[write] file/f: Not a directory");
  fs::create_directory(folder / "sub");
  CHECK(write(folder / "sub") == "[write] sub: exists and is not a regular file");
  CHECK(write("/dev/null") == "[write] /dev/null: exists and is not a regular file");
  if (::geteuid() != 0) {
    fs::permissions(folder / "sub", fs::perms::owner_read | fs::perms::owner_exec);
    CHECK(write(folder / "sub" / "f") == "[write] sub/f: Permission denied");
    fs::permissions(folder / "sub", fs::perms::owner_all);
  }
  CHECK(folder.listing() == "file sub");
}

TEST_CASE("a disk that fills up leaves the old file and no temporary one") {
  TempFolder folder;
  write_text(folder / "f", "old");
  const FileSizeLimit limit(4096);
  CHECK(message_of([&] { ldlm::write_file(folder / "f", std::string(10'000, 'x')); },
                   folder.path()) == "[write] f: File too large (at byte 4096)");
  const auto tensor = ldlm::Tensor<double>::empty({4096});
  std::fill_n(tensor.data(), 4096, 1.0);
  CHECK(message_of([&] { ldlm::SafetensorsWriter().add("x", tensor).write(folder / "f"); },
                   folder.path()) == "[write] f: File too large (at byte 4096)");
  CHECK(message_of(
            [&] {
              ldlm::SafetensorsWriter()
                  .add("a", tensor)
                  .add("b", tensor)
                  .write_model(folder.path(), 4096);
            },
            folder.path()) ==
        "[write] model-00001-of-00002.safetensors: File too large (at byte 4096)");
  CHECK(folder.listing() == "f");
  CHECK(read_text(folder / "f") == "old");
}
