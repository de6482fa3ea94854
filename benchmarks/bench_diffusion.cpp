// Sampling with the published configuration's Reverse Transformer, 64 latents of 768 channels,
// against PyTorch with the same weights: the first 50 of the 1,000 steps of DDPM, which all cost
// the same. Ours are laid out for products beforehand. The denoiser's outputs are compared. Rates
// are in steps per second.

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <ldlm/diffusion/sampler.hpp>
#include <ldlm/models/reverse_transformer.hpp>
#include <ldlm/nn/pack.hpp>

#include "inputs.hpp"
#include "peer.hpp"

namespace {

using ldlm::Tensor;

constexpr std::int64_t latents = 64, steps = 50;

auto make_contenders(int threads) {
  const auto schedule = ldlm::NoiseSchedule::scaled_linear(1000);
  ldlm::Generator generator(1);
  const ldlm::ReverseTransformerConfig config;
  const auto model = std::make_shared<ldlm::ReverseTransformer<float>>(config, generator);
  const auto values = std::make_shared<std::vector<float>>(
      ldlm::bench::random_values(latents * config.latent_dim, 2));
  const auto folder = std::make_shared<const ldlm::bench::TemporaryFolder>();
  model->save_pretrained(folder->path / "model");
  ldlm::pack(*model, ldlm::WeightFormat::f32);
  const std::string file = folder->path / "inputs.f32";
  ldlm::bench::write_values(file, *values);
  const Tensor<float> z = Tensor<float>::from_blob(values->data(), {latents, config.latent_dim});

  const auto denoise = [model, values, folder](const Tensor<float>& noisy, std::int64_t t) {
    const ldlm::NoGrad scope;
    const auto times = Tensor<float>::full({noisy.size(0)}, static_cast<float>(t));
    return (*model)({.z = ldlm::Variable<float>(noisy), .times = times}).value();
  };
  const auto sample = [=] {
    std::vector<std::int64_t> levels(steps + 1);
    for (std::int64_t i = 0; i <= steps; ++i) {
      levels[static_cast<std::size_t>(i)] = 999 - i;
    }
    std::int64_t t = 999;
    ldlm::Generator noise(2);
    return ldlm::denoise_from(
        z, schedule, levels,
        [&](const Tensor<float>& noisy, double) { return denoise(noisy, t--); },
        {.stop_at = 999 - steps + 1}, noise);
  };
  std::vector<ldlm::bench::Contender> contenders{
      {"ours", [=] { return ldlm::bench::time_runs(sample, threads, 0.05); },
       [=] { return denoise(z, 500).to_vector(); }}};
  ldlm::bench::add_peer(contenders, "pytorch", "torch_peer.py",
                        {{"work", "denoise"},
                         {"folder", (folder->path / "model").string()},
                         {"inputs", file},
                         {"steps", steps}},
                        threads);
  ldlm::bench::Comparison how;
  how.work = steps;
  how.unit = "steps/s";
  how.absolute = 1e-4F;
  return std::pair(contenders, how);
}

}  // namespace

int main(int argc, char** argv) {
  ldlm::bench::add_benchmark("sample/seed", make_contenders, 3);
  return ldlm::bench::run_benchmarks(argc, argv);
}
