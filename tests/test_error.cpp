// Errors as a program sees them: their kinds, the operation they name, and how messages are
// written.

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <string>
#include <utility>

#include <ldlm/autograd/autograd.hpp>
#include <ldlm/core/error.hpp>
#include <ldlm/files/regular_file.hpp>
#include <ldlm/json/parse.hpp>

using namespace ldlm;

namespace {

/// The code of the Error that `action` throws, if its class is `Kind`.
template <class Kind, class Action>
std::string kind_of(ErrorCode code, Action&& action) {
  try {
    action();
  } catch (const Kind& error) {
    return error.code() == code ? "as expected" : "another code";
  } catch (const Error& error) {
    return std::string("another class: ") + error.what();
  }
  return "no error";
}

}  // namespace

#define CHECK_KIND(Kind, code, ...) \
  CHECK(kind_of<Kind>(ErrorCode::code, [&] { static_cast<void>(__VA_ARGS__); }) == "as expected")

TEST_CASE("an Error is caught by its kind") {
  const auto x = Tensor<float>::ones({2, 3});
  const auto there = Tensor<float>::ones({2, 3}, reference_cpu);
  const Variable<float> none;
  CHECK_KIND(ValueError, value, clamp(x, NAN, 1));
  CHECK_KIND(ValueError, value, unary(static_cast<UnaryOp>(200), x));
  CHECK_KIND(ShapeError, shape, add(x, Tensor<float>::ones({2, 4})));
  CHECK_KIND(ShapeError, shape, add_(x.select(0, 0).expand({2, 3}), x));
  CHECK_KIND(IndexError, index, x.size(2));
  CHECK_KIND(IndexError, index, embedding(x, Tensor<std::int64_t>::full({1}, 2)));
  CHECK_KIND(DTypeError, dtype, neg(Tensor<f16>::ones({2})));
  CHECK_KIND(DTypeError, dtype, exp(Tensor<std::int32_t>::ones({2})));
  CHECK_KIND(DTypeError, dtype, sub(Tensor<bool>::ones({2}), Tensor<bool>::ones({2})));
  CHECK_KIND(DeviceError, device, add(x, there));
  CHECK_KIND(DeviceError, device, Tensor<float>::ones({2}, cuda));
  CHECK_KIND(MemoryError, memory, Tensor<float>::empty({std::int64_t{1} << 60}));
  CHECK_KIND(StateError, state, none.shape());
  CHECK_KIND(StateError, state, none.backward());
  CHECK_KIND(StateError, state, none.set_requires_grad(false));
  CHECK_KIND(ValueError, value, Tensor<float>::from_blob(nullptr, {3}));
  CHECK_KIND(StateError, state, Variable<float>(x).backward());
  CHECK_KIND(FileError, file, detail::open_regular_file("/no/such/file"));
}

TEST_CASE("an Error knows the file that it is about") {
  try {
    (void)detail::open_regular_file("/no/such/file");
  } catch (const Error& error) {
    CHECK(error.op() == "open");
    CHECK(error.path() == "/no/such/file");
    CHECK(error.reason() == "/no/such/file: No such file or directory");
  }
  try {
    (void)parse_json("[1,", "a file");
  } catch (const FileError& error) {
    CHECK(error.path() == "a file");
  }
  const Error other("of any form");
  CHECK(other.path().empty());
  CHECK(other.reason() == "of any form");
  CHECK(ShapeError("op", "reason").path().empty());
}

TEST_CASE("an Error tells the operation from the reason") {
  try {
    matmul(Tensor<float>::ones({2, 3}), Tensor<float>::ones({2, 3}));
    FAIL("no error");
  } catch (const Error& error) {
    const Error copy = error;
    CHECK(copy.op() == "matmul");
    CHECK(copy.reason() == "inner sizes differ: (2, 3) x (2, 3)");
    CHECK(std::string(copy.what()) == "[matmul] inner sizes differ: (2, 3) x (2, 3)");
  }
  const ShapeError own("a message of one's own");
  CHECK(own.op().empty());
  CHECK(own.reason() == "a message of one's own");
  CHECK(own.code() == ErrorCode::shape);
}

TEST_CASE("parts of a message are written as a stream would") {
  const std::string text = "text";
  CHECK(detail::concat(text, ' ', std::string_view("view"), ' ', text.c_str(), ' ', "literal") ==
        "text view text literal");
  CHECK(detail::concat(-3, ' ', std::size_t{7}, ' ', true, ' ', std::int64_t{1} << 40) ==
        "-3 7 1 1099511627776");
  CHECK(detail::concat(0.1F, ' ', 1.0, ' ', 1e-7, ' ', 1234567.0, ' ', 1e300) ==
        "0.1 1 1e-07 1.23457e+06 1e+300");
  CHECK(detail::concat(std::numeric_limits<float>::infinity(), ' ', -0.0) == "inf -0");
  CHECK(detail::concat(Shape{2, 3}, ' ', cpu) == "(2, 3) cpu:0");
}

TEST_CASE("NaN in a message has no sign") {
  CHECK(ldlm::detail::concat(-std::nan(""), ' ', std::nan(""), ' ', -1.5F) == "nan nan -1.5");
}

TEST_CASE("null is memory for no elements") {
  CHECK(Tensor<float>::from_blob(nullptr, {3, 0}).shape() == Shape{3, 0});
}

TEST_CASE("what takes an undefined Variable says so") {
  const auto reason_of = [](auto&& action) {
    try {
      static_cast<void>(action());
    } catch (const StateError& error) {
      return std::string(error.what());
    }
    return std::string("no StateError");
  };
  const Variable<float> v(Tensor<float>::ones({2, 3}), true);
  Variable<float> none(Tensor<float>::ones({2, 3}), true);
  const Variable<float> taken = std::move(none);  // what was moved from is undefined, too
  CHECK(reason_of([&] { return exp(none); }) == "[exp] the Variable is undefined");
  CHECK(reason_of([&] { return v + none; }) == "[add] the Variable is undefined");
  CHECK(reason_of([&] { return none * v; }) == "[mul] the Variable is undefined");
  CHECK(reason_of([&] { return none / 2; }) == "[div] the Variable is undefined");
  CHECK(reason_of([&] { return maximum(v, none); }) == "[maximum] the Variable is undefined");
  CHECK(reason_of([&] { return sum(none); }) == "[sum] the Variable is undefined");
  CHECK(reason_of([&] { return mean(none); }) == "[mean] the Variable is undefined");
  CHECK(reason_of([&] { return max(none, 1); }) == "[max] the Variable is undefined");
  CHECK(reason_of([&] { return matmul(v, none); }) == "[matmul] the Variable is undefined");
  CHECK(reason_of([&] { return linear(v, none); }) == "[linear] the Variable is undefined");
  CHECK(reason_of([&] { return softmax(none, 0); }) == "[softmax] the Variable is undefined");
  CHECK(reason_of([&] { return concat({v, none}, 0); }) == "[concat] the Variable is undefined");
  CHECK(reason_of([&] { return mse_loss(v, none); }) == "[mse_loss] the Variable is undefined");
  CHECK(reason_of([&] { return none.reshape({6}); }) == "[reshape] the Variable is undefined");
  CHECK(reason_of([&] { return none.slice(0, 1); }) == "[slice] the Variable is undefined");
  CHECK(reason_of([&] { return none.value(); }) == "[value] the Variable is undefined");
}

TEST_CASE("messages name the function that was called") {
  const auto op_of = [](auto&& action) {
    try {
      action();
    } catch (const Error& error) {
      return std::string(error.op());
    }
    return std::string("no error");
  };
  const auto x = Tensor<float>::ones({2, 3});
  const auto halves = Tensor<f16>::ones({2});
  CHECK(op_of([&] { exp(halves); }) == "exp");
  CHECK(op_of([&] { add(halves, 1); }) == "add");
  CHECK(op_of([&] { stack({x, Tensor<float>::ones({2})}); }) == "stack");
  CHECK(op_of([&] { stack({x}, 4); }) == "stack");
  CHECK(op_of([&] { matmul_into(x, x, x); }) == "matmul_into");
  const Variable<float> v(x, true);
  CHECK(op_of([&] { static_cast<void>(concat({v, v}, 3)); }) == "concat");
  CHECK(op_of([&] { static_cast<void>(stack({v, v}, 4)); }) == "stack");
  CHECK(op_of([&] { static_cast<void>(split(v, 1, 2)); }) == "split");
  CHECK(op_of([&] { static_cast<void>(pad(v, 2, 0, 1)); }) == "pad");
  CHECK(op_of([&] { add_layer_norm(v, Variable<float>(Tensor<float>::ones({3})), {}, {}); }) ==
        "add_layer_norm");
}
