#pragma once
// Ema: an exponential moving average of parameters, which evaluates better than the last ones.

#include <algorithm>

#include <ldlm/core/ops/elementwise.hpp>
#include <ldlm/optim/parameter_group.hpp>

namespace ldlm {

/// average = d * average + (1 - d) * parameter after every step.
template <Floating T = float>
class Ema {
 public:
  /// Starts at the parameters' values. With `warmup` d is at most (1 + n) / (10 + n) in update n,
  /// so that the first values are soon forgotten.
  explicit Ema(NamedParameters<T> parameters, double decay = 0.999, bool warmup = false)
      : parameters_(std::move(parameters)), decay_(decay), warmup_(warmup) {
    LDLM_CHECK(decay >= 0 && decay < 1, "Ema", "decay must lie in [0, 1), got ", decay);
    for (const auto& [name, parameter] : parameters_) {
      averages_.push_back(cast<C>(parameter.value().clone()));
    }
  }

  /// Takes in the parameters' present values.
  void update() {
    LDLM_CHECK_STATE(!swapped_, "Ema", "cannot update while the averages are swapped in");
    ++updates_;
    const auto n = static_cast<double>(updates_);
    const double d = warmup_ ? std::min(decay_, (1 + n) / (10 + n)) : decay_;
    for (std::size_t i = 0; i < averages_.size(); ++i) {
      mul_(averages_[i], d);
      axpy_(averages_[i], 1 - d, cast<C>(parameters_[i].second.value()));
    }
  }

  /// The parameters take the averages' place, which for bf16 are rounded; a second call gives them
  /// back their values. No element is copied. See EmaScope.
  void swap() {  // NOLINT(bugprone-exception-escape): it swaps no two Emas
    if (swapped_) {
      for (std::size_t i = 0; i < averages_.size(); ++i) {
        parameters_[i].second.set_value(std::move(values_[i]));
      }
      values_.clear();
    } else {
      for (std::size_t i = 0; i < averages_.size(); ++i) {
        values_.push_back(parameters_[i].second.value());
        parameters_[i].second.set_value(cast<T>(averages_[i]));
      }
    }
    swapped_ = !swapped_;
  }

  /// The averages under their parameters' names, and "ema.updates". Shares memory.
  [[nodiscard]] NamedTensors<ComputeType<T>> state_dict() const {
    NamedTensors<C> state;
    for (std::size_t i = 0; i < averages_.size(); ++i) {
      state.emplace_back(parameters_[i].first, averages_[i]);
    }
    state.emplace_back("ema.updates", Tensor<C>::scalar(static_cast<C>(updates_)));
    return state;
  }
  /// Throws, and changes nothing, unless names and shapes are those of state_dict(), and the number
  /// of updates is a whole one.
  void load_state_dict(const NamedTensors<ComputeType<T>>& state) {
    LDLM_CHECK_STATE(!swapped_, "Ema", "cannot load while the averages are swapped in");
    if (const Tensor<C>* const updates = find(state, "ema.updates")) {
      detail::check_count_state("Ema", "ema.updates", *updates);
    }
    const NamedTensors<C> own = state_dict();
    copy_tensors(state, own, true, "Ema");
    updates_ = static_cast<std::int64_t>(own.back().second.item());
  }

 private:
  using C = ComputeType<T>;

  NamedParameters<T> parameters_;
  std::vector<Tensor<C>> averages_;
  std::vector<Tensor<T>> values_;  // of the parameters, while the averages are in their place
  double decay_;
  bool warmup_;
  bool swapped_ = false;
  std::int64_t updates_ = 0;
};

/// The averages stand in for the parameters as long as this lives.
template <Floating T>
class EmaScope {
 public:
  explicit EmaScope(Ema<T>& ema) : ema_(ema) { ema_.swap(); }
  EmaScope(const EmaScope&) = delete;
  EmaScope& operator=(const EmaScope&) = delete;
  ~EmaScope() { ema_.swap(); }

 private:
  Ema<T>& ema_;
};

}  // namespace ldlm
