#pragma once
// Modules for inference alone: the matrices that they visit with v.matrix are replaced by such in
// few bits, or by such whose floats are laid out for products.
//
//   ldlm::nn::quantize(gpt2, ldlm::QuantizedFormat::int8);
//   ldlm::nn::quantize(bert, ldlm::QuantizedFormat::f32);   // the same results, faster
//
// Biases, norms and positions stay as they are. A quantized matrix is no parameter any more.

#include <ldlm/nn/module.hpp>

namespace ldlm::nn {

namespace detail {

/// (out, in) of a matrix.
inline Shape matrix_shape(const Shape& shape, MatrixLayout layout) {
  return layout == MatrixLayout::out_in ? shape : Shape{shape[1], shape[0]};
}

struct QuantizeMatrices : Handler<float> {
  QuantizedFormat format;

  explicit QuantizeMatrices(QuantizedFormat f) : format(f) {}
  void matrix(const std::string& /*name*/, Variable<float>& weight,
              std::optional<QuantizedMatrix>& quantized, MatrixLayout layout) {
    if (weight.defined()) {
      const Tensor<float>& w = weight.value();
      quantized = ldlm::quantize(layout == MatrixLayout::out_in ? w : w.transpose(0, 1), format);
      weight = {};
    }
  }
};

struct CollectQuantized : Handler<float> {
  std::vector<std::pair<std::string, QuantizedMatrix>> found{};

  void matrix(const std::string& name, Variable<float>& /*weight*/,
              std::optional<QuantizedMatrix>& quantized, MatrixLayout /*layout*/) {
    if (quantized) {
      found.emplace_back(name, *quantized);
    }
  }
};

/// Puts in read(name, shape (out, in)) for every matrix.
template <class Read>
struct ReplaceMatrices : Handler<float> {
  Read read;

  explicit ReplaceMatrices(Read r) : read(std::move(r)) {}
  void matrix(const std::string& name, Variable<float>& weight,
              std::optional<QuantizedMatrix>& quantized, MatrixLayout layout) {
    if (weight.defined()) {
      quantized = read(name, matrix_shape(weight.shape(), layout));
      weight = {};
    }
  }
};

}  // namespace detail

/// Quantizes every matrix. Throws for one with an element that is not finite.
template <class M>
void quantize(M& module, QuantizedFormat format) {
  static_assert(std::is_same_v<scalar_t<M>, float>, "only modules of float can be quantized");
  detail::QuantizeMatrices handler(format);
  detail::walk(module, handler);
}

/// The quantized matrices with their full names, in the order of visit.
template <class M>
[[nodiscard]] std::vector<std::pair<std::string, QuantizedMatrix>> quantized_matrices(
    const M& module) {
  detail::CollectQuantized collect;
  detail::walk(module, collect);
  return std::move(collect.found);
}

/// Replaces every matrix with read(full name, shape (out, in)).
template <class M, class Read>
void replace_matrices(M& module, Read read) {
  static_assert(std::is_same_v<scalar_t<M>, float>, "only modules of float can be quantized");
  detail::ReplaceMatrices<Read> handler(std::move(read));
  detail::walk(module, handler);
}

}  // namespace ldlm::nn
