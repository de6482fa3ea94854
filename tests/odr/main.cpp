// One program, two units compiled for different instruction sets: each must run its own kernels
// (were two of them to share a name, the linker would keep one), all must be right, and the
// registry must hold those of the widest set that the processor has, whatever the link order.
#include <algorithm>
#include <cmath>
#include <cstdio>

#include <ldlm/core/registry.hpp>

#include "unit.hpp"

namespace {

int failures = 0;

void check(bool condition, const char* what, const std::string& detail) {
  if (!condition) {
    std::printf("wrong: %s: %s\n", what, detail.c_str());
    ++failures;
  }
}

void compare(const odr::Results& a, const odr::Results& b) {
  for (std::size_t i = 0; i < a.size(); ++i) {
    float worst = 0.0F;
    for (std::size_t j = 0; j < a[i].second.size(); ++j) {
      const float x = a[i].second[j], y = b[i].second[j];
      worst = std::max(worst, std::abs(x - y) / (1.0F + std::abs(y)));
    }
    std::printf("  %-12s differs by %.2g\n", a[i].first.c_str(), static_cast<double>(worst));
    check(worst < 2e-5F, "kernels of the two units disagree on", a[i].first);
  }
}

}  // namespace

int main() {
  const odr::Unit units[] = {odr::portable(), odr::wide()};
  const odr::Unit* widest = nullptr;
  for (const odr::Unit& unit : units) {
    std::printf("unit for %s: %s\n", std::string(name_of(unit.isa)).c_str(),
                unit.runs ? "runs here" : "not run here");
    if (unit.runs && (widest == nullptr || unit.isa > widest->isa)) {
      widest = &unit;
    }
  }
  check(units[0].isa != units[1].isa, "both units are compiled for",
        std::string(name_of(units[0].isa)));
  if (widest == nullptr) {
    std::printf("skipped: the processor runs neither unit\n");
    return 77;
  }
  const ldlm::InstructionSet registered = ldlm::kernels<float>(ldlm::cpu).instruction_set;
  check(registered == widest->isa, "the registry holds the kernels for",
        std::string(name_of(registered)));
  if (units[0].runs && units[1].runs) {
    compare(units[0].compute(), units[1].compute());
  }
  return failures == 0 ? 0 : 1;
}
