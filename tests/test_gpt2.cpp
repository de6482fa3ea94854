// GPT-2 against transformers: logits, loss, every gradient, ten AdamW steps; padding, prefix,
// cross-attention, and decoding with a cache.

#include <tuple>
#include <type_traits>

#include <doctest/doctest.h>
#include <ldlm/generate/gpt2_session.hpp>
#include <ldlm/models/gpt2.hpp>

#include "io_support.hpp"
#include "model_support.hpp"

using ldlm::Generator;
using ldlm::Gpt2;
using ldlm::Gpt2Config;
using ldlm::Gpt2Session;
using ldlm::Tensor;
using ldlm::Variable;
using model_support::contains;
using model_support::Golden;
using model_support::golden_folder;
using model_support::message_of;
using model_support::on_device;

namespace {

Gpt2Config tiny_gpt2() {
  Gpt2Config config;
  config.vocab_size = 20;
  config.n_positions = 8;
  config.n_embd = 8;
  config.n_layer = 2;
  config.n_head = 2;
  return config;
}

template <class T>
void check_close(const Tensor<T>& a, const Tensor<T>& b, double limit = 1e-12) {
  REQUIRE(a.shape() == b.shape());
  for (const T d : (a - b).to_vector()) {
    CHECK(std::abs(static_cast<double>(d)) <= limit);
  }
}

Tensor<std::int64_t> column(const Tensor<std::int64_t>& ids, std::int64_t t) {
  return ids.slice(1, t, t + 1).contiguous();
}

}  // namespace

TEST_CASE_TEMPLATE("GPT-2 agrees with transformers", T, float, double, ldlm::bf16) {
  Golden golden("gpt2");
  golden.expect<T>(0.05);
  auto model = on_device(Gpt2<T>::from_pretrained(golden_folder("gpt2")));
  const auto ids = golden.ids("input_ids");
  const auto labels = golden.ids("labels");
  golden.check(model.hidden({.ids = ids}).value(), "hidden");
  golden.check(model({.ids = ids}).value(), "logits");

  const auto prefix = Variable<T>(golden.get<T>("prefix"));
  golden.check(model({.ids = ids, .prefix = prefix}).value().slice(1, prefix.size(1)),
               "prefix.logits");

  const auto loss = model.loss({.ids = ids}, labels);
  golden.check(loss.value(), "loss");
  loss.backward();
  golden.check_gradients(model);
  golden.check_training(model, [&](const auto& m) { return m.loss({.ids = ids}, labels); });
  golden.report<T>("GPT-2");
}

TEST_CASE_TEMPLATE("left padding agrees with transformers at the real tokens", T, float, double) {
  Golden golden("gpt2");
  const auto model = on_device(Gpt2<T>::from_pretrained(golden_folder("gpt2")));
  const auto ids = golden.ids("input_ids");
  const auto mask = golden.mask("padded.attention_mask");
  auto positions = Tensor<std::int64_t>::zeros(ids.shape());
  for (std::int64_t b = 0; b < ids.size(0); ++b) {
    for (std::int64_t t = 1; t < ids.size(1); ++t) {
      positions.at({b, t}) = positions.at({b, t - 1}) + (mask.at({b, t - 1}) ? 1 : 0);
    }
  }
  const auto logits = model({.ids = ids, .mask = mask, .positions = positions}).value();
  const auto expected = golden.get<T>("padded.logits");
  const std::vector<std::int64_t> padding{0, 5, 2};
  for (std::int64_t b = 0; b < 3; ++b) {
    const auto from = padding[static_cast<std::size_t>(b)];
    golden.compare(logits.select(0, b).slice(0, from), expected.select(0, b).slice(0, from),
                   "padded.logits of row " + std::to_string(b));
  }

  Gpt2Session<T> session(model, {.left_padding = padding});
  golden.compare(session.step(ids), expected.select(1, -1).contiguous(), "logits of a session");
  golden.report<T>("left padding");
}

TEST_CASE_TEMPLATE("cross-attention agrees with transformers", T, float, double) {
  Golden golden("gpt2_cross");
  const auto model = on_device(Gpt2<T>::from_pretrained(golden_folder("gpt2_cross")));
  const auto ids = golden.ids("input_ids");
  const Variable<T> memory(golden.get<T>("encoder_hidden_states"), true);
  const auto mask = golden.mask("encoder_attention_mask");
  golden.check(model({.ids = ids, .memory = memory, .memory_mask = mask}).value(), "logits");
  const auto loss = model.loss({.ids = ids, .memory = memory, .memory_mask = mask}, ids);
  golden.check(loss.value(), "loss");
  loss.backward();
  golden.check_gradients(model);
  golden.check(memory.grad(), "grad_of_states");
  CHECK(equal(model({.ids = ids, .memory = memory.value(), .memory_mask = mask}),
              model({.ids = ids, .memory = memory, .memory_mask = mask})));

  // Step by step: the memory's keys and values are made once.
  Gpt2Session<T> session(model, {.memory = memory.value(), .memory_mask = mask});
  const auto logits = golden.get<T>("logits");
  for (std::int64_t t = 0; t < ids.size(1); ++t) {
    golden.compare(session.step(column(ids, t)), logits.select(1, t).contiguous(),
                   "logits after token " + std::to_string(t));
  }
  // Another order and number of sequences.
  Gpt2Session<T> other(model, {.memory = memory.value(), .memory_mask = mask});
  other.step(ids.slice(1, 0, 4).contiguous());
  const auto rows = Tensor<std::int64_t>::from_values({3}, {1, 0, 1});
  other.reorder(rows);
  const auto next = index_select(column(ids, 4), 0, rows);
  golden.compare(other.step(next), index_select(logits.select(1, 4), 0, rows).contiguous(),
                 "logits after reorder");
  golden.report<T>("cross-attention");
}

TEST_CASE("a cache changes nothing") {
  const auto model = on_device(Gpt2<double>::from_pretrained(golden_folder("gpt2")));
  const auto ids = Golden("gpt2").ids("input_ids");
  const auto all = model({.ids = ids}).value();
  Gpt2Session<double> session(model);
  session.begin(ids.size(1));
  check_close(session.step(ids.slice(1, 0, 5).contiguous()), all.select(1, 4).contiguous());
  check_close(session.step(column(ids, 5)), all.select(1, 5).contiguous());
  check_close(session.step(ids.slice(1, 6, 9).contiguous()), all.select(1, 8).contiguous());
  const auto rows = Tensor<std::int64_t>::from_values({2}, {2, 0});
  session.reorder(rows);
  check_close(session.step(index_select(column(ids, 9), 0, rows)),
              index_select(all.select(1, 9), 0, rows).contiguous());
}

TEST_CASE("a session reads a prefix first, with or without tokens") {
  const auto model = on_device(Gpt2<double>::from_pretrained(golden_folder("gpt2")));
  Golden golden("gpt2");
  const auto prefix = golden.get<double>("prefix");
  const auto ids = golden.ids("input_ids");
  const auto expected = golden.get<double>("prefix.logits");
  Gpt2Session<double> session(model, {.prefix = prefix});
  check_close(session.step(ids), expected.select(1, -1).contiguous(), 1e-5);

  Gpt2Session<double> alone(model, {.prefix = prefix});
  const auto first = alone.step(Tensor<std::int64_t>::empty({3, 0}));
  check_close(first, model({.prefix = prefix}).value().select(1, -1).contiguous());
  check_close(alone.step(ids), expected.select(1, -1).contiguous(), 1e-5);

  // Padding between prefix and prompt leaves the other rows and the real tokens alone.
  const std::vector<std::int64_t> padding{0, 2, 0};
  Gpt2Session<double> padded(model, {.prefix = prefix, .left_padding = padding});
  const auto with_padding = padded.step(ids);
  Gpt2Session<double> short_row(model, {.prefix = prefix.slice(0, 1, 2).contiguous()});
  const auto unpadded = short_row.step(ids.slice(0, 1, 2).slice(1, 2).contiguous());
  check_close(with_padding.slice(0, 1, 2).contiguous(), unpadded);
  check_close(with_padding.slice(0, 0, 1).contiguous(),
              expected.select(1, -1).slice(0, 0, 1).contiguous(), 1e-5);
}

TEST_CASE("the loss after a prefix counts the first token too") {
  Generator generator(3);
  const Gpt2<double> model(tiny_gpt2(), generator);
  const auto ids = Tensor<std::int64_t>::from_values({2, 3}, {1, 2, 3, 4, 5, 6});
  const Variable<double> prefix(ldlm::randn<double>({2, 2, 8}, generator), true);
  const auto loss = model.loss({.ids = ids, .prefix = prefix}, ids);
  const auto logits = model({.ids = ids, .prefix = prefix}).slice(1, 1, 4);
  const auto expected = cross_entropy(logits.reshape({6, 20}), ids.reshape({6}));
  CHECK(loss.item() == doctest::Approx(expected.item()).epsilon(1e-12));
  loss.backward();
  CHECK(prefix.grad().defined());

  const auto masked = Tensor<std::int64_t>::from_values({2, 3}, {1, 2, -100, 4, -100, -100});
  const auto rows = Tensor<std::int64_t>::from_values({3}, {0, 1, 3});
  const auto some = cross_entropy(index_select(logits.reshape({6, 20}), 0, rows),
                                  Tensor<std::int64_t>::from_values({3}, {1, 2, 4}));
  CHECK(model.loss({.ids = ids, .prefix = prefix}, masked).item() ==
        doctest::Approx(some.item()).epsilon(1e-12));
}

TEST_CASE("a prefix is a Tensor or a Variable") {
  Generator generator(3);
  const Gpt2<float> model(tiny_gpt2(), generator);
  const auto ids = Tensor<std::int64_t>::from_values({1, 2}, {1, 2});
  const Tensor<float> tensor = ldlm::randn<float>({1, 2, 8}, generator);
  const Variable<float> variable(tensor, true);
  ldlm::Gpt2Inputs<float> inputs{.ids = ids, .prefix = tensor};
  CHECK_FALSE(inputs.prefix.requires_grad());
  CHECK(inputs.prefix.value().data() == tensor.data());
  const auto expected = model(inputs).value();
  inputs.prefix = variable;
  CHECK(inputs.prefix.node() == variable.node());
  CHECK(equal(model(inputs).value(), expected));
  inputs.prefix = Tensor<float>();
  CHECK_FALSE(inputs.prefix.defined());
  inputs.prefix = tensor;
  CHECK(equal(model(inputs).value(), expected));
  inputs.prefix = {};
  CHECK(equal(model(inputs).value(), model(ids).value()));

  // It is a Variable to functions and modules.
  const ldlm::AnyOperand<float> x = variable;
  const auto is_doubled = [&](const Variable<float>& y) { return equal(y, tensor * 2); };
  CHECK(is_doubled(x + x));
  CHECK(is_doubled(x + tensor));
  CHECK(is_doubled(variable + x));
  CHECK(is_doubled(x * 2));
  CHECK(equal(model.ln_f(x), model.ln_f(tensor)));
  CHECK(equal(exp(x), exp(tensor)));
  CHECK(equal(ldlm::concat(std::vector<Variable<float>>{x, x}, 1),
              ldlm::concat({tensor, tensor}, 1)));
  static_assert(!std::is_convertible_v<Tensor<float>, Variable<float>>);
  static_assert(!std::is_convertible_v<Tensor<double>, ldlm::AnyOperand<float>>);
}

TEST_CASE("an untied head is a parameter of its own") {
  Gpt2Config config = tiny_gpt2();
  config.tie_word_embeddings = false;
  Generator generator(4);
  const Gpt2<float> model(config, generator);
  CHECK(ldlm::named_parameters(model).back().first == "lm_head.weight");
  const Gpt2<float> tied(tiny_gpt2(), generator);
  CHECK(ldlm::num_parameters(model) == ldlm::num_parameters(tied) + 20 * 8);
}

TEST_CASE("packed weights compute what they stand for") {
  using ldlm::WeightFormat;
  // So few rows stay as they are beside bf16; beside int4 they may be rounded to 8 bits.
  for (const auto& [format, tied, limit] : {std::tuple(WeightFormat::f32, true, 1e-6),
                                            {WeightFormat::f32, false, 1e-6},
                                            {WeightFormat::bf16, true, 1e-5},
                                            {WeightFormat::bf16, false, 1e-5},
                                            {WeightFormat::int4, true, 1e-3},
                                            {WeightFormat::int4, false, 1e-3}}) {
    Gpt2Config config = tiny_gpt2();
    config.tie_word_embeddings = tied;
    Generator generator(6);
    Gpt2<float> model(config, generator);
    // The same model in plain weights that were rounded to the format.
    Gpt2<float> rounded = ldlm::clone(model);
    const auto round = [chosen = format](const Tensor<float>& weight) {
      weight.copy_(ldlm::unpack(ldlm::pack(weight, chosen)));
    };
    round(rounded.wte.value());
    if (!tied) {
      round(rounded.lm_head.value());
    }
    for (auto& block : rounded.h) {
      for (auto* map : {&block.attention, &block.attention_proj, &block.fc, &block.fc_proj}) {
        round(map->weight.value().transpose(0, 1));
      }
    }
    const auto parameters = ldlm::num_parameters(model);
    ldlm::pack(model, format);
    CHECK(ldlm::num_parameters(model) < parameters / 3);
    const auto ids = Tensor<std::int64_t>::from_values({2, 3}, {1, 2, 3, 19, 0, 7});
    CHECK_FALSE(model({.ids = ids}).requires_grad());
    check_close(model({.ids = ids}).value(), rounded({.ids = ids}).value(), limit);
    check_close(model.loss({.ids = ids}, ids).value(), rounded.loss({.ids = ids}, ids).value(),
                limit);
  }
}

TEST_CASE("what is laid out for products is not saved") {
  Generator generator(6);
  Gpt2<float> model(tiny_gpt2(), generator);
  ldlm::pack(model, ldlm::WeightFormat::f32);
  CHECK(message_of([&] { model.save_pretrained("never_made"); }) ==
        "[save_pretrained] the matrices are laid out for products (f32); save the model before "
        "that");
  CHECK(!std::filesystem::exists("never_made"));
}

TEST_CASE("positions can be moved") {
  Generator generator(5);
  const Gpt2<double> model(tiny_gpt2(), generator);
  const auto ids = Tensor<std::int64_t>::from_values({1, 2}, {1, 2});
  const auto positions = Tensor<std::int64_t>::from_values({1, 2}, {3, 4});
  check_close(model({.ids = ids, .position_offset = 3}).value(),
              model({.ids = ids, .positions = positions}).value());
}

TEST_CASE("wrong inputs are told apart") {
  Generator generator(1);
  const Gpt2<float> model(tiny_gpt2(), generator);
  const auto ids = Tensor<std::int64_t>::from_values({1, 3}, {1, 2, 3});
  CHECK(equal(model(ids).value(), model({.ids = ids}).value()));
  CHECK(message_of([&] { model({}); }) == "[gpt2] needs ids or a prefix");
  CHECK(message_of([&] {
          model({.ids = Tensor<std::int64_t>::zeros({1, 9})});
        }) == "[gpt2] positions 0 to 8 are not all below n_positions = 8");
  CHECK(contains(message_of([&] {
                   model({.ids = Tensor<std::int64_t>::full({1, 1}, 20)});
                 }),
                 "outside [0, 20)"));
  CHECK(contains(message_of([&] {
                   model({.ids = ids, .mask = Tensor<bool>::full({1, 2}, true)});
                 }),
                 "mask (1, 2) does not fit the sequences, (1, 3)"));
  const Variable<float> states(Tensor<float>::zeros({1, 2, 7}));
  CHECK(contains(message_of([&] { model({.ids = ids, .prefix = states}); }),
                 "needs a prefix (B, L, 8), got (1, 2, 7)"));
  CHECK(contains(message_of([&] { model({.ids = ids, .memory = states}); }),
                 "has no cross-attention"));
  CHECK(contains(message_of([&] { model.loss({.ids = ids}, ids.slice(1, 1)); }), "(1, 2)"));
  CHECK(message_of([&] {
          model({.ids = ids, .prefix = Tensor<float>::zeros({2, 2, 8})});
        }) == "[gpt2] a prefix (2, 2, 8) does not fit ids (1, 3)");
  CHECK(message_of([&] {
          model({.ids = ids, .memory_mask = Tensor<bool>::full({1, 2}, true)});
        }) == "[gpt2] memory_mask has no effect without a memory");
  CHECK(message_of([&] { model({.ids = ids, .positions = ids, .position_offset = 1}); }) ==
        "[gpt2] position_offset has no effect beside positions");
  CHECK(message_of([&] {
          Gpt2Session<float>(model, {.prefix = Tensor<float>::zeros({1, 9, 8})});
        }) == "[Gpt2Session] a prefix of 9 is longer than n_positions = 8");

  const auto padded = [&](const std::vector<std::int64_t>& padding, bool with_prefix,
                          const Tensor<std::int64_t>& prompt) {
    Gpt2Session<float> some(
        model, {.prefix = with_prefix ? Tensor<float>::zeros({1, 2, 8}) : Tensor<float>(),
                .left_padding = padding});
    return message_of([&] { some.step(prompt); });
  };
  for (const bool with_prefix : {false, true}) {
    CHECK(padded({-1}, with_prefix, ids) ==
          "[Gpt2Session] left_padding of row 0 is -1; of 3 ids 0 to 2 can be padding");
    CHECK(padded({3}, with_prefix, ids) ==
          "[Gpt2Session] left_padding of row 0 is 3; of 3 ids 0 to 2 can be padding");
    CHECK(padded({2}, with_prefix, ids) == "no error");
  }
  CHECK(padded({0, 5}, false, Tensor<std::int64_t>::zeros({2, 2})) ==
        "[Gpt2Session] left_padding of row 1 is 5; of 2 ids 0 to 1 can be padding");
  CHECK(padded({0}, true, Tensor<std::int64_t>::empty({1, 0})) == "no error");
  CHECK(contains(padded({1}, true, Tensor<std::int64_t>::empty({1, 0})), "of 0 ids 0 to 0"));
  CHECK(message_of([&] {
          Gpt2Session<float>(model, {.memory_mask = Tensor<bool>::full({1, 2}, true)});
        }) == "[Gpt2Session] memory_mask has no effect without a memory");
  {  // After a refusal the prefix is still there to be read.
    Gpt2Session<float> retried(model, {.prefix = Tensor<float>::ones({1, 2, 8})});
    CHECK(contains(message_of([&] {
                     retried.step(Tensor<std::int64_t>::zeros({1, 7}));
                   }),
                   "9 positions are more than n_positions = 8"));
    Gpt2Session<float> fresh(model, {.prefix = Tensor<float>::ones({1, 2, 8})});
    CHECK(equal(retried.step(ids), fresh.step(ids)));
  }

  Gpt2Session<float> session(model);
  CHECK(contains(message_of([&] { session.reorder(ids.reshape({3})); }), "before the first step"));
  session.step(ids);
  CHECK(contains(message_of([&] {
                   session.step(Tensor<std::int64_t>::zeros({2, 1}));
                 }),
                 "has 1 sequences"));
  CHECK(contains(message_of([&] {
                   session.step(Tensor<std::int64_t>::zeros({1, 6}));
                 }),
                 "9 positions are more than n_positions = 8"));
  CHECK(contains(message_of([&] {
                   session.step(Tensor<std::int64_t>::empty({1, 0}));
                 }),
                 "at least one token"));
}
