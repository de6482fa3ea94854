#pragma once
// Initializer: how the parameters of a new BERT or GPT-2 are made.

#include <ldlm/nn/embedding.hpp>
#include <ldlm/nn/linear.hpp>

namespace ldlm {

/// Makes the parameters of a new model: normal weights of one deviation and zero biases, or, with
/// no generator, memory to load a checkpoint into.
template <Floating T>
class Initializer {
 public:
  Initializer(Generator* generator, double stddev) : generator_(generator), stddev_(stddev) {}

  [[nodiscard]] Variable<T> normal(const Shape& shape, double scale = 1) const {
    return Variable<T>(generator_ != nullptr ? randn<T>(shape, *generator_, 0, scale * stddev_)
                                             : Tensor<T>::empty(shape),
                       true);
  }
  [[nodiscard]] Variable<T> zeros(const Shape& shape) const {
    return Variable<T>(Tensor<T>::zeros(shape), true);
  }
  [[nodiscard]] Linear<T> linear(std::int64_t in, std::int64_t out) const {
    Linear<T> made;
    made.weight = Weight<T>(normal({out, in}));
    made.bias = zeros({out});
    return made;
  }
  /// A linear map whose matrix lies as in Hugging Face's Conv1D, (in, out).
  [[nodiscard]] Linear<T> conv1d(std::int64_t in, std::int64_t out, double scale = 1) const {
    Linear<T> made;
    made.weight = Weight<T>(normal({in, out}, scale), WeightLayout::in_out);
    made.bias = zeros({out});
    return made;
  }
  [[nodiscard]] Embedding<T> embedding(std::int64_t count, std::int64_t dim) const {
    Embedding<T> made;
    made.weight = normal({count, dim});
    return made;
  }

 private:
  Generator* generator_;
  double stddev_;
};

}  // namespace ldlm
