// devices: where models can compute, and why not elsewhere.

#include <string>
#include <vector>

#include "command.hpp"

namespace ldlm::command {

namespace {

std::string gigabytes(std::size_t bytes) {
  return bytes == 0 ? "" : fixed(1e-9 * static_cast<double>(bytes), 1) + " GB";
}

void list_devices(const Common& common) {
  std::vector<std::vector<std::string>> rows{{"device", "what it is", "memory", "free"}};
  for (const Device device : {cpu, cuda}) {
    const std::string name(name_of(device.type));
    try {
      const DeviceInfo info = device_info(device);
      rows.push_back({name, info.name, gigabytes(info.memory), gigabytes(info.free)});
      if (common.json) {
        print_json(JsonValue::object(
            {{"device", name}, {"name", info.name}, {"memory", info.memory}, {"free", info.free}}));
      }
    } catch (const DeviceError& error) {
      rows.push_back({name, std::string(error.reason()), "", ""});
      if (common.json) {
        print_json(JsonValue::object({{"device", name}, {"error", std::string(error.reason())}}));
      }
    }
  }
  if (!common.json) {
    print(format_table(rows));
  }
}

}  // namespace

void add_devices_command(CLI::App& app, Common& common) {
  add_subcommand(app, "devices", "Where models can compute.", "ldlm devices", [&app, &common] {
    refuse_without_effect(app, "--model", "on this command");
    refuse_without_effect(app, "--device", "on this command");
    list_devices(common);
  });
}

}  // namespace ldlm::command
