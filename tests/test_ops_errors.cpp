// Every mistake in the arguments of an op is an Error that names the op, the rule and the shapes.

#include <doctest/doctest.h>

#include <ldlm/core/ops.hpp>
#include <ldlm/core/weight_format.hpp>

using namespace ldlm;
using Floats = Tensor<float>;
using IdTensor = Tensor<std::int64_t>;

// Checks that an expression throws an Error with exactly that message.
#define CHECK_ERROR(expression, message) \
  CHECK_THROWS_WITH_AS(static_cast<void>(expression), message, Error)

namespace {

const Floats m23 = Floats::ones({2, 3});
const Floats m45 = Floats::ones({4, 5});
const Floats there = Floats::ones({2, 3}, reference_cpu);

}  // namespace

TEST_CASE("shapes that do not broadcast") {
  CHECK_ERROR(add(m23, m45), "[add] shapes do not broadcast: (2, 3) and (4, 5)");
  CHECK_ERROR(sub(m23, m45), "[sub] shapes do not broadcast: (2, 3) and (4, 5)");
  CHECK_ERROR(m23 * m45, "[mul] shapes do not broadcast: (2, 3) and (4, 5)");
  CHECK_ERROR(m23 / m45, "[div] shapes do not broadcast: (2, 3) and (4, 5)");
  CHECK_ERROR(pow(m23, m45), "[pow] shapes do not broadcast: (2, 3) and (4, 5)");
  CHECK_ERROR(minimum(m23, m45), "[minimum] shapes do not broadcast: (2, 3) and (4, 5)");
  CHECK_ERROR(maximum(m23, m45), "[maximum] shapes do not broadcast: (2, 3) and (4, 5)");
  CHECK_ERROR(eq(m23, m45), "[eq] shapes do not broadcast: (2, 3) and (4, 5)");
  CHECK_ERROR(where(Tensor<bool>::zeros({4, 5}), m23, m23),
              "[where] shapes do not broadcast: (4, 5) and (2, 3)");
  CHECK_ERROR(where(Tensor<bool>::zeros({2, 3}), m23, m45),
              "[where] shapes do not broadcast: (2, 3) and (4, 5)");
  // In place, the left side does not grow.
  CHECK_ERROR(add_(Floats::ones({3}), m23), "[add_] cannot broadcast (2, 3) to (3,)");
  CHECK_ERROR(mul_(m23, m45), "[mul_] cannot broadcast (4, 5) to (2, 3)");
  CHECK_ERROR(axpy_(m23, 2, m45), "[axpy_] cannot broadcast (4, 5) to (2, 3)");
  CHECK_ERROR(sum_to(m23, {2}), "[sum_to] (2,) does not broadcast to (2, 3)");
  CHECK_ERROR(sum_to(Floats::ones({1, 3}), {2, 3}), "[sum_to] (2, 3) does not broadcast to (1, 3)");
}

TEST_CASE("tensors on different devices") {
  CHECK_ERROR(add(m23, there), "[add] tensors are on cpu:0 and reference:0");
  CHECK_ERROR(add_(m23, there), "[add_] tensors are on cpu:0 and reference:0");
  CHECK_ERROR(lt(m23, there), "[lt] tensors are on cpu:0 and reference:0");
  CHECK_ERROR(axpy_(there, 1, m23), "[axpy_] tensors are on reference:0 and cpu:0");
  CHECK_ERROR(where(Tensor<bool>::zeros({3}), m23, there),
              "[where] tensors are on cpu:0 and reference:0");
  CHECK_ERROR(where(Tensor<bool>::zeros({3}, reference_cpu), m23, m23),
              "[where] tensors are on cpu:0 and reference:0");
  CHECK_ERROR(matmul(m23, there.transpose(0, 1)), "[matmul] tensors are on cpu:0 and reference:0");
  CHECK_ERROR(linear(m23, there), "[linear] tensors are on cpu:0 and reference:0");
  CHECK_ERROR(concat({m23, there}), "[concat] tensors are on cpu:0 and reference:0");
}

TEST_CASE("tensors that are undefined") {
  const Floats none;
  const IdTensor no_ids;
  const Floats row = Floats::ones({3});
  const auto check = [](std::string_view op, const auto& function) {
    const std::string message = '[' + std::string(op) + "] the tensor is undefined";
    CAPTURE(message);
    CHECK_THROWS_WITH_AS(function(), message.c_str(), StateError);
  };
#define CHECK_UNDEFINED(op, expression) check(op, [&] { static_cast<void>(expression); })
#define LDLM_CHECK_FUNCTION(name, saved) CHECK_UNDEFINED(#name, name(none));
  LDLM_UNARY_FUNCTIONS(LDLM_CHECK_FUNCTION)
#undef LDLM_CHECK_FUNCTION
  CHECK_UNDEFINED("neg", -none);
  CHECK_UNDEFINED("clamp", clamp(none, 0, 1));
  CHECK_UNDEFINED("add_", add_(none, 1));
  CHECK_UNDEFINED("add", none + none);
  CHECK_UNDEFINED("add", row + none);
  CHECK_UNDEFINED("sub", 1 - none);
  CHECK_UNDEFINED("div", none / 2);
  CHECK_UNDEFINED("mul_", mul_(row, none));
  CHECK_UNDEFINED("div_", div_(none, 2));
  CHECK_UNDEFINED("lt", lt(none, row));
  CHECK_UNDEFINED("ge", ge(none, 1));
  CHECK_UNDEFINED("axpy_", axpy_(none, 1, none));
  CHECK_UNDEFINED("where", where(Tensor<bool>(), row, row));
  CHECK_UNDEFINED("where", where(gt(row, 0), row, none));
  CHECK_UNDEFINED("cast", cast<double>(none));
  CHECK_UNDEFINED("sum", sum(none));
  CHECK_UNDEFINED("mean", mean(none));
  CHECK_UNDEFINED("max", max(none));
  CHECK_UNDEFINED("norm", norm(none));
  CHECK_UNDEFINED("var", var(none));
  CHECK_UNDEFINED("argmax", argmax(none));
  CHECK_UNDEFINED("top_k", top_k(none, 0));
  CHECK_UNDEFINED("top_k", top_k(none, 1));
  CHECK_UNDEFINED("equal", equal(none, none));
  CHECK_UNDEFINED("copy_", row.copy_(none));
  Generator generator(1);
  CHECK_UNDEFINED("categorical", categorical(none, generator));
  CHECK_UNDEFINED("sum_to", sum_to(none, {1}));
  CHECK_UNDEFINED("matmul", matmul(none, none));
  CHECK_UNDEFINED("matmul", matmul(row, none));
  CHECK_UNDEFINED("matmul_into", matmul_into(none, m23, none));
  CHECK_UNDEFINED("linear", linear(none, m23));
  CHECK_UNDEFINED("linear", linear(row, none));
  CHECK_UNDEFINED("softmax", softmax(none));
  CHECK_UNDEFINED("log_softmax", log_softmax(none));
  CHECK_UNDEFINED("layer_norm", layer_norm(none, {}, {}));
  CHECK_UNDEFINED("rms_norm", rms_norm(none, {}));
  CHECK_UNDEFINED("dropout", dropout(none, 0.5F, PhiloxStream{}));
  CHECK_UNDEFINED("scaled_dot_product_attention", scaled_dot_product_attention(none, none, none));
  CHECK_UNDEFINED("cross_entropy_rows", cross_entropy_rows(none, no_ids));
  CHECK_UNDEFINED("cross_entropy_rows", cross_entropy_rows(m23, no_ids));
  CHECK_UNDEFINED("embedding", embedding(none, no_ids));
  CHECK_UNDEFINED("embedding", embedding(m23, no_ids));
  CHECK_UNDEFINED("index_select", index_select(m23, 0, no_ids));
  CHECK_UNDEFINED("index_add_", index_add_(none, no_ids, none));
  CHECK_UNDEFINED("index_copy_", index_copy_(none, no_ids, none));
  CHECK_UNDEFINED("index_copy_", index_copy_(m23, no_ids, row));
  CHECK_UNDEFINED("gather", gather(none, 0, no_ids));
  CHECK_UNDEFINED("gather", gather(m23, 0, no_ids));
  CHECK_UNDEFINED("scatter_add_", scatter_add_(none, 0, no_ids, none));
  CHECK_UNDEFINED("concat", concat({none, row}));
  CHECK_UNDEFINED("stack", stack({none}));
  CHECK_UNDEFINED("split", split(none, 1));
  CHECK_UNDEFINED("pad", pad(none, 0, 1, 1));
#undef CHECK_UNDEFINED
}

TEST_CASE("numbers beside integers") {
  const auto bytes = Tensor<std::uint8_t>::full({2}, 200);
  CHECK((Tensor<int>::full({2}, 4) * 3).to_vector() == std::vector<int>{12, 12});
  CHECK(eq(bytes, 200U).to_vector() == std::vector<bool>{true, true});
  CHECK_THROWS_WITH_AS((void)(bytes + 256), "[Number] 256 is outside of the elements' range",
                       ValueError);
  CHECK_THROWS_WITH_AS((void)gt(bytes, -1), "[Number] -1 is outside of the elements' range",
                       ValueError);
  CHECK((Floats::ones({1}) * 0.1 + 1 - std::int64_t{2}).item() == 0.1F + 1 - 2);
}

TEST_CASE("numbers that are no value of an enumeration") {
  const auto none = [](auto type) { return static_cast<decltype(type)>(200); };
  for (const Device device : {cpu, reference_cpu}) {
    const auto x = Floats::ones({3}, device);
    const auto y = Floats::ones({3}, device);
    const auto& table = kernels<float>(device);
    CHECK_ERROR(unary(none(UnaryOp{}), x), "[UnaryOp] 200 is none of its values");
    CHECK_ERROR(unary_(none(UnaryOp{}), x), "[UnaryOp] 200 is none of its values");
    CHECK_ERROR(table.unary_backward(none(UnaryOp{}), x.view(), x.view(), y.view(), 0, 0),
                "[UnaryOp] 200 is none of its values");
    CHECK_ERROR(table.binary(none(BinaryOp{}), x.view(), x.view(), y.view()),
                "[BinaryOp] 200 is none of its values");
    CHECK_ERROR(table.compare(none(CompareOp{}), x.view(), x.view(),
                              Tensor<bool>::zeros({3}, device).view()),
                "[CompareOp] 200 is none of its values");
    CHECK_ERROR(table.reduce(none(ReduceOp{}), x.view(), Floats::ones({1}, device).view()),
                "[ReduceOp] 200 is none of its values");
    CHECK_ERROR(
        linear(Floats::ones({2, 3}, device), Floats::ones({4, 3}, device), {}, none(Activation{})),
        "[Activation] 200 is none of its values");
    CHECK(equal(x, Floats::ones({3})));
  }
  CHECK_ERROR(saves_output(none(UnaryOp{})), "[UnaryOp] 200 is none of its values");
  CHECK_ERROR(Floats::ones({3}, Device{none(DeviceType{}), 0}),
              "[DeviceType] 200 is none of its values");
  CHECK(name_of(none(DeviceType{})) == "unknown");
  CHECK(name_of(none(DType{})) == "unknown");
  CHECK(name_of(none(WeightFormat{})) == "unknown");
}

TEST_CASE("element types that an op is not defined for") {
  const auto x = Tensor<f16>::ones({2});
  CHECK_ERROR(add(x, x), "[add] is not defined for elements of type f16");
  CHECK_ERROR(neg(x), "[neg] is not defined for elements of type f16");
  CHECK_ERROR(sum(x), "[sum] is not defined for elements of type f16");
  CHECK_ERROR(eq(Tensor<f16>::ones({2}), Tensor<f16>::ones({2})),
              "[eq] is not defined for elements of type f16");
  CHECK_ERROR(argmax(x), "[argmax] is not defined for elements of type f16");
  CHECK(cast<float>(x).to_vector() == std::vector<float>{1, 1});
  // Truth has no opposite number, and is counted.
  const auto truth = Tensor<bool>::from_values({2, 2}, {true, true, false, true});
  CHECK_ERROR(-truth, "[neg] not defined for bool; eq(x, false) is its negation");
  CHECK_ERROR(unary_(UnaryOp::neg, truth),
              "[unary_] not defined for bool; eq(x, false) is its negation");
  CHECK(sum(truth).item() == 3);
  CHECK(sum(truth, 0, true).to_vector() == std::vector<std::int64_t>{1, 2});
  CHECK_ERROR(sum(Tensor<bool>()), "[sum] the tensor is undefined");
}

TEST_CASE("axes out of range or named twice") {
  CHECK_ERROR(sum(m23, 2), "[sum] axis 2 is out of range for rank 2");
  CHECK_ERROR(mean(m23, {0, -2}), "[mean] axis -2 is named twice");
  CHECK_ERROR(softmax(m23, 2), "[softmax] axis 2 is out of range for rank 2");
  CHECK_ERROR(log_softmax(m23, -3), "[log_softmax] axis -3 is out of range for rank 2");
  CHECK_ERROR(softmax(Floats::scalar(1)), "[softmax] axis -1 is out of range for rank 0");
  CHECK_ERROR(argmin(m23, 5), "[argmin] axis 5 is out of range for rank 2");
  CHECK_ERROR(split(m23, 1, 2), "[split] axis 2 is out of range for rank 2");
  CHECK_ERROR(pad(m23, 2, 1, 1), "[pad] axis 2 is out of range for rank 2");
  CHECK_ERROR(concat({m23, m23}, 2), "[concat] axis 2 is out of range for rank 2");
  CHECK_ERROR(stack({m23, m23}, 3), "[stack] axis 3 is out of range for rank 3");
  CHECK_ERROR(gather(m23, 2, IdTensor::zeros({2, 3})),
              "[gather] axis 2 is out of range for rank 2");
  CHECK_ERROR(index_select(m23, -3, IdTensor::zeros({2})),
              "[index_select] axis -3 is out of range for rank 2");
}

TEST_CASE("extremes of no elements") {
  const Floats none = Floats::ones({2, 0});
  CHECK_ERROR(max(none), "[max] of no elements, shape (2, 0)");
  CHECK_ERROR(min(none, 1), "[min] of no elements, shape (2, 0)");
  CHECK_ERROR(argmax(none), "[argmax] of no elements, shape (2, 0)");
  CHECK(max(none, 0).shape() == Shape{0});  // no maxima to take
  CHECK(argmax(none, 0).shape() == Shape{0});
  CHECK_ERROR(top_k(m23, 4), "[top_k] k = 4 does not fit the last axis of (2, 3)");
  CHECK_ERROR(top_k(m23, -1), "[top_k] k = -1 does not fit the last axis of (2, 3)");
  CHECK_ERROR(top_k(Floats::scalar(1), 1), "[top_k] k = 1 does not fit the last axis of ()");
}

TEST_CASE("matrices that do not fit") {
  CHECK_ERROR(matmul(m23, m45), "[matmul] inner sizes differ: (2, 3) x (4, 5)");
  CHECK_ERROR(matmul(m23, Floats::ones({2})), "[matmul] inner sizes differ: (2, 3) x (2, 1)");
  CHECK_ERROR(matmul(m23, Floats::scalar(1)),
              "[matmul] needs matrices or vectors, got (2, 3) x ()");
  CHECK_ERROR(matmul(Floats::ones({2, 2, 3}), Floats::ones({4, 3, 2})),
              "[matmul] shapes do not broadcast: (2,) and (4,)");
  CHECK_ERROR(matmul_into(m23, m23.transpose(0, 1), Floats::ones({2, 3})),
              "[matmul_into] product of (2, 3) x (3, 2) does not fit (2, 3)");
  CHECK_ERROR(matmul_into(m23, m23.transpose(0, 1), Floats::ones({2, 4}).slice(1, 0, 4, 2)),
              "[matmul_into] the output needs unit stride on its last axis");
  CHECK_ERROR(linear(m23, m45), "[linear] inner sizes differ: input (2, 3), weight (4, 5)");
  CHECK_ERROR(linear(m23, Floats::ones({3})),
              "[linear] inner sizes differ: input (2, 3), weight (3,)");
  CHECK_ERROR(linear(m23, m23, {Floats::ones({3})}),
              "[linear] bias (3,) does not fit weight (2, 3)");
  CHECK_ERROR(fused_linear(m23, m23, {{}, Activation::none, m23}),
              "[linear] residual must be of shape (2, 2), got (2, 3)");
}

TEST_CASE("joining, splitting and padding") {
  CHECK_ERROR(concat(std::vector<Floats>{}), "[concat] needs at least one tensor");
  CHECK_ERROR(concat({m23, Floats::ones({3})}), "[concat] ranks differ: (2, 3) and (3,)");
  CHECK_ERROR(concat({m23, m45}), "[concat] extents differ beside axis 0: (2, 3) and (4, 5)");
  CHECK_ERROR(stack({m23, m45}), "[stack] extents differ beside axis 0: (1, 2, 3) and (1, 4, 5)");
  CHECK_ERROR(split(m23, 0), "[split] extent must be positive, got 0");
  CHECK_ERROR(pad(m23, 0, -1, 2), "[pad] amounts must lie in [0, 2^60], got -1 and 2");
}

TEST_CASE("indices outside of what they index name value, place and bounds") {
  const auto ids = [](std::initializer_list<std::int64_t> values) {
    return IdTensor::from_values({static_cast<std::int64_t>(values.size())}, values);
  };
  CHECK_ERROR(embedding(m23, ids({0, 2})), "[embedding] index 2 at position 1 is outside [0, 2)");
  CHECK_ERROR(embedding(m23, ids({-1})), "[embedding] index -1 at position 0 is outside [0, 2)");
  CHECK_ERROR(embedding(m23, ids({0, 5, 0, 7}).reshape({2, 2}).transpose(0, 1)),
              "[embedding] index 5 at position 2 is outside [0, 2)");
  CHECK_ERROR(embedding(Floats::ones({0, 3}), ids({0})),
              "[embedding] index 0 at position 0 is outside [0, 0)");
  CHECK_ERROR(embedding(Floats::scalar(1), ids({0})),
              "[embedding] the table needs at least one axis");
  CHECK_ERROR(index_select(m23, 1, ids({3})),
              "[index_select] index 3 at position 0 is outside [0, 3)");
  CHECK_ERROR(index_select(m23, 1, IdTensor::zeros({1, 1})),
              "[index_select] needs one axis of indices, got (1, 1)");
  CHECK_ERROR(gather(m23, 1, IdTensor::full({2, 1}, 3)),
              "[gather] index 3 at position 0 is outside [0, 3)");
  CHECK_ERROR(gather(m23, 1, IdTensor::zeros({3, 3})),
              "[gather] index (3, 3) does not fit (2, 3) along axis 1");
  CHECK_ERROR(gather(m23, 1, IdTensor::zeros({2})),
              "[gather] index (2,) does not fit (2, 3) along axis 1");
  CHECK_ERROR(index_add_(m23, ids({2}), Floats::ones({1, 3})),
              "[index_add_] index 2 at position 0 is outside [0, 2)");
  CHECK_ERROR(index_add_(m23, ids({1}), Floats::ones({2, 3})),
              "[index_add_] indices (1,) and source (2, 3) do not fit (2, 3)");
  CHECK_ERROR(index_add_(m23, ids({1}), Floats::ones({1, 4})),
              "[index_add_] source (1, 4) does not fit (2, 3)");
  CHECK_ERROR(index_copy_(m23, ids({2}), Floats::ones({1, 3})),
              "[index_copy_] index 2 at position 0 is outside [0, 2)");
  CHECK_ERROR(index_copy_(Floats::scalar(1), ids({0}), Floats::scalar(1)),
              "[index_copy_] indices (1,) and source () do not fit ()");
  CHECK_ERROR(index_add_(Floats::scalar(1), ids({0}), Floats::scalar(1)),
              "[index_add_] indices (1,) and source () do not fit ()");
  CHECK_ERROR(index_copy_(m23, IdTensor::full({2}, 1), Floats::ones({2, 3})),
              "[index_copy_] index 1 comes twice");
  CHECK_ERROR(index_copy_(m23, ids({1}), Floats::ones({1, 4})),
              "[index_copy_] source (1, 4) does not fit (2, 3)");
  CHECK_ERROR(scatter_add_(m23, 0, IdTensor::full({1, 3}, 2), Floats::ones({1, 3})),
              "[scatter_add_] index 2 at position 0 is outside [0, 2)");
  CHECK_ERROR(scatter_add_(m23, 0, IdTensor::zeros({1, 3}), Floats::ones({1, 2})),
              "[scatter_add_] index (1, 3) and source (1, 2) do not fit (2, 3) along axis 0");
}

TEST_CASE("normalisation") {
  const Floats g3 = Floats::ones({3});
  CHECK_ERROR(layer_norm(m23, Floats::ones({2}), g3),
              "[layer_norm] gamma (2,) does not fit rows of 3");
  CHECK_ERROR(layer_norm(m23, g3, Floats::ones({1, 3})),
              "[layer_norm] beta (1, 3) does not fit rows of 3");
  CHECK_ERROR(add_layer_norm(m23, m45, g3, g3),
              "[add_layer_norm] residual (4, 5) does not fit (2, 3)");
  CHECK_ERROR(layer_norm(Floats::ones({2, 0}), {}, {}), "[layer_norm] rows are empty: (2, 0)");
  CHECK_ERROR(layer_norm(Floats::scalar(1), {}, {}), "[layer_norm] needs at least one axis");
  CHECK_ERROR(rms_norm(m23, Floats::ones({2})), "[rms_norm] gamma (2,) does not fit rows of 3");
  CHECK_ERROR(rms_norm(Floats::ones({2, 0}), {}), "[rms_norm] rows are empty: (2, 0)");
}

TEST_CASE("attention") {
  const Floats q = Floats::ones({1, 2, 3, 4});
  const auto position = [](std::int64_t i) { return IdTensor::full({1}, i); };
  const auto attend = [&](const Floats& k, const Floats& v,
                          const AttentionOptions<float>& options = {}) {
    return scaled_dot_product_attention(q, k, v, options);
  };
  CHECK_ERROR(
      attend(m23, m23),
      "[scaled_dot_product_attention] needs (B, H, T, D), got q (1, 2, 3, 4), k (2, 3), v (2, 3)");
  CHECK_ERROR(attend(Floats::ones({1, 2, 5, 3}), Floats::ones({1, 2, 5, 3})),
              "[scaled_dot_product_attention] shapes do not fit: q (1, 2, 3, 4), k (1, 2, 5, 3), v "
              "(1, 2, 5, 3)");
  CHECK_ERROR(attend(q, Floats::ones({1, 2, 5, 4})),
              "[scaled_dot_product_attention] shapes do not fit: q (1, 2, 3, 4), k (1, 2, 3, 4), v "
              "(1, 2, 5, 4)");
  CHECK_ERROR(attend(q.slice(2, 1), q.slice(2, 1), {{}, true}),
              "[scaled_dot_product_attention] causal needs Tq <= Tk, got 3 and 2");
  CHECK_ERROR(attend(q, q, {Floats::ones({4, 3})}),
              "[scaled_dot_product_attention] cannot broadcast (4, 3) to (1, 2, 3, 3)");
  CHECK_ERROR(attend(q, q, {{}, false, 0, 1}),
              "[scaled_dot_product_attention] dropout must lie in [0, 1), got 1");
  CHECK_ERROR(attend(q, q, {.last_key = position(3)}),
              "[scaled_dot_product_attention] last_key is 3, of keys (1, 2, 3, 4)");
  CHECK_ERROR(attend(q, q, {.mask = Floats::ones({3, 2}), .last_key = position(1)}),
              "[scaled_dot_product_attention] cannot broadcast (3, 2) to (1, 2, 3, 3)");
  CHECK_ERROR(attend(q, q, {.last_key = IdTensor::ones({2})}),
              "[scaled_dot_product_attention] last_key is one position (1), got (2,)");
  CHECK_ERROR(attend(q, q, {.dropout = 0.5F, .last_key = position(1)}),
              "[scaled_dot_product_attention] last_key does not go with dropout");
  const Floats empty = Floats::ones({1, 2, 3, 0});
  CHECK_ERROR(scaled_dot_product_attention(empty, empty, empty),
              "[scaled_dot_product_attention] heads have no channels: (1, 2, 3, 0)");
}

TEST_CASE("cross-entropy") {
  CHECK_ERROR(cross_entropy_rows(m23, IdTensor::zeros({3})),
              "[cross_entropy_rows] needs logits (N, V) and targets (N), got (2, 3) and (3,)");
  CHECK_ERROR(cross_entropy_rows(Floats::ones({2, 2, 3}), IdTensor::zeros({2})),
              "[cross_entropy_rows] needs logits (N, V) and targets (N), got (2, 2, 3) and (2,)");
  CHECK_ERROR(cross_entropy_rows(m23, IdTensor::from_values({2}, {0, 3})),
              "[cross_entropy_rows] target 3 at position 1 is outside [0, 3)");
  CHECK_ERROR(cross_entropy_rows(m23, IdTensor::from_values({2}, {-1, 0})),
              "[cross_entropy_rows] target -1 at position 0 is outside [0, 3)");
  CHECK_ERROR(cross_entropy_rows(m23, IdTensor::zeros({2}), {-100, 1.5F}),
              "[cross_entropy_rows] label smoothing must lie in [0, 1], got 1.5");
  CHECK(cross_entropy_rows(m23, IdTensor::full({2}, -100)).to_vector() == std::vector<float>{0, 0});
}

TEST_CASE("a failed op changes nothing") {
  const Floats x = Floats::ones({2, 3});
  const auto version = x.storage().version();
  CHECK_THROWS_AS(add_(x, m45), Error);
  CHECK_THROWS_AS(index_add_(x, IdTensor::full({1}, 9), Floats::ones({1, 3})), Error);
  CHECK(x.storage().version() == version);
  CHECK(equal(x, m23));
}
