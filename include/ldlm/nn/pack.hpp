#pragma once
// Modules for inference alone: their weights are packed in few bits, or as floats that are laid out
// for products.
//
//   ldlm::pack(gpt2, ldlm::WeightFormat::int8);
//   ldlm::pack(bert, ldlm::WeightFormat::f32);   // the same results, faster
//
// What a module visits as a Weight is packed; biases, norms, positions and whatever else it visits
// as a Variable keep their values and are frozen. A packed weight is no parameter any more.

#include <string>
#include <utility>
#include <vector>

#include <ldlm/nn/module.hpp>

namespace ldlm {

namespace detail {

/// Every weight as it will be once all are packed, in the order of visit; changes nothing.
struct PackWeights : Handler<float> {
  WeightFormat format;
  std::vector<Weight<float>> packed{};

  explicit PackWeights(WeightFormat f) : format(f) {}
  void weight(const std::string& name, Weight<float>& weight) {
    Weight<float>& copy = packed.emplace_back(weight);
    if (!weight.is_packed()) {
      copy.pack(format, name);
      return;
    }
    const WeightFormat present = weight.packed().format;
    LDLM_CHECK_STATE(present == format, "pack", name, " is packed as ", name_of(present),
                     " already, and can't be packed as ", name_of(format));
  }
};

/// Without trainable parameters beside the packed weights, which no gradient passes: inference
/// records no graph. The parameters of the module's copies stay as they are.
template <Floating T>
struct Freeze : Handler<T> {
  void parameter(const std::string& /*name*/, Variable<T>& parameter) {
    parameter = parameter.detach();
  }
};

struct PutPacked : Freeze<float> {
  std::vector<Weight<float>>& packed;
  std::size_t next = 0;

  explicit PutPacked(std::vector<Weight<float>>& p) : packed(p) {}
  void weight(const std::string& /*name*/, Weight<float>& weight) {
    weight = std::move(packed[next++]);
  }
};

template <Floating T>
struct CollectPacked : Handler<T> {
  std::vector<std::pair<std::string, PackedMatrix>> found{};

  void weight(const std::string& name, Weight<T>& weight) {
    if (weight.is_packed()) {
      found.emplace_back(name, weight.packed());
    }
  }
};

template <Floating T, class Read>
struct ReadPacked : Freeze<T> {
  Read& read;

  explicit ReadPacked(Read& r) : read(r) {}
  void weight(const std::string& name, Weight<T>& weight) {
    weight = Weight<T>(read(name, weight.out(), weight.in()), weight.layout(), name);
  }
};

}  // namespace detail

/// Packs every weight and freezes what else the module has (its copies stay trainable). Throws, and
/// changes nothing, for a weight that is packed in another format already or, unless the format is
/// exact, has an element that is not finite.
template <Module M>
void pack(M& module, WeightFormat format) {
  static_assert(std::same_as<scalar_t<M>, float>, "only modules of float can be packed");
  detail::PackWeights pack(format);
  detail::walk(module, pack);
  detail::PutPacked put(pack.packed);
  detail::walk(module, put);
}

/// The packed weights (N, K) with their full names, in the order of visit.
template <Module M>
[[nodiscard]] std::vector<std::pair<std::string, PackedMatrix>> packed_weights(const M& module) {
  detail::CollectPacked<scalar_t<M>> collect;
  detail::walk(module, collect);
  return std::move(collect.found);
}

/// Replaces every weight with the packed matrix (N, K) that read(full name, N, K) gives, and
/// freezes what else the module has. Throws for a module whose elements are not float.
template <Module M, class Read>
void replace_packed(M& module, Read&& read) {
  detail::ReadPacked<scalar_t<M>, std::remove_reference_t<Read>> handler(read);
  detail::walk(module, handler);
}

}  // namespace ldlm
