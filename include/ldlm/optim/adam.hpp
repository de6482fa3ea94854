#pragma once
// Adam (Kingma & Ba, 2015) and AdamW (Loshchilov & Hutter, 2019), as in torch.optim. All
// parameters are moved by one call of one kernel, in place; those of bf16 in floats, see
// optim/master.hpp.

#include <algorithm>
#include <cmath>
#include <optional>

#include <ldlm/core/ops/reduce.hpp>
#include <ldlm/optim/master.hpp>
#include <ldlm/optim/optimizer.hpp>
#include <ldlm/optim/parameter_group.hpp>

namespace ldlm {

/// PyTorch's defaults.
template <bool Decoupled>
struct AdamBaseOptions {
  double learning_rate = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  std::optional<double> weight_decay{};  // unset: AdamW 0.01, Adam 0; must be, beside groups
};
using AdamOptions = AdamBaseOptions<false>;
using AdamWOptions = AdamBaseOptions<true>;

/// Adam; with `Decoupled`, AdamW: the decay acts on the weights rather than the gradients.
template <Floating T, bool Decoupled>
class AdamBase {
 public:
  using Options = AdamBaseOptions<Decoupled>;
  static constexpr std::string_view name = Decoupled ? "AdamW" : "Adam";

  /// Throws ValueError for options out of range, a weight decay beside groups that have their own,
  /// what is no parameter or given twice, and parameters of which none requires a gradient;
  /// ShapeError for one that is strided.
  explicit AdamBase(const std::vector<ParameterGroup<T>>& groups, const Options& options = {})
      : AdamBase(options, detail::without_decay(name, groups, options.weight_decay)) {}
  explicit AdamBase(const NamedParameters<T>& parameters, const Options& options = {})
      : AdamBase(options, detail::one_group(parameters, decay_of(options))) {}
  explicit AdamBase(const std::vector<Variable<T>>& parameters, const Options& options = {})
      : AdamBase(options, detail::one_group(parameters, decay_of(options))) {}

  [[nodiscard]] double learning_rate() const noexcept { return options_.learning_rate; }
  void set_learning_rate(double rate) {
    detail::check_not_negative(name, "learning_rate", rate);
    options_.learning_rate = rate;
  }

  /// What steps depend on beside the learning rate.
  [[nodiscard]] OptimizerSettings settings() const {
    return detail::with_group_settings(
        {{"beta1", options_.beta1}, {"beta2", options_.beta2}, {"epsilon", options_.epsilon}},
        entries_, &Entry::slot);
  }
  /// Those that it moves, with their names.
  [[nodiscard]] NamedParameters<T> parameters() const {
    NamedParameters<T> all;
    for (const Entry& entry : entries_) {
      all.emplace_back(entry.slot.name, entry.slot.parameter);
    }
    return all;
  }

  /// Moves every parameter that has a gradient. `grad_scale` multiplies the gradients on the way:
  /// clipping without a pass of its own, see clip_factor.
  void step(double grad_scale = 1) {
    std::vector<AdamItem<T>> items;
    std::vector<Entry*> moved;
    std::vector<Tensor<T>> grads;  // which the items point into
    for (Entry& entry : entries_) {
      const Tensor<T>& p = entry.slot.parameter.value();
      if (!entry.slot.parameter.grad().defined() || p.numel() == 0) {
        continue;
      }
      detail::check_contiguous(name, entry.slot.name, entry.slot.parameter);
      grads.push_back(entry.slot.parameter.grad().contiguous());
      const auto steps = static_cast<double>(entry.steps + 1);
      AdamItem<T>& item = items.emplace_back();
      AdamStep<C>& args = item.step;
      args.learning_rate = static_cast<C>(options_.learning_rate * entry.slot.learning_rate_factor);
      args.beta1 = static_cast<C>(options_.beta1);
      args.beta2 = static_cast<C>(options_.beta2);
      args.epsilon = static_cast<C>(options_.epsilon);
      args.weight_decay = static_cast<C>(entry.slot.weight_decay);
      // Of the rounded betas, so that the rounding of 1 - beta cancels.
      args.bias_correction1 = static_cast<C>(1 - std::pow(static_cast<double>(args.beta1), steps));
      args.bias_correction2 = static_cast<C>(1 - std::pow(static_cast<double>(args.beta2), steps));
      args.decoupled = Decoupled;
      args.grad_scale = static_cast<C>(grad_scale);
      item.parameter = p.data();
      item.grad = grads.back().data();
      item.master = entry.master.floats().data();  // the kernel takes over what is not its own
      item.m = entry.mean.data();
      item.v = entry.variance.data();
      item.n = p.numel();
      moved.push_back(&entry);
    }
    // One call for those in a row that are on one device.
    for (std::size_t i = 0, end = 0; i < items.size(); i = end) {
      const Device device = moved[i]->slot.parameter.value().device();
      while (end < items.size() && moved[end]->slot.parameter.value().device() == device) {
        ++end;
      }
      detail::kernel(device, &KernelTable<T>::adam, name)(items.data() + i,
                                                          static_cast<std::int64_t>(end - i));
    }
    for (Entry* const entry : moved) {
      entry->slot.parameter.value().storage().bump_version();
      ++entry->steps;
    }
  }

  /// Drops the gradients.
  void zero_grad() {
    for (Entry& entry : entries_) {
      entry.slot.parameter.zero_grad();
    }
  }

  /// "<name>.exp_avg", "<name>.exp_avg_sq" (which share memory with the optimiser) and
  /// "<name>.step"; for bf16 "<name>.master", too.
  [[nodiscard]] NamedTensors<ComputeType<T>> state_dict() const {
    NamedTensors<C> state;
    for (const Entry& entry : entries_) {
      entry.master.add_to(state, entry.slot.name);
      state.emplace_back(entry.slot.name + ".exp_avg", entry.mean);
      state.emplace_back(entry.slot.name + ".exp_avg_sq", entry.variance);
      state.emplace_back(entry.slot.name + ".step", Tensor<C>::scalar(static_cast<C>(entry.steps)));
    }
    return state;
  }
  /// Throws, and changes nothing, unless names and shapes are those of state_dict(), steps are
  /// whole numbers, means are finite and those of squares not negative.
  void load_state_dict(const NamedTensors<ComputeType<T>>& state) {
    const NamedTensors<C> own = state_dict();
    for (const auto& [key, tensor] : state) {
      if (key.ends_with(".step")) {
        detail::check_count_state(name, key, tensor);
        continue;
      }
      detail::check_finite_state(name, key, tensor);
      LDLM_CHECK(!key.ends_with(".exp_avg_sq") || tensor.numel() == 0 || min(tensor).item() >= 0,
                 name, key, " holds a negative number");
    }
    copy_tensors(state, own, true, name);
    for (std::size_t i = 0; i < entries_.size(); ++i) {
      const std::size_t last = own.size() / entries_.size() * (i + 1) - 1;
      entries_[i].steps = static_cast<std::int64_t>(own[last].second.item());
    }
  }

 private:
  using C = ComputeType<T>;

  static double decay_of(const Options& options) {
    return options.weight_decay.value_or(Decoupled ? 0.01 : 0);
  }

  AdamBase(const Options& options, const std::vector<ParameterGroup<T>>& groups)
      : options_(options) {
    detail::check_not_negative(name, "learning_rate", options.learning_rate);
    detail::check_not_negative(name, "epsilon", options.epsilon);
    for (const double beta : {options.beta1, options.beta2}) {
      LDLM_CHECK(beta >= 0 && beta < 1, name, "betas must lie in [0, 1), got ", beta);
    }
    for (auto& slot : detail::make_slots(groups, name)) {
      const Tensor<T>& p = slot.parameter.value();
      entries_.push_back({std::move(slot), detail::Master<T>(p),
                          Tensor<C>::zeros(p.shape(), p.device()),
                          Tensor<C>::zeros(p.shape(), p.device()), 0});
    }
  }

  struct Entry {
    detail::Slot<T> slot;
    detail::Master<T> master;
    Tensor<C> mean, variance;  // moving averages of the gradient and its square
    std::int64_t steps;
  };

  Options options_;
  std::vector<Entry> entries_;
};

/// Adam(parameters), where these are groups, named parameters or a vector of Variables.
template <Floating T = float>
class Adam : public AdamBase<T, false> {
 public:
  using AdamBase<T, false>::AdamBase;
};
template <class Source>
Adam(const Source& source) -> Adam<detail::parameter_type<Source>>;
template <class Source>
Adam(const Source& source, AdamOptions options) -> Adam<detail::parameter_type<Source>>;
template <Floating T>
Adam(std::initializer_list<Variable<T>> parameters, AdamOptions options = {}) -> Adam<T>;

/// AdamW(parameters), as Adam.
template <Floating T = float>
class AdamW : public AdamBase<T, true> {
 public:
  using AdamBase<T, true>::AdamBase;
};
template <class Source>
AdamW(const Source& source) -> AdamW<detail::parameter_type<Source>>;
template <class Source>
AdamW(const Source& source, AdamWOptions options) -> AdamW<detail::parameter_type<Source>>;
template <Floating T>
AdamW(std::initializer_list<Variable<T>> parameters, AdamWOptions options = {}) -> AdamW<T>;

}  // namespace ldlm
