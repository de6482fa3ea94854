#pragma once
// Weight: the matrix of a linear map, dense while it is trained, or packed for inference alone: in
// fewer bits, or as floats laid out beforehand for products.
//
//   Weight<float> w(Variable<float>(matrix, true));   // matrix (N, K)
//   auto y = linear(x, w, bias);                          // (..., K) -> (..., N)
//   w.pack(WeightFormat::int8, "head.weight");
//   const NoGrad scope;
//   auto z = linear(x, w, bias);                          // about the same
//
// Whatever takes a Weight, modules and models, is written once for all formats: those are described
// in core/weight_format.hpp.

#include <memory>
#include <string>
#include <type_traits>
#include <utility>

#include <ldlm/autograd/functions/index.hpp>
#include <ldlm/autograd/functions/loss.hpp>
#include <ldlm/autograd/functions/matrix.hpp>
#include <ldlm/core/packed.hpp>

namespace ldlm {

/// How a matrix lies: (N, K) = (out, in), as torch.nn.Linear's and as a table of embeddings, or
/// (K, N) = (in, out), as GPT-2's.
enum class WeightLayout : std::uint8_t { out_in, in_out };

/// A matrix that maps K = in() values to N = out(), or that has N rows of K to look up. It is dense
/// or packed, or undefined. Copies share the memory; packing one leaves the others as they are.
template <Floating T = float>
class Weight {
 public:
  using value_type = T;

  /// Undefined.
  Weight() = default;
  /// A dense one that lies as `layout` says. Throws unless it is a matrix, or undefined.
  explicit Weight(Variable<T> dense, WeightLayout layout = WeightLayout::out_in)
      : dense_(std::move(dense)), layout_(layout) {
    LDLM_CHECK_SHAPE(!dense_.defined() || dense_.rank() == 2, "Weight", "needs a matrix, got ",
                     to_string(dense_.shape()));
  }
  /// A packed one, (N, K) whatever the layout of the dense one was. `name` is how errors call it.
  /// Throws if T is not float.
  explicit Weight(PackedMatrix matrix, WeightLayout layout = WeightLayout::out_in,
                  std::string name = "the weight")
      : packed_(std::make_shared<const Packed>(Packed{std::move(matrix), std::move(name)})),
        layout_(layout) {
    LDLM_CHECK((std::same_as<T, float>), "Weight", packed_->name, " is of ", name_of(dtype_of<T>),
               "; only weights of f32 can be packed");
  }

  [[nodiscard]] bool defined() const { return dense_.defined() || is_packed(); }
  [[nodiscard]] bool is_packed() const { return packed_ != nullptr; }
  [[nodiscard]] WeightLayout layout() const { return layout_; }
  /// N.
  [[nodiscard]] std::int64_t out() const {
    return is_packed() ? packed_->matrix.n : dense_.size(layout_ == WeightLayout::out_in ? 0 : 1);
  }
  /// K.
  [[nodiscard]] std::int64_t in() const {
    return is_packed() ? packed_->matrix.k : dense_.size(layout_ == WeightLayout::out_in ? 1 : 0);
  }
  [[nodiscard]] Device device() const {
    return is_packed() ? packed_->matrix.data.device() : dense_.device();
  }
  /// (N, K) or (K, N), as the layout says.
  [[nodiscard]] Shape shape() const {
    return layout_ == WeightLayout::out_in ? Shape{out(), in()} : Shape{in(), out()};
  }

  /// The dense matrix as it lies. Throws, naming the weight, for a packed one.
  [[nodiscard]] const Variable<T>& variable() const {
    check_dense();
    return dense_;
  }
  [[nodiscard]] Variable<T>& variable() {
    check_dense();
    return dense_;
  }
  /// Those of variable().
  [[nodiscard]] const Tensor<T>& value() const { return variable().value(); }
  [[nodiscard]] const Tensor<T>& grad() const { return variable().grad(); }
  /// Whether gradients flow here, which they never do to a packed one.
  [[nodiscard]] bool requires_grad() const { return !is_packed() && dense_.requires_grad(); }
  /// The dense matrix as a view (N, K).
  [[nodiscard]] Variable<T> matrix() const {
    return layout_ == WeightLayout::out_in ? variable() : variable().transpose(0, 1);
  }

  /// The packed matrix. Throws for a weight that is not packed.
  [[nodiscard]] const PackedMatrix& packed() const {
    LDLM_CHECK(is_packed(), "Weight", "is not packed");
    return packed_->matrix;
  }
  /// Packs a dense one, which then is for inference alone and no parameter any more. `name` is how
  /// errors call it from then on. Throws, and changes nothing, for one that is packed already, lies
  /// on another device than the CPU or has an element that is not finite (but see is_exact).
  void pack(WeightFormat format, std::string name = "the weight") requires std::same_as<T, float> {
    const Tensor<T>& w = value();
    PackedMatrix matrix =
        ldlm::pack(layout_ == WeightLayout::out_in ? w : w.transpose(0, 1), format, name);
    *this = Weight(std::move(matrix), layout_, std::move(name));
  }

  /// Moves a packed one to a device; a dense one moves as the parameter that it is.
  void move_packed(Device device) {
    if (is_packed() && packed_->matrix.device() != device) {
      packed_ = std::make_shared<const Packed>(Packed{packed_->matrix.to(device), packed_->name});
    }
  }

  /// Throws "[op] NAME is packed as FORMAT and WHY" if it is packed.
  void check_dense(std::string_view op = "Weight",
                   std::string_view why = "has no dense values and no gradient") const {
    LDLM_CHECK_STATE(!is_packed(), op, packed_->name, " is packed as ",
                     name_of(packed_->matrix.format), " and ", why);
  }

 private:
  struct Packed {
    PackedMatrix matrix;
    std::string name;
  };

  Variable<T> dense_;                     // as it lies
  std::shared_ptr<const Packed> packed_;  // in its place
  WeightLayout layout_ = WeightLayout::out_in;
};

/// act(x W^T + bias). x (..., K), W (N, K) in either layout, bias (N) or undefined, result (...,
/// N). A packed weight passes no gradient on: throws, naming it, where a graph is recorded.
template <Floating T>
Variable<T> linear(const Operand<T> auto& input, const Weight<T>& weight,
                   const Variable<T>& bias = {}, Activation activation = Activation::none) {
  const Variable<T>& x = as_variable(input);
  if constexpr (std::same_as<T, float>) {  // as only these are packed
    if (weight.is_packed()) {
      if (detail::records(x, bias)) {
        weight.check_dense("linear", "passes no gradient on; wrap inference in a NoGrad scope");
      }
      return Variable<T>(
          ldlm::linear(x.value(), weight.packed(), detail::value_of(bias), activation));
    }
  }
  return weight.layout() == WeightLayout::out_in
             ? ldlm::linear(x, weight.variable(), bias, activation)
             : ldlm::linear(x, weight.matrix(), bias, activation);
}

/// Rows `ids` (...) of a table (N, K): (..., K). Throws for an id outside [0, N). Those of a packed
/// table are constants, as those of a frozen one.
template <Floating T>
Variable<T> embedding(const Weight<T>& table, const Tensor<std::int64_t>& ids) {
  if constexpr (std::same_as<T, float>) {
    if (table.is_packed()) {
      return Variable<T>(ldlm::embedding(table.packed(), ids));
    }
  }
  return ldlm::embedding(table.matrix(), ids);
}

/// cross_entropy(linear(x, weight), targets): x (R, K), targets (R) -> scalar. With a dense weight
/// the logits are never held all at once.
template <Floating T>
Variable<ComputeType<T>> linear_cross_entropy(
    const Operand<T> auto& x, const Weight<T>& weight, const Tensor<std::int64_t>& targets,
    const CrossEntropyOptions<std::type_identity_t<T>>& options = {}) {
  return weight.is_packed()
             ? cross_entropy(linear(x, weight), targets, options)
             : ldlm::linear_cross_entropy(as_variable(x), weight.matrix(), targets, options);
}

}  // namespace ldlm
