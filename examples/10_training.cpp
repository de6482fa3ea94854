// A training of one's own: data, loss, evaluation while it runs, early stopping, and checkpoints
// from which it goes on as if it had never stopped.
//
//   10_training [FOLDER]    for the checkpoints; by default one of the system's for temporary files

#include <cmath>
#include <filesystem>
#include <iostream>

#include <ldlm/ldlm.hpp>

using ldlm::Tensor;
using ldlm::Variable;
namespace nn = ldlm::nn;

struct Mlp {
  nn::Linear<float> first, second, last;
  nn::Dropout<float> dropout{0.02};

  explicit Mlp(ldlm::Generator& generator)
      : first(1, 64, generator), second(64, 64, generator), last(64, 1, generator) {}

  // (B, 1) -> (B, 1)
  Variable<float> operator()(const Tensor<float>& x) const {
    const Variable<float> hidden = first(Variable<float>(x), ldlm::Activation::silu);
    return last(dropout(second(hidden, ldlm::Activation::silu)));
  }

  template <class V>
  void visit(V&& v) {
    v("first", first);
    v("second", second);
    v("last", last);
  }
};

struct Samples {
  Tensor<float> x, y;  // (N, 1)
};

// A noisy curve, each sample made from its number.
Samples make_samples(std::int64_t count, std::uint64_t seed) {
  ldlm::Generator generator(seed);
  const Tensor<float> x = ldlm::rand<float>({count, 1}, generator, -1, 1);
  const Tensor<float> noise = ldlm::randn<float>({count, 1}, generator, 0, 0.05F);
  return {x, sin(x * 5) + noise};
}

double error_of(const Mlp& model, const Samples& data) {
  const ldlm::NoGrad no_graph;
  const ldlm::EvaluationMode evaluation;  // no dropout
  return mse_loss(model(data.x), data.y).item();
}

// Trains until `steps`, or until the held-out error has not fallen for a while; true if it stopped
// early. A checkpoint in the folder is gone on from.
bool train(Mlp& model, const std::filesystem::path& folder, std::int64_t pause_after) {
  const Samples train_set = make_samples(2000, 1);
  const Samples held_out = make_samples(500, 2);
  ldlm::TrainOptions options;
  options.folder = folder;
  options.steps = 3000;
  options.batch_size = 100;
  options.learning_rate = 3e-3;
  options.checkpoint_every = 500;
  options.report_every = 200;
  ldlm::Trainer trainer(model, options);
  ldlm::BatchOrder order(train_set.x.size(0), options.batch_size, options.seed);
  std::cout << "from step " << trainer.step() << "\n";

  double best = 1e9;
  int worse = 0;
  trainer.run(
      [&](std::int64_t step, ldlm::Generator& /*generator*/) {
        const auto rows = order.batch(step);
        const auto ids =
            Tensor<std::int64_t>::from_values({static_cast<std::int64_t>(rows.size())}, rows);
        return mse_loss(model(index_select(train_set.x, 0, ids)),
                        index_select(train_set.y, 0, ids));
      },
      [&](const ldlm::TrainProgress& progress) {
        const double error = error_of(model, held_out);
        worse = error < best ? 0 : worse + 1;
        best = std::min(best, error);
        std::cout << "step " << progress.step << "  loss " << progress.loss << "  held-out error "
                  << error << "\n";
      },
      [&] { return worse == 4 || trainer.step() == pause_after; });
  std::cout << (worse == 4 ? "stopped early" : "stopped") << " at step " << trainer.step() << "\n";
  return worse == 4;
}

int main(int argc, char** argv) {
  const std::filesystem::path folder =
      argc > 1 ? argv[1] : std::filesystem::temp_directory_path() / "ldlm_example_training";
  if (argc == 1) {
    std::filesystem::remove_all(folder);
  }
  try {
    ldlm::Generator generator(1);
    {
      Mlp model(generator);
      train(model, folder, 700);  // as if it were interrupted there
    }
    Mlp model(generator);  // other weights, in whose place the checkpoint's come
    train(model, folder, -1);
    const double error = error_of(model, make_samples(1000, 3));
    std::cout << "error on unseen samples " << error << ", of which the noise is 0.0025\n";
    if (argc == 1) {
      std::filesystem::remove_all(folder);
    }
    return error < 0.004 ? 0 : 1;
  } catch (const ldlm::Error& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
}
