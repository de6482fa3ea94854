// Diffusion in the plane: a small network learns to turn noise into two moons.
//
//   07_diffusion [POINTS.csv]    writes data and samples as rows "kind,x,y" for a plot

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <numbers>
#include <string>
#include <vector>

#include <ldlm/ldlm.hpp>

using ldlm::Generator;
using ldlm::Tensor;
using ldlm::Variable;

// Points (N, 2) of two interleaved half circles, with a little noise.
Tensor<float> two_moons(std::int64_t count, double noise, Generator& generator) {
  auto points = Tensor<float>::empty({count, 2});
  for (std::int64_t i = 0; i < count; ++i) {
    const double angle = std::numbers::pi * generator.uniform();
    const double side = i % 2 == 0 ? 1 : -1;
    points.at({i, 0}) = static_cast<float>(side * (std::cos(angle) - 0.5));
    points.at({i, 1}) = static_cast<float>(side * (std::sin(angle) - 0.25));
  }
  add_(points, ldlm::randn<float>({count, 2}, generator, 0, static_cast<float>(noise)));
  return points;
}

// Sees noisy points and how noisy they are, all as sines and cosines of many frequencies, in which
// detail is easy to see; predicts v, a blend of point and noise.
struct Denoiser {
  static constexpr std::int64_t features = 32;
  ldlm::Linear<float> first, second, third, last;

  explicit Denoiser(Generator& g)
      : first(3 * features, 128, g), second(128, 128, g), third(128, 128, g), last(128, 2, g) {}

  // Points (N, 2), levels abar (N) -> (N, 2)
  Variable<float> operator()(const Tensor<float>& zt, std::span<const double> alpha_bars) const {
    const std::int64_t rows = zt.size(0);
    auto numbers = Tensor<float>::empty({rows, 3});
    numbers.slice(1, 0, 2).copy_(zt);
    std::int64_t i = 0;
    for (const double alpha_bar : alpha_bars) {
      numbers.at({i++, 2}) = static_cast<float>(ldlm::NoiseSchedule::log_snr_of(alpha_bar));
    }
    const auto input = ldlm::timestep_embedding(numbers.flatten() * 25.0F, features);
    constexpr auto silu = ldlm::Activation::silu;
    return last(third(second(first(input.reshape({rows, -1}), silu), silu), silu));
  }

  void visit(auto&& v) {
    v("first", first);
    v("second", second);
    v("third", third);
    v("last", last);
  }
};

// How many points there are where, darker for more.
void draw(const Tensor<float>& points) {
  const auto counts = Tensor<int>::zeros({19, 60});
  for (std::int64_t i = 0; i < points.size(0); ++i) {
    const auto row = static_cast<std::int64_t>((1.3F - points.at({i, 1})) * 7.3F);
    const auto column = static_cast<std::int64_t>((points.at({i, 0}) + 2.0F) * 15.0F);
    ++counts.at({std::clamp<std::int64_t>(row, 0, 18), std::clamp<std::int64_t>(column, 0, 59)});
  }
  const int most = max(counts).item();
  for (std::int64_t i = 0; i < counts.numel(); ++i) {
    const int count = counts.at({i / 60, i % 60});
    std::cout << " .:-=+*#"[count == 0 ? 0 : 1 + count * 6 / most] << (i % 60 == 59 ? "\n" : "");
  }
}

// How far points (N, 2) are from the nearest of some others (M, 2), on the average.
double distance(const Tensor<float>& points, const Tensor<float>& others) {
  const auto offsets = points.unsqueeze(1) - others.unsqueeze(0);  // (N, M, 2)
  return mean(min(norm(offsets, 2), 1)).item();
}

int main(int argc, char** argv) {
  Generator generator(2);
  const auto schedule = ldlm::NoiseSchedule::cosine(1000);
  constexpr auto kind = ldlm::Prediction::v;
  Denoiser model(generator);
  constexpr std::int64_t rows = 256;
  ldlm::Trainer trainer(
      model, ldlm::AdamW(ldlm::trainable_parameters(model), {.learning_rate = 4e-3}),
      {.steps = 2000,
       .batch_size = rows,
       .ema_decay = 0.995,  // the average of the weights samples better than the last ones
       .report_every = 500});
  trainer.run(
      [&](std::int64_t /*step*/, Generator& g) {
        const auto z0 = two_moons(rows, 0.05, g);
        const auto eps = ldlm::randn<float>(z0.shape(), g);
        std::vector<double> levels;
        for (std::int64_t i = 0; i < rows; ++i) {
          levels.push_back(schedule.alpha_bar(g.below(schedule.steps())));
        }
        const auto zt = ldlm::add_noise(z0, eps, levels);  // sqrt(abar) z0 + sqrt(1 - abar) eps
        return mse_loss(model(zt, levels), ldlm::prediction_target(kind, z0, eps, levels));
      },
      {.report = [](const ldlm::TrainProgress& p) {
        std::cout << "step " << p.step << "  loss " << p.loss << "\n";
      }});
  trainer.finish();  // puts the averaged weights in place

  // A sampler wants estimates of the clean points; any callable will do.
  const auto estimate = [&](const Tensor<float>& zt, double alpha_bar) {
    const ldlm::NoGrad no_graph;
    const std::vector<double> levels(static_cast<std::size_t>(zt.size(0)), alpha_bar);
    return ldlm::to_x0(kind, model(zt, levels).value(), zt, levels);
  };
  const ldlm::SamplerOptions sampler{.kind = ldlm::SamplerKind::ddpm, .steps = 100};
  const auto samples =
      ldlm::sample_diffusion<float>({1000, 2}, schedule, estimate, sampler, generator);
  std::cout << "\nsamples from pure noise in " << sampler.steps << " steps:\n";
  draw(samples);

  const std::string path =
      argc > 1 ? argv[1] : (std::filesystem::temp_directory_path() / "ldlm_two_moons.csv").string();
  const auto data = two_moons(1000, 0.05, generator);
  std::ofstream file(path);
  file << "kind,x,y\n";
  for (std::int64_t i = 0; i < 1000; ++i) {
    file << "data," << data.at({i, 0}) << ',' << data.at({i, 1}) << '\n';
    file << "sample," << samples.at({i, 0}) << ',' << samples.at({i, 1}) << '\n';
  }
  std::cout << "the points are in " << path << "\n";
  // Samples should lie on the moons, and all of the moons should have samples.
  const auto moons = two_moons(1000, 0, generator);
  const double precision = distance(samples, moons);
  const double recall = distance(moons, samples);
  std::cout << "mean distance to the moons: data " << distance(data, moons) << ", samples "
            << precision << ", noise " << distance(ldlm::randn<float>({1000, 2}, generator), moons)
            << "\nfrom the moons to the nearest sample: " << recall << "\n";
  if (precision > 0.08 || recall > 0.08 || !file) {
    std::cerr << "the samples do not look like moons, or the file could not be written\n";
    return 1;
  }
}
