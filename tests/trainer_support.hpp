#pragma once
// What the tests of Trainer share: a small net, its data, optimisers.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <ldlm/autograd/autograd.hpp>
#include <ldlm/nn/nn.hpp>
#include <ldlm/optim/optim.hpp>
#include <ldlm/train/trainer.hpp>

namespace trainer_support {

using namespace ldlm;
namespace fs = std::filesystem;

// A regression with dropout, so that the random streams matter as well.
template <class T>
struct Regressor {
  using value_type = T;
  ldlm::Linear<T> hidden, out;
  ldlm::Dropout<T> dropout;

  explicit Regressor(Generator& g) : hidden(4, 16, g), out(16, 1, g), dropout(0.1) {}
  Variable<T> operator()(const Variable<T>& x) const {
    return out(dropout(hidden(x, Activation::gelu)));
  }
  template <class V>
  void visit(V&& v) {
    v("hidden", hidden);
    v("out", out);
    v("dropout", dropout);
  }
};

inline constexpr std::int64_t row_count = 50;

// The loss of rows (B): row n is four sines, to be added up.
template <class T>
Variable<T> loss_of(const Regressor<T>& net, const Tensor<std::int64_t>& rows) {
  std::vector<T> values;
  for (const std::int64_t row : rows.to_vector()) {
    for (int i = 0; i < 4; ++i) {
      values.push_back(static_cast<T>(std::sin(static_cast<double>(row * (i + 1)))));
    }
  }
  const Variable<T> x(
      Tensor<T>::from_values({rows.size(0), 4}, values).to(net.hidden.weight.device()));
  return mse_loss(net(x), Variable<T>(sum(x.value(), 1, true)));
}

inline TrainOptions small_options(const fs::path& folder) {
  TrainOptions options;
  options.folder = folder;
  options.steps = 400;
  options.batch_size = 8;
  options.warmup = 10;
  options.ema_decay = 0.9;
  options.seed = 5;
  if (!folder.empty()) {
    options.checkpoint_every = 7;
  }
  return options;
}

inline constexpr double small_rate = 1e-2;

template <class Module>
auto adamw(const Module& net, double rate = small_rate) {
  return ldlm::AdamW(ldlm::decay_groups(net, 0.01), {.learning_rate = rate, .beta2 = 0.98});
}
// The others that are trained with here.
template <class Module>
auto sgd(const Module& net) {
  return ldlm::SGD(ldlm::named_parameters(net),
                   {.learning_rate = small_rate, .momentum = 0.9, .weight_decay = 0.01});
}

// Trains a fresh net as far as it gets and returns its state.
template <class T = float>
NamedTensors<T> train(
    const TrainOptions& options, std::int64_t stop_after = -1, TrainHooks hooks = {},
    const std::function<Trainer<T>(Regressor<T>&, const TrainOptions&)>& make =
        [](Regressor<T>& net, const TrainOptions& o) { return Trainer<T>(net, adamw(net), o); }) {
  Generator generator(3);
  Regressor<T> net(generator);
  Trainer<T> trainer = make(net, options);
  if (!options.folder.empty()) {
    trainer.resume();
  }
  std::int64_t done = 0;
  hooks.stop = [&] { return ++done == stop_after; };
  trainer.run(
      row_count, [&](const Tensor<std::int64_t>& rows) { return loss_of(net, rows); }, hooks);
  trainer.finish();
  return ldlm::state_dict(net);
}

template <class T>
bool same(const NamedTensors<T>& a, const NamedTensors<T>& b) {
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a[i].first != b[i].first || !equal(a[i].second, b[i].second)) {
      return false;
    }
  }
  return a.size() == b.size();
}

// An optimiser of one's own: the sign of the gradient's moving average.
template <class T>
class Signs {
 public:
  explicit Signs(ldlm::NamedParameters<T> parameters) : parameters_(std::move(parameters)) {
    for (const auto& [name, parameter] : parameters_) {
      means_.emplace_back(name + ".mean", Tensor<T>::zeros(parameter.shape()));
    }
  }
  [[nodiscard]] double learning_rate() const { return rate_; }
  void set_learning_rate(double rate) { rate_ = rate; }
  void step(double factor) {
    for (std::size_t i = 0; i < means_.size(); ++i) {
      mul_(means_[i].second, T(0.9));
      axpy_(means_[i].second, static_cast<T>(0.1 * factor), parameters_[i].second.grad());
      Tensor<T> signs = means_[i].second.clone();
      std::transform(signs.data(), signs.data() + signs.numel(), signs.data(),
                     [](T mean) { return mean < 0 ? T(-1) : T(1); });
      axpy_(parameters_[i].second.value(), static_cast<T>(-rate_), signs);
    }
  }
  void zero_grad() {
    for (const auto& [name, parameter] : parameters_) {
      parameter.zero_grad();
    }
  }
  [[nodiscard]] const NamedTensors<T>& state_dict() const { return means_; }
  void load_state_dict(const NamedTensors<T>& state) { copy_tensors(state, means_, true, "Signs"); }

 private:
  ldlm::NamedParameters<T> parameters_;
  NamedTensors<T> means_;
  double rate_ = 1e-2;
};

}  // namespace trainer_support
