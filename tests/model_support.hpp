#pragma once
// What the tests of models/ and generate/ share: tests/golden/models, made by
// tools/make_model_fixtures.py in float64, and comparisons with it.

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>
#include <ldlm/io/safetensors.hpp>
#include <ldlm/nn/module.hpp>
#include <ldlm/optim/adam.hpp>

#include "device_under_test.hpp"
#include "error_message.hpp"
#include "paths.hpp"

namespace model_support {

inline std::filesystem::path golden_folder(const std::filesystem::path& name) {
  return std::filesystem::path(ldlm_test::data_dir()) / "golden" / "models" / name;
}

/// What a model agrees within, relative to the largest element of a tensor: 1e-4 is what is asked
/// for; double is held to the rounding of the stored values.
template <class T>
inline constexpr double tolerance = sizeof(T) == 4 ? 1e-4 : 1e-6;

/// One golden file, and the largest error of all comparisons with it.
class Golden {
 public:
  /// A file of tests/golden/models, or of another place if the folder is an absolute path.
  explicit Golden(const std::filesystem::path& folder,
                  const std::string& file = "golden.safetensors")
      : file_(ldlm::SafetensorsFile::open(golden_folder(folder) / file)) {}

  /// What is compared was computed with T. The weights were rounded to bf16, too, and gradients
  /// pass through as many roundings as there are layers: `rounding` is how far off they may be.
  template <class T>
  void expect(double rounding) {
    rounding_ = std::same_as<T, ldlm::bf16> ? rounding : 0;
  }

  /// Numbers are on the device under test, ids on the host.
  template <class T>
  ldlm::Tensor<T> get(const std::string& name) const {
    const ldlm::Tensor<T> value = file_.load<T>(name);
    return ldlm::Floating<T> ? value.to(ldlm_test::device_under_test()) : value;
  }
  ldlm::Tensor<std::int64_t> ids(const std::string& name) const { return get<std::int64_t>(name); }
  ldlm::Tensor<bool> mask(const std::string& name) const {
    return ldlm::cast<bool>(get<std::int64_t>(name));
  }
  /// Names that start with a prefix, without it.
  std::vector<std::string> names_after(std::string_view prefix) const {
    std::vector<std::string> out;
    for (const std::string& name : file_.names()) {
      if (name.compare(0, prefix.size(), prefix) == 0) {
        out.push_back(name.substr(prefix.size()));
      }
    }
    return out;
  }

  /// The largest difference, over the largest expected magnitude or `floor` if that is more.
  template <class T>
  void check(const ldlm::Tensor<T>& actual, const std::string& name, double floor = 0) {
    compare(actual, get<T>(name), name, floor);
  }
  template <class T>
  void compare(const ldlm::Tensor<T>& actual, const ldlm::Tensor<T>& expected,
               const std::string& name, double floor = 0) {
    CAPTURE(name);
    REQUIRE(actual.shape() == expected.shape());
    const double difference = magnitude(actual.to(ldlm::cpu) - expected.to(ldlm::cpu));
    const double scale = std::max(floor, magnitude(expected));
    const double error = difference == 0 ? 0 : difference / scale;
    CHECK(error <= (rounding_ > 0 ? rounding_ : tolerance<T>));
    worst_ = std::max(worst_, error);
    ++count_;
  }

  /// Every parameter has the gradient "<prefix><name>", and no other is given.
  template <class M>
  void check_gradients(const M& model, const std::string& prefix = "grad.") {
    using T = ldlm::scalar_t<M>;
    const auto parameters = ldlm::named_parameters(model);
    CHECK(parameters.size() == names_after(prefix).size());
    // Gradients that are zero but for rounding are held to the scale of the others.
    double largest = 0;
    for (const std::string& name : names_after(prefix)) {
      largest = std::max(largest, magnitude(get<T>(prefix + name)));
    }
    for (const auto& named : parameters) {
      CAPTURE(named.first);
      REQUIRE(named.second.grad().defined());
      check(named.second.grad(), prefix + named.first, std::max(1e-3, rounding_) * largest);
    }
  }

  /// Ten steps of AdamW on one batch: every loss, and all weights at the end.
  template <class M, class LossOf>
  void check_training(M& model, LossOf&& loss_of) {
    using T = ldlm::scalar_t<M>;
    const auto parameters = ldlm::named_parameters(model);
    ldlm::AdamW<T> optimizer(parameters, {.learning_rate = 1e-3, .epsilon = 1e-5});
    using Loss = ldlm::ComputeType<T>;
    const auto expected = get<Loss>("losses").to(ldlm::cpu);
    auto losses = ldlm::Tensor<Loss>::empty(expected.shape());
    for (std::int64_t step = 0; step < losses.numel(); ++step) {
      optimizer.zero_grad();
      const auto loss = loss_of(model);
      losses.at({step}) = loss.item();
      loss.backward();
      optimizer.step();
    }
    compare(losses, expected, "losses");
    CHECK(parameters.size() == names_after("final.").size());
    for (const auto& [name, parameter] : parameters) {
      check(parameter.value(), "final." + name);
    }
  }

  /// Says how well it went.
  template <class T>
  void report(const std::string& what) const {
    const std::string type(name_of(ldlm::dtype_of<T>));
    MESSAGE(what, ", ", type, ": ", count_, " tensors, largest relative error ", worst_);
  }

 private:
  template <class T>
  static double magnitude(const ldlm::Tensor<T>& x) {
    double largest = 0;
    for (const T value : x.to_vector()) {
      largest = std::isfinite(ldlm::ComputeType<T>{value})
                    ? std::max(largest, std::abs(static_cast<double>(value)))
                    : INFINITY;
    }
    return largest;
  }

  ldlm::SafetensorsFile file_;
  double rounding_ = 0;
  double worst_ = 0;
  int count_ = 0;
};

/// The model on the device under test.
template <class M>
M on_device(M model) {
  ldlm::to(model, ldlm_test::device_under_test());
  return model;
}

using ldlm_test::contains;
using ldlm_test::message_of;

}  // namespace model_support
