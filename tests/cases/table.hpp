#pragma once
// The table of ops that cases may call: every public function of core/ops and autograd/functions.

#include <functional>
#include <map>
#include <string>

#include "value.hpp"

namespace ldlm::test {

/// Where a function of that name exists.
enum class Of { tensors, variables, both };

class Table {
 public:
  using Function = std::function<void(Call&)>;
  struct Entry {
    Of of;
    Function function;
  };

  void add(std::string name, Of of, Function function) {
    const bool added = entries_.emplace(std::move(name), Entry{of, std::move(function)}).second;
    LDLM_CHECK(added, "cases", "an op was entered twice");
  }
  /// An op of one argument: `f(x)` is its result.
  template <class Wanted, class F>
  void one(std::string name, Of of, Wanted wanted, F f) {
    add(std::move(name), of, [=](Call& call) {
      visit_argument(call, 0, wanted, [&](const auto& x) {
        if constexpr (std::is_invocable_v<F, decltype(x), Call&>) {
          call.give(f(x, call));
        } else {
          call.give(f(x));
        }
      });
    });
  }
  /// An op of two arguments: `f(x, y)` is its result.
  template <class Wanted, class F>
  void two(std::string name, Of of, Wanted wanted, F f) {
    add(std::move(name), of, [=](Call& call) {
      visit_pair(call, wanted, [&](const auto& x, const auto& y) {
        if constexpr (std::is_invocable_v<F, decltype(x), decltype(y), Call&>) {
          call.give(f(x, y, call));
        } else {
          call.give(f(x, y));
        }
      });
    });
  }

  [[nodiscard]] const std::map<std::string, Entry, std::less<>>& entries() const {
    return entries_;
  }
  void run(Call& call) const {
    const auto found = entries_.find(call.op);
    LDLM_CHECK(found != entries_.end(), "cases", "no op is called ", call.op);
    found->second.function(call);
  }

 private:
  std::map<std::string, Entry, std::less<>> entries_;
};

// One family each, in a unit of its own.
void add_elementwise(Table& table);
void add_operators(Table& table);
void add_views(Table& table);
void add_reductions(Table& table);
void add_indexing(Table& table);
void add_matrices(Table& table);
void add_networks(Table& table);
void add_losses(Table& table);

[[nodiscard]] inline const Table& table() {
  static const Table whole = [] {
    Table made;
    add_elementwise(made);
    add_operators(made);
    add_views(made);
    add_reductions(made);
    add_indexing(made);
    add_matrices(made);
    add_networks(made);
    add_losses(made);
    return made;
  }();
  return whole;
}

}  // namespace ldlm::test
