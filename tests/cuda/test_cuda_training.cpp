// Trainings on a card: they are the CPU's but for rounding, and either goes on with the other's
// checkpoints.

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include <ldlm/io/safetensors.hpp>
#include <ldlm/io/safetensors_writer.hpp>
#include <ldlm/train/metrics.hpp>

#include "io_support.hpp"
#include "trainer_support.hpp"

using namespace ldlm;
using namespace trainer_support;

namespace {

struct Course {
  std::vector<double> losses, evaluations;
  NamedTensors<float> weights;
};

/// Trains on a device up to a step, from the folder's last checkpoint if there is one.
Course train_on(Device device, std::int64_t until, const fs::path& folder = {}) {
  Generator generator(3);
  Regressor<float> net(generator);
  to(net, device);
  TrainOptions options = small_options(folder);
  options.steps = 24;
  options.report_every = 1;
  options.evaluate_every = 4;
  options.keep_best = true;
  Trainer trainer(net, adamw(net), options);
  if (!folder.empty()) {
    trainer.resume();
  }
  Course out;
  (void)trainer.run(
      row_count, [&](const Tensor<std::int64_t>& rows) { return loss_of(net, rows); },
      {.report = [&](const TrainProgress& p) { out.losses.push_back(p.loss); },
       .evaluate =
           [&] {
             return static_cast<double>(loss_of(net, Tensor<std::int64_t>::arange(0, 10)).item());
           },
       .evaluated = [&](const Evaluation& e) { out.evaluations.push_back(e.value); },
       .stop = [&] { return trainer.step() == until; }});
  if (trainer.step() == options.steps) {
    trainer.finish();
  }
  for (const auto& [name, tensor] : state_dict(net)) {
    CHECK(tensor.device() == device);
    out.weights.emplace_back(name, tensor.to(cpu));
  }
  return out;
}

void check_like(const std::vector<double>& values, const std::vector<double>& expected) {
  REQUIRE(values.size() == expected.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    CAPTURE(i);
    CHECK(values[i] == doctest::Approx(expected[i]).epsilon(1e-4));
  }
}

void check_like(const Course& course, const Course& expected) {
  check_like(course.losses, expected.losses);
  check_like(course.evaluations, expected.evaluations);
  for (std::size_t i = 0; i < expected.weights.size(); ++i) {
    CAPTURE(expected.weights[i].first);
    CHECK(mean_squared_errors(course.weights[i].second, expected.weights[i].second)[0] < 1e-8);
  }
}

}  // namespace

TEST_CASE("a training on the card takes the CPU's course, with averages and the best weights") {
  const Course host = train_on(cpu, 24);
  check_like(train_on(cuda, 24), host);
  CHECK(host.evaluations.back() < 0.8 * host.evaluations.front());
}

TEST_CASE("a checkpoint of either device is gone on with on the other") {
  const Course host = train_on(cpu, 24);
  for (const auto& [first, second] : {std::pair(cpu, cuda), std::pair(cuda, cpu)}) {
    const io_support::TempFolder folder;
    Course course = train_on(first, 12, folder.path());
    Course rest = train_on(second, 24, folder.path());
    rest.losses.insert(rest.losses.begin(), course.losses.begin(), course.losses.end());
    rest.evaluations.insert(rest.evaluations.begin(), course.evaluations.begin(),
                            course.evaluations.end());
    check_like(rest, host);
  }
}

TEST_CASE("on one device, a training that is cut and resumed has the same bits") {
  const Course whole = train_on(cuda, 24);
  const io_support::TempFolder folder;
  const Course first = train_on(cuda, 12, folder.path());
  const Course rest = train_on(cuda, 24, folder.path());
  CHECK(std::equal(rest.losses.begin(), rest.losses.end(), whole.losses.begin() + 12,
                   whole.losses.end()));
  for (std::size_t i = 0; i < whole.weights.size(); ++i) {
    CHECK(rest.weights[i].second.to_vector() == whole.weights[i].second.to_vector());
  }
}

TEST_CASE("tensors of the card are written as those of the CPU") {
  const io_support::TempFolder folder;
  const auto tensor = Tensor<float>::arange(0, 12).reshape({3, 4});
  SafetensorsWriter().add("x", tensor).add("t", tensor.transpose(0, 1)).write(folder / "host");
  SafetensorsWriter()
      .add("x", tensor.to(cuda))
      .add("t", tensor.to(cuda).transpose(0, 1))
      .write(folder / "card");
  CHECK(io_support::read_text(folder / "host") == io_support::read_text(folder / "card"));
}
