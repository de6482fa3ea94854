// A training of one's own: data, model, loss, evaluation while it runs, early stopping, and
// checkpoints from which it goes on as if it had never stopped.
//
//   10_training FOLDER    for the checkpoints: kill it, and start it again
//   10_training           begins anew, in one of the system's for temporary files

#include <filesystem>
#include <iostream>

#include <ldlm/ldlm.hpp>

using ldlm::Tensor;
using ldlm::Variable;

struct Mlp {
  ldlm::Linear<float> first, second, last;
  ldlm::Dropout<float> dropout{0.02};

  explicit Mlp(ldlm::Generator& generator)
      : first(1, 64, generator), second(64, 64, generator), last(64, 1, generator) {}

  // (B, 1) -> (B, 1)
  Variable<float> operator()(const Tensor<float>& x) const {
    const Variable<float> hidden = first(Variable<float>(x), ldlm::Activation::silu);
    return last(dropout(second(hidden, ldlm::Activation::silu)));
  }

  void visit(auto&& v) { v("first", first), v("second", second), v("last", last); }
};

struct Samples {
  Tensor<float> x, y;  // (N, 1)
};

// A noisy curve.
Samples make_samples(std::int64_t count, std::uint64_t seed) {
  ldlm::Generator generator(seed);
  const Tensor<float> x = ldlm::rand<float>({count, 1}, generator, -1, 1);
  return {x, sin(x * 5) + ldlm::randn<float>({count, 1}, generator, 0, 0.05F)};
}

int main(int argc, char** argv) {
  try {
    const bool temporary = argc == 1;
    const std::filesystem::path folder =
        temporary ? std::filesystem::temp_directory_path() / "ldlm_example_training" : argv[1];
    if (temporary) {
      std::filesystem::remove_all(folder);
    }
    const Samples data = make_samples(2000, 1);
    const Samples held_out = make_samples(500, 2);
    ldlm::Generator generator(1);
    Mlp model(generator);

    ldlm::Trainer trainer(model,
                          ldlm::AdamW(ldlm::trainable_parameters(model), {.learning_rate = 3e-3}),
                          {.folder = folder,
                           .steps = 20'000,
                           .batch_size = 100,
                           .schedule = ldlm::WarmupConstant{100},
                           .evaluate_every = 200,
                           .patience = 4,
                           .keep_best = true});
    std::cout << "from step " << trainer.resume().value_or(0) << "\n";
    const ldlm::TrainEnd end = trainer.run(
        data.x.size(0),
        [&](const Tensor<std::int64_t>& rows) {
          return mse_loss(model(index_select(data.x, 0, rows)), index_select(data.y, 0, rows));
        },
        {.evaluate = [&] { return mse_loss(model(held_out.x), held_out.y).item(); },
         .evaluated =
             [](const ldlm::Evaluation& e) {
               std::cout << "step " << e.step << "  held-out error " << e.value << "\n";
             }});
    trainer.finish();  // puts the best weights in place
    std::cout << (end == ldlm::TrainEnd::patience ? "stopped early" : "stopped") << " at step "
              << trainer.step() << "\n";

    const Samples unseen = make_samples(1000, 3);
    const ldlm::NoGrad no_graph;
    const float error = mse_loss(model(unseen.x), unseen.y).item();
    std::cout << "error on unseen samples " << error << ", of which the noise is 0.0025\n";
    return error < 0.004F ? 0 : 1;
  } catch (const ldlm::Error& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
}
