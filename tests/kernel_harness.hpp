#pragma once
// Runs one list of kernel calls on any device and compares with the reference in double.
//
// A case is a generic function (kernels, context): it asks the context for inputs and outputs, and
// calls one kernel. The context lays operands out in different ways (Form) and fills all memory,
// gaps included, from a seed, so that two contexts of one seed see the same numbers in any type,
// and a write beside an output's elements is seen.

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <ldlm/core/registry.hpp>
#include <ldlm/core/storage.hpp>
#include <ldlm/core/threads.hpp>

#include "device_under_test.hpp"

namespace ldlm::test {

/// How an operand lies in memory.
enum class Form {
  contiguous,
  permuted,  // axes in reverse order
  sliced,    // every other element of a larger array, from an offset on
  broadcast  // one axis repeated (inputs only)
};
inline constexpr Form forms[] = {Form::contiguous, Form::permuted, Form::sliced, Form::broadcast};

/// Of float results; double's is double_scale times that, plus `reference`: how far the reference
/// in double may itself be from the truth, relatively; bf16's may be `of_rounded` more from it,
/// where operands are results that were rounded.
struct Tolerance {
  double relative = 0;
  double absolute = 0;
  double reference = 0;
  double of_rounded = 0;
};
inline constexpr double double_scale = 1e-8;
/// Of bf16, whose results are rounded once: half a unit of 8 bits more.
inline Tolerance for_bf16(const Tolerance& t) {
  return {t.relative + 0x1p-8, t.absolute + t.of_rounded + 1e-38};
}
inline Tolerance for_double(const Tolerance& t) {
  return {t.relative * double_scale + t.reference, t.absolute * double_scale};
}

/// Random values of inputs: `extreme` mixes infinities, NaN, denormals and huge numbers in.
struct Values {
  double low = -2, high = 2;
  bool extreme = false;
  bool whole = false;  // integers only
};

/// Moves bytes between the host and a device.
inline void copy_to_device(void* to, const void* from, std::size_t bytes, Device device) {
  is_host_memory(device) ? static_cast<void>(std::memcpy(to, from, bytes))
                         : device_memory(device).from_host(device, to, from, bytes);
}
inline void copy_to_host(void* to, const void* from, std::size_t bytes, Device device) {
  is_host_memory(device) ? static_cast<void>(std::memcpy(to, from, bytes))
                         : device_memory(device).to_host(device, to, from, bytes);
}

/// Memory on a device, an image of it on the host, and the operand that lies in it.
template <class T>
class Operand {
 public:
  Operand(const Shape& shape, Form form, bool unit_rows, Device device) {
    Layout layout(shape);
    const int rank = shape.rank();
    std::int64_t size = shape.numel();
    if (form == Form::permuted) {
      // Without unit_rows the first axis becomes the innermost one, else the last one stays it.
      std::int64_t step = 1;
      if (unit_rows && rank > 0) {
        step = shape[rank - 1];
      }
      for (int axis = 0; axis < rank - (unit_rows ? 1 : 0); ++axis) {
        layout.strides[static_cast<std::size_t>(axis)] = step;
        step *= shape[axis];
      }
    } else if (form == Form::sliced) {
      std::int64_t step = 1;
      for (int axis = rank - 1; axis >= 0; --axis) {
        const std::int64_t every = unit_rows && axis == rank - 1 ? 1 : 2;
        layout.strides[static_cast<std::size_t>(axis)] = every * step;
        step *= every * shape[axis] + 3;
        layout.offset += 1;
      }
      layout.offset += 2;
      size = step + layout.offset;
    } else if (form == Form::broadcast && rank > (unit_rows ? 1 : 0)) {
      const int axis = static_cast<int>(shape.numel() % (unit_rows ? rank - 1 : rank));
      layout.strides[static_cast<std::size_t>(axis)] = 0;
    }
    // Not a vector: std::vector<bool> has no data().
    image_ = std::make_unique<T[]>(static_cast<std::size_t>(size + guard));
    size_ = size + guard;
    layout_ = layout;
    storage_ = Storage::allocate(bytes(), device);
  }

  /// What the kernel sees: the device's memory.
  [[nodiscard]] View<T> view() const {
    return {static_cast<T*>(storage_.data()) + layout_.offset, layout_};
  }
  void push() const { copy_to_device(storage_.data(), image_.get(), bytes(), storage_.device()); }
  void pull() const { copy_to_host(image_.get(), storage_.data(), bytes(), storage_.device()); }

  // The image on the host.
  [[nodiscard]] T* begin() const { return image_.get(); }
  [[nodiscard]] T* end() const { return image_.get() + size_; }

  /// Calls f(element, is it part of the operand).
  template <class F>
  void for_each(F&& f) const {
    std::vector<char> mine(static_cast<std::size_t>(size_), 0);
    const Shape& shape = layout_.shape;
    for (std::int64_t i = 0; i < shape.numel(); ++i) {
      mine[static_cast<std::size_t>(position(i))] = 1;
    }
    for (std::int64_t i = 0; i < size_; ++i) {
      f(image_[static_cast<std::size_t>(i)], mine[static_cast<std::size_t>(i)] != 0);
    }
  }
  /// Where element number i, in row-major order, lies in the memory.
  [[nodiscard]] std::int64_t position(std::int64_t i) const {
    std::int64_t at = layout_.offset;
    for (int axis = layout_.rank() - 1; axis >= 0; --axis) {
      at += i % layout_.shape[axis] * layout_.stride(axis);
      i /= layout_.shape[axis];
    }
    return at;
  }
  [[nodiscard]] std::vector<double> values() const {
    std::vector<double> out;
    for (std::int64_t i = 0; i < layout_.numel(); ++i) {
      out.push_back(static_cast<double>(image_[static_cast<std::size_t>(position(i))]));
    }
    return out;
  }

 private:
  static constexpr std::int64_t guard = 67;  // elements behind, more than a vector
  [[nodiscard]] std::size_t bytes() const { return static_cast<std::size_t>(size_) * sizeof(T); }

  std::unique_ptr<T[]> image_;
  std::int64_t size_ = 0;
  Layout layout_;
  Storage storage_;
};

/// Hands operands to a case and keeps its outputs.
template <class T>
class Context {
 public:
  using Element = T;

  /// With `of_bf16` all numbers are those that bf16 can hold.
  Context(unsigned seed, int variation, Device device, bool of_bf16 = false)
      : random_(seed), variation_(variation), device_(device), of_bf16_(of_bf16) {}

  /// The kernels that prepare what another one takes: the oracle, or the device's own where that
  /// cannot reach the memory.
  [[nodiscard]] const KernelTable<T>& trusted_kernels() const {
    return kernels<T>(is_host_memory(device_) ? reference_cpu : device_);
  }

  // ---- Operands of any form. ----
  View<const T> in(const Shape& shape, Values values = {}) {
    return make<T>(shape, next_form(true), false, values).view();
  }
  template <class U>
  View<const U> in_of(const Shape& shape, Values values) {
    return make<U>(shape, next_form(true), false, values).view();
  }
  View<T> out(const Shape& shape) { return add_output<T>(shape, next_form(false), false); }
  template <class U>
  View<U> out_of(const Shape& shape) {
    return add_output<U>(shape, next_form(false), false);
  }
  /// An output that starts with values.
  View<T> in_out(const Shape& shape, Values values = {}) {
    return add_in_out(shape, next_form(false), false, values);
  }

  // ---- Operands with unit stride on the last axis. ----
  View<const T> rows(const Shape& shape, Values values = {}) {
    return make<T>(shape, next_form(true), true, values).view();
  }
  View<T> rows_out(const Shape& shape) { return add_output<T>(shape, next_form(false), true); }
  View<T> rows_in_out(const Shape& shape, Values values = {}) {
    return add_in_out(shape, next_form(false), true, values);
  }

  // ---- Contiguous operands. ----
  View<const T> plain(const Shape& shape, Values values = {}) {
    return make<T>(shape, Form::contiguous, true, values).view();
  }
  /// Another rows_in_out, laid out as the one before.
  View<T> rows_in_out_again(const Shape& shape, Values values = {}) {
    return add_in_out(shape, last_form_, true, values);
  }
  /// Contiguous, element i is change(i, random value).
  template <class Change>
  View<const T> made(const Shape& shape, const Values& values, Change&& change) {
    const Operand<T>& operand = make<T>(shape, Form::contiguous, true, values);
    for (std::int64_t i = 0; i < shape.numel(); ++i) {
      operand.begin()[i] = change(i, operand.begin()[i]);
    }
    operand.push();
    return operand.view();
  }
  template <class U>
  View<const U> plain_of(const Shape& shape, Values values) {
    return make<U>(shape, Form::contiguous, true, values).view();
  }
  View<T> plain_out(const Shape& shape) { return add_output<T>(shape, Form::contiguous, true); }
  View<T> plain_in_out(const Shape& shape, Values values = {}) {
    return add_in_out(shape, Form::contiguous, true, values);
  }
  template <class U>
  View<U> plain_in_out_of(const Shape& shape, Values values = {}) {
    return track(make<U>(shape, Form::contiguous, true, values));
  }

  /// The outputs' elements in row-major order, after the kernel ran. Fails the test if memory
  /// beside them has changed.
  [[nodiscard]] std::vector<std::vector<double>> outputs() const {
    std::vector<std::vector<double>> out;
    for (const auto& read : outputs_) {
      out.push_back(read());
    }
    return out;
  }

 private:
  Form next_form(bool input) {
    // Each operand of a variation gets another form; the first variation is all contiguous.
    const int count = operands_++;
    int form = variation_ == 0 ? 0 : (variation_ + 3 * count) % 4;
    if (!input && form == 3) {
      form = 1;
    }
    last_form_ = forms[form];
    return last_form_;
  }

  double draw(const Values& values) {
    std::uniform_real_distribution<double> uniform(0, 1);
    const double u = uniform(random_);
    const double kind = values.extreme ? uniform(random_) : 1;
    if (kind < 0.3) {
      constexpr double limit = std::numeric_limits<float>::infinity();
      constexpr double special[] = {limit,  -limit, std::numeric_limits<double>::quiet_NaN(),
                                    0.0,    -0.0,   1e-40,
                                    -3e-39, 3e38,   -1e30,
                                    88.5,   -104.0, 1e-10};
      return static_cast<float>(special[static_cast<std::size_t>(u * std::size(special))]);
    }
    const double value = values.low + (values.high - values.low) * u;
    return values.whole ? std::floor(value) : static_cast<double>(static_cast<float>(value));
  }

  template <class U>
  Operand<U>& make(const Shape& shape, Form form, bool unit_rows, const Values& values) {
    auto operand = std::make_shared<Operand<U>>(shape, form, unit_rows, device_);
    for (U& element : *operand) {
      const double value = draw(values);
      if constexpr (Floating<U>) {
        element = of_bf16_ ? convert<U>(convert<bf16>(value)) : convert<U>(value);
      } else {
        element = static_cast<U>(value);
      }
    }
    operand->push();
    keep_.push_back(operand);
    return *operand;
  }

  template <class U>
  View<U> track(const Operand<U>& operand) {
    std::vector<U> gaps;
    operand.for_each([&](const U& element, bool mine) {
      if (!mine) {
        gaps.push_back(element);
      }
    });
    outputs_.push_back([&operand, gaps] {
      std::size_t i = 0;
      bool untouched = true;
      operand.pull();
      operand.for_each([&](const U& element, bool mine) {
        if (!mine) {
          const U before = gaps[i++];
          untouched = untouched && std::memcmp(&element, &before, sizeof(U)) == 0;
        }
      });
      CHECK_MESSAGE(untouched, "memory beside an output was written");
      return operand.values();
    });
    return operand.view();
  }
  template <class U>
  View<U> add_output(const Shape& shape, Form form, bool unit_rows) {
    return track(make<U>(shape, form, unit_rows, {1, 100, false, true}));
  }
  View<T> add_in_out(const Shape& shape, Form form, bool unit_rows, const Values& values) {
    return track(make<T>(shape, form, unit_rows, values));
  }

  std::mt19937 random_;
  int variation_;
  Device device_;
  bool of_bf16_;
  int operands_ = 0;
  Form last_form_ = Form::contiguous;
  std::vector<std::shared_ptr<void>> keep_;
  std::vector<std::function<std::vector<double>()>> outputs_;
};

using Outputs = std::vector<std::vector<double>>;

/// Runs a case on a device; as it would be with bf16, where `of_bf16`.
template <class T, class Body>
Outputs run_case(const Body& body, unsigned seed, int variation, Device device,
                 bool of_bf16 = std::same_as<T, bf16>) {
  Context<T> context(seed, variation, device, of_bf16);
  body(kernels<T>(device), context);
  return context.outputs();
}

inline bool is_close(double value, double expected, const Tolerance& tolerance) {
  if (std::isnan(expected) || std::isinf(expected)) {
    return std::isnan(expected) ? std::isnan(value) : value == expected;
  }
  return std::abs(value - expected) <= tolerance.absolute + tolerance.relative * std::abs(expected);
}

/// Checks all outputs, naming the first element that is wrong.
inline void check_close(const Outputs& values, const Outputs& expected, const Tolerance& tolerance,
                        const std::string& what) {
  REQUIRE_MESSAGE(values.size() == expected.size(), what);
  for (std::size_t k = 0; k < values.size(); ++k) {
    REQUIRE_MESSAGE(values[k].size() == expected[k].size(), what);
    for (std::size_t i = 0; i < values[k].size(); ++i) {
      if (!is_close(values[k][i], expected[k][i], tolerance)) {
        FAIL_CHECK(what << ": output " << k << ", element " << i << " is " << values[k][i]
                        << " instead of " << expected[k][i]);
        return;
      }
    }
  }
}

/// Whether two runs gave the same bits (NaN of any payload aside).
inline bool same_bits(const Outputs& a, const Outputs& b) {
  for (std::size_t k = 0; k < a.size(); ++k) {
    for (std::size_t i = 0; i < a[k].size(); ++i) {
      if (std::memcmp(&a[k][i], &b[k][i], sizeof(double)) != 0 &&
          !(std::isnan(a[k][i]) && std::isnan(b[k][i]))) {
        return false;
      }
    }
  }
  return a.size() == b.size();
}

using ldlm_test::device_under_test;
using ldlm_test::takes_sample;

class ThreadCount {
 public:
  explicit ThreadCount(int count) : before_(num_threads()) { set_num_threads(count); }
  ~ThreadCount() { set_num_threads(before_); }
  ThreadCount(const ThreadCount&) = delete;
  ThreadCount& operator=(const ThreadCount&) = delete;

 private:
  int before_;
};

/// One case in one variation: the tested device in float, double and bf16 against the reference in
/// double, the reference in float and bf16 as well, and 1, 2 and 3 threads against each other (of a
/// card three runs, whose blocks an emulated one orders differently). `tolerance` is that of float.
template <class Body>
void check_variation(const std::string& name, const Tolerance& tolerance, const Body& body,
                     int variation) {
  const unsigned seed = 1234 + static_cast<unsigned>(variation);
  const std::string what = name + ", variation " + std::to_string(variation);
  const Outputs expected = run_case<double>(body, seed, variation, reference_cpu);
  const Tolerance fine = for_double(tolerance);
  check_close(run_case<float>(body, seed, variation, reference_cpu), expected, tolerance,
              what + ", reference float");
  const Outputs of_bf16 = run_case<double>(body, seed, variation, reference_cpu, true);
  const Tolerance rounded = for_bf16(tolerance);
  check_close(run_case<bf16>(body, seed, variation, reference_cpu), of_bf16, rounded,
              what + ", reference bf16");
  const Device device = device_under_test();
  std::vector<Outputs> half;
  std::vector<Outputs> single;
  std::vector<Outputs> twice;
  for (int threads = 1; threads <= (takes_sample() ? 2 : 3); ++threads) {
    const ThreadCount scope(threads);
    half.push_back(run_case<bf16>(body, seed, variation, device));
    single.push_back(run_case<float>(body, seed, variation, device));
    twice.push_back(run_case<double>(body, seed, variation, device));
  }
  check_close(half[0], of_bf16, rounded, what + ", bf16");
  check_close(single[0], expected, tolerance, what + ", float");
  check_close(twice[0], expected, fine, what + ", double");
  for (std::size_t i = 1; i < single.size(); ++i) {
    CHECK_MESSAGE(same_bits(half[0], half[i]), what << ": threads change bf16 results");
    CHECK_MESSAGE(same_bits(single[0], single[i]), what << ": threads change float results");
    CHECK_MESSAGE(same_bits(twice[0], twice[i]), what << ": threads change double results");
  }
}

inline constexpr int variations = 5;

template <class Body>
void check_kernel(const std::string& name, const Tolerance& tolerance, const Body& body) {
  for (int variation = 0; variation < variations; variation += takes_sample() ? 3 : 1) {
    check_variation(name, tolerance, body, variation);
  }
}

/// For inputs with extreme values: each type against the reference of its own type, since a float
/// overflows where a double does not.
template <class Body>
void check_extremes(const std::string& name, const Tolerance& tolerance, const Body& body) {
  for (unsigned seed = 0; seed < 5; seed += takes_sample() ? 3 : 1) {
    const Device device = device_under_test();
    check_close(run_case<float>(body, seed, 0, device),
                run_case<float>(body, seed, 0, reference_cpu), tolerance, name + ", extreme float");
    check_close(run_case<double>(body, seed, 0, device),
                run_case<double>(body, seed, 0, reference_cpu), for_double(tolerance),
                name + ", extreme double");
    check_close(run_case<bf16>(body, seed, 0, device), run_case<bf16>(body, seed, 0, reference_cpu),
                for_bf16(tolerance), name + ", extreme bf16");
  }
}

/// Shapes of rank 0 to 6, with extents of 1 and 0, around the widths of vectors.
inline std::vector<Shape> all_shapes() {
  return {{},
          {1},
          {0},
          {7},
          {33},
          {64},
          {3, 0, 2},
          {5, 17},
          {17, 5},
          {1, 4, 1},
          {2, 3, 4},
          {40, 3, 5},
          {6, 1, 9},
          {2, 3, 4, 5},
          {3, 2, 16, 8},
          {2, 1, 3, 2, 5},
          {2, 2, 2, 3, 2, 3},
          {70, 130}};
}

/// A shape for a case of large size: beyond the size from which work is split over threads.
inline Shape large_shape() {
  return {3, 301, 93};
}

}  // namespace ldlm::test
