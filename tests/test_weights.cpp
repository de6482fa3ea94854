// The shipped model does what the README says of it.

#include <doctest/doctest.h>

#include <filesystem>

#include <ldlm/core/threads.hpp>
#include <ldlm/latent_diffusion/pipeline.hpp>
#include <ldlm/train/metrics.hpp>

#include "paths.hpp"

using namespace ldlm;

namespace {

const Ldlm<float>& shipped_model() {
  static const auto model =
      Ldlm<float>::load(std::filesystem::path(ldlm_test::source_dir()) / "weights" / "ldlm-tiny");
  return model;
}

// Written for this test: none of them is in the training text.
const std::vector<std::string>& sentences() {
  static const std::vector<std::string> texts{
      "The river rises in the mountains and flows through the old town to the sea.",
      "She studied law in Paris before she became a judge at the high court.",
      "The album was recorded in two weeks and released in the spring of 1987.",
      "Most of the houses in the village were built of stone and wood.",
      "In the second half of the match both teams scored a goal.",
      "The species lives in wet forests and feeds on fruit and small insects.",
      "He died in the city where he had been born eighty years earlier.",
      "The bridge was closed for several months after the flood.",
  };
  return texts;
}

/// Token accuracy of decoded sentences.
double mean_accuracy(const std::vector<std::string>& decoded) {
  double sum = 0.0;
  for (std::size_t i = 0; i < decoded.size(); ++i) {
    const auto expected = shipped_model().decoder_tokenizer().encode_ids(sentences()[i]);
    const auto found = shipped_model().decoder_tokenizer().encode_ids(decoded[i]);
    sum += token_accuracy({found.begin(), found.end()}, {expected.begin(), expected.end()});
  }
  return sum / static_cast<double>(decoded.size());
}

}  // namespace

TEST_CASE("sentences come back from their latents") {
  CHECK(mean_accuracy(shipped_model().decode(shipped_model().encode(sentences()))) > 0.95);
}

TEST_CASE("sentences come back from half of the schedule's noise, denoised in one step") {
  const Ldlm<float>& model = shipped_model();
  Generator generator(1);
  const Tensor<float> noisy = model.add_noise(model.encode(sentences()), 500, generator);
  CHECK(mean_accuracy(model.decode(model.denoise(noisy, 500), {.t = 500})) > 0.75);
}

TEST_CASE("the denoiser brings latents closer at every level") {
  const Ldlm<float>& model = shipped_model();
  Generator generator(1);
  const Tensor<float> z = model.encode(sentences());
  for (const std::int64_t t : {100, 250, 500, 750}) {
    const Tensor<float> noisy = model.add_noise(z, t, generator);
    const auto error = [&](const Tensor<float>& x) { return mean(square(sub(x, z))).item(); };
    CHECK(error(model.denoise(noisy, t)) < 0.7F * error(noisy));
  }
}

TEST_CASE("one seed gives the same texts whatever the number of threads") {
  const Ldlm<float>& model = shipped_model();
  const int before = num_threads();
  std::vector<std::vector<std::string>> texts;
  for (const int threads : {1, 2, 2}) {
    set_num_threads(threads);
    Generator generator(7);
    texts.push_back(model.decode(
        model.sample(2, {.kind = SamplerKind::ddpm, .steps = 20, .stop_at = -1}, generator)));
  }
  set_num_threads(before);
  CHECK(texts[0] == texts[1]);
  CHECK(texts[1] == texts[2]);
}
