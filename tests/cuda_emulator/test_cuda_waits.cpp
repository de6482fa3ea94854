// What waits for the card, counted by the emulated one; and its memory, which is as large as said.

#include <doctest/doctest.h>

#include <vector>

#include <ldlm/autograd/autograd.hpp>
#include <ldlm/core/ops.hpp>
#include <ldlm/core/random.hpp>
#include <ldlm/generate/beam_search.hpp>
#include <ldlm/generate/gpt2_session.hpp>
#include <ldlm/generate/sampling.hpp>
#include <ldlm/nn/linear.hpp>
#include <ldlm/optim/adam.hpp>
#include <ldlm/optim/clip.hpp>

#include "device_memory.hpp"
#include "machine.hpp"
#include "paths.hpp"
#include "runtime.hpp"

using namespace ldlm;
using Floats = Tensor<float>;

TEST_CASE("what reads elements waits for the card, and nothing else does") {
  const Floats x = Floats::full({2, 2}, 3, cuda);
  auto before = cuda_emulator::synchronizations();
  const auto waits = [&before] {
    const auto now = cuda_emulator::synchronizations();
    const auto count = now - before;
    before = now;
    return count;
  };
  const Floats y = matmul(x, x) + sum(x) - 1;
  CHECK(waits() == 0);
  CHECK(sum(y).item() == 4 * (18 + 12 - 1));
  CHECK(waits() == 1);
  CHECK(y.to_vector() == std::vector<float>(4, 29.0F));
  CHECK(waits() == 1);
  synchronize(cuda);
  CHECK(waits() == 1);
  // Ids on the host are checked there; those on the card are read back for it.
  const auto ids = Tensor<std::int64_t>::from_values({3}, {1, 0, 1});
  const Floats rows = embedding(x, ids);
  CHECK(waits() == 0);
  CHECK(embedding(x, ids.to(cuda)).to_vector() == rows.to_vector());
  CHECK(waits() == 3);
  CHECK_THROWS_WITH_AS((void)embedding(x, Tensor<std::int64_t>::full({1}, 2)),
                       "[embedding] index 2 at position 0 is outside [0, 2)", IndexError);
  CHECK_THROWS_WITH_AS((void)embedding(x, Tensor<std::int64_t>::full({1}, 2, cuda)),
                       "[embedding] index 2 at position 0 is outside [0, 2)", IndexError);
}

TEST_CASE("keys of few queries are split over as many blocks as fill the card") {
  Generator generator(2);
  const auto check = [&](std::int64_t queries, std::int64_t keys, std::uint64_t launches,
                         std::uint64_t blocks) {
    CAPTURE(queries);
    CAPTURE(keys);
    const Floats q = randn({1, 2, queries, 64}, generator).to(cuda);
    const Floats k = randn({1, 2, keys, 64}, generator).to(cuda);
    const auto before = cuda_emulator::counts();
    const Floats out = scaled_dot_product_attention(q, k, k);
    const auto after = cuda_emulator::counts();
    CHECK(after.launches - before.launches == launches);
    CHECK(after.blocks - before.blocks == blocks);
  };
  check(1, 64, 1, 2);
  check(1, 65, 2, 2 * 2 + 2);
  check(1, 300, 2, 2 * 5 + 2);
  check(1, 1100, 2, 2 * 8 + 2);  // four multiprocessors, four blocks each
  check(3, 1100, 2, 6 * 2 + 6);
  check(7, 1100, 1, 14);
}

TEST_CASE("a training step waits twice, for the loss and the norm of the gradient") {
  Generator generator(1);
  Linear<float> model(6, 4, generator);
  to(model, cuda);
  AdamW optimizer(parameters(model));
  const Floats x = randn({8, 6}, generator).to(cuda);
  const auto targets = Tensor<std::int64_t>::from_values({8}, {0, 1, 2, 3, 0, 1, 2, 3});
  std::vector<float> losses;
  for (int step = 0; step < 3; ++step) {
    const auto before = cuda_emulator::synchronizations();
    optimizer.zero_grad();
    const Variable<float> loss = cross_entropy(model(x), targets);
    loss.backward();
    const double norm = grad_norm(parameters(model));
    optimizer.step(clip_factor(norm, 1.0));
    losses.push_back(loss.item());
    CHECK(cuda_emulator::synchronizations() - before == 2);
  }
  CHECK(losses[2] < losses[0]);
}

TEST_CASE("a generated token waits once, and its step is one launch once it is recorded") {
  auto model = Gpt2<float>::from_pretrained(ldlm_test::data_dir() + "/golden/models/gpt2");
  to(model, cuda);
  const auto prompts = Tensor<std::int64_t>::full({2, 3}, 5);
  const auto count = [&](std::int64_t tokens, const auto& generate) {
    Gpt2Session<float> session(model);
    const auto waits = cuda_emulator::synchronizations();
    const auto launches = cuda_emulator::graph_launches();
    generate(session, tokens);
    return std::pair(cuda_emulator::synchronizations() - waits,
                     cuda_emulator::graph_launches() - launches);
  };
  const auto take_largest = [&](Gpt2Session<float>& session, std::int64_t tokens) {
    const auto texts = greedy(session, prompts, {.max_new_tokens = tokens});
    CHECK(texts[0].size() == static_cast<std::size_t>(tokens));
  };
  using Counts = std::pair<std::uint64_t, std::uint64_t>;
  CHECK(count(1, take_largest) == Counts{1, 0});
  // The prompts' step and one of a token are made as they are.
  CHECK(count(6, take_largest) == Counts{6, 4});
  const auto draw = [&](Gpt2Session<float>& session, std::int64_t tokens) {
    Generator generator(1);
    (void)sample(session, prompts, {.stop = {.max_new_tokens = tokens}}, generator);
  };
  CHECK(count(6, draw) == Counts{6, 4});
  const auto search = [&](Gpt2Session<float>& session, std::int64_t tokens) {
    (void)beam_search(session, prompts, {.stop = {.max_new_tokens = tokens}, .num_beams = 3});
  };
  CHECK(count(6, search) == Counts{12, 4});  // values and places of the candidates
}

TEST_CASE("rows whose likeliest tokens do not decide are fetched together") {
  struct Flat {
    using value_type = float;
    Floats step(const Tensor<std::int64_t>& ids) const {
      return Floats::zeros({ids.size(0), 700}, cuda);
    }
    void reorder(const Tensor<std::int64_t>& /*rows*/) const {}
  };
  Flat model;
  Generator generator(1);
  const auto before = cuda_emulator::synchronizations();
  const auto texts = sample(model, Tensor<std::int64_t>::zeros({4, 1}),
                            {.stop = {.max_new_tokens = 5}, .top_p = 0.9}, generator);
  CHECK(texts.size() == 4);
  CHECK(cuda_emulator::synchronizations() - before == 2 * 5);
}

TEST_CASE("what is cached is given back before memory is short") {
  const auto use = cuda_emulator::device_memory_use();
  { const Floats large = Floats::empty({std::int64_t{1} << 20}, cuda); }
  cuda_emulator::set_device_memory(use.used + (std::size_t{6} << 20));
  CHECK(Floats::empty({std::int64_t{3} << 18}, cuda).defined());
  cuda_emulator::set_device_memory(use.total);
}
