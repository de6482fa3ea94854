// The trained model on a card: its texts are the CPU's.

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include <ldlm/latent_diffusion.hpp>

#include "paths.hpp"

namespace {

struct Texts {
  std::vector<std::string> restored, sampled;
  friend bool operator==(const Texts&, const Texts&) = default;
};

Texts texts_of(ldlm::Ldlm<float>& model, ldlm::Device device) {
  model.to(device);
  CHECK(model.device() == device);
  ldlm::Generator generator(7);
  const auto latents = model.sample(2, {.steps = 2}, generator);
  CHECK(latents.device() == device);
  return {model.decode(model.encode({"The river flows through the city.", "It was cold."}),
                       {.num_beams = 1}),
          model.decode(latents, {.num_beams = 2})};
}

}  // namespace

TEST_CASE("ldlm-tiny reconstructs and samples as on the CPU") {
  auto model = ldlm::Ldlm<float>::load(ldlm_test::source_dir() + "/weights/ldlm-tiny");
  const Texts host = texts_of(model, ldlm::cpu);
  const Texts card = texts_of(model, ldlm::cuda);
  CHECK(host == card);
  CHECK(host.restored[0] == "The river flows through the city.");
}
