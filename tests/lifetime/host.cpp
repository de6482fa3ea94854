// Loads and unloads a plugin that uses the library, which this program itself does not.

#include <dlfcn.h>

#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>

namespace {

/// Whether /proc/self/<file> has a line with this text.
bool shows(const char* file, const std::string& text) {
  std::ifstream lines(std::string("/proc/self/") + file);
  for (std::string line; std::getline(lines, line);) {
    if (line.find(text) != std::string::npos) {
      return true;
    }
  }
  return false;
}

bool run(const char* path, bool workspace) {
  void* const plugin = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (plugin == nullptr) {
    std::printf("%s\n", dlerror());
    return false;
  }
  const auto function = reinterpret_cast<double (*)(bool)>(dlsym(plugin, "run_plugin"));
  const bool right = function != nullptr && function(workspace) == 4999950000.0;
  return dlclose(plugin) == 0 && right;
}

}  // namespace

// host <plugin> <may it be unloaded: 1 or 0>
int main(int, char** arguments) {
  for (int i = 0; i < 3; ++i) {
    if (!run(arguments[1], false)) {
      return 1;
    }
    const bool unloads = std::strcmp(arguments[2], "1") == 0;
    if (unloads && (shows("maps", arguments[1]) || !shows("status", "Threads:\t1"))) {
      std::printf("the plugin or its threads are still there\n");
      return 2;
    }
  }
  // Threads that keep memory for products keep the library, too, until the process ends.
  for (int i = 0; i < 3; ++i) {
    if (!run(arguments[1], true)) {
      return 3;
    }
  }
  return 0;
}
