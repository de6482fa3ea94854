// BERT against transformers: states, pooled vector, logits, loss, every gradient, ten AdamW steps.

#include <doctest/doctest.h>
#include <ldlm/models/bert.hpp>
#include <ldlm/nn/pack.hpp>

#include "model_support.hpp"

using ldlm::Bert;
using ldlm::BertConfig;
using ldlm::BertForMaskedLM;
using ldlm::BertInputs;
using ldlm::Generator;
using ldlm::Tensor;
using ldlm::Variable;
using model_support::contains;
using model_support::Golden;
using model_support::golden_folder;
using model_support::message_of;
using model_support::on_device;

namespace {

BertInputs inputs_of(const Golden& golden) {
  return {.ids = golden.ids("input_ids"),
          .mask = golden.mask("attention_mask"),
          .token_type_ids = golden.ids("token_type_ids")};
}

BertConfig tiny_bert() {
  BertConfig config;
  config.vocab_size = 20;
  config.hidden_size = 8;
  config.num_hidden_layers = 1;
  config.num_attention_heads = 2;
  config.intermediate_size = 12;
  config.max_position_embeddings = 6;
  return config;
}

Tensor<std::int64_t> ids_of(const ldlm::Shape& shape, std::vector<std::int64_t> values) {
  return Tensor<std::int64_t>::from_values(shape, values);
}

}  // namespace

TEST_CASE_TEMPLATE("the encoder agrees with transformers", T, float, double, ldlm::bf16) {
  Golden golden("bert");
  golden.expect<T>(0.05);
  const auto bert = on_device(Bert<T>::from_pretrained(golden_folder("bert")));
  const auto out = bert(inputs_of(golden));
  golden.check(out.hidden.value(), "hidden");
  golden.check(out.pooled.value(), "pooled");
  const auto loss = mean(out.hidden * Variable<T>(golden.get<T>("hidden_weights"))) +
                    mean(out.pooled * Variable<T>(golden.get<T>("pooled_weights")));
  golden.check(loss.value(), "pooled.loss");
  loss.backward();
  golden.check_gradients(bert, "pooled.grad.");

  const auto plain = bert({.ids = golden.ids("input_ids")});
  golden.check(plain.hidden.value(), "plain.hidden");
  golden.check(plain.pooled.value(), "plain.pooled");
  golden.report<T>("encoder");
}

TEST_CASE("laid out for products, the encoder still agrees") {
  Golden golden("bert");
  auto bert = Bert<float>::from_pretrained(golden_folder("bert"));
  ldlm::pack(bert, ldlm::WeightFormat::f32);
  const ldlm::NoGrad scope;
  const auto out = bert(inputs_of(golden));
  golden.check(out.hidden.value(), "hidden");
  golden.check(out.pooled.value(), "pooled");
}

TEST_CASE_TEMPLATE("the masked language model agrees with transformers", T, float, double) {
  Golden golden("bert");
  auto model = on_device(BertForMaskedLM<T>::from_pretrained(golden_folder("bert")));
  const BertInputs inputs = inputs_of(golden);
  const auto labels = golden.ids("labels");
  golden.check(model(inputs).value(), "logits");
  const auto loss = model.loss(inputs, labels);
  golden.check(loss.value(), "loss");
  loss.backward();
  golden.check_gradients(model);
  golden.check_training(model, [&](const auto& m) { return m.loss(inputs, labels); });
  golden.report<T>("masked language model");
}

TEST_CASE("a batch of texts is what the model takes") {
  Generator generator(1);
  const Bert<double> bert(tiny_bert(), generator);
  ldlm::TokenBatch batch{.ids = ids_of({2, 3}, {4, 5, 6, 7, 8, 0}),
                         .mask = Tensor<bool>::from_values({2, 3}, {true, true, true,  //
                                                                    true, true, false}),
                         .type_ids = ids_of({2, 3}, {0, 0, 1, 0, 1, 0}),
                         .lengths = {3, 2}};
  const auto expected =
      bert({.ids = batch.ids, .mask = batch.mask, .token_type_ids = batch.type_ids});
  CHECK(equal(bert(batch).hidden, expected.hidden));
  CHECK(equal(bert(batch.ids).hidden, bert({.ids = batch.ids}).hidden));
  // What says nothing is left out.
  batch.type_ids.zero_();
  batch.lengths = {3, 3};
  CHECK_FALSE(ldlm::bert_inputs(batch).mask.defined());
  CHECK_FALSE(ldlm::bert_inputs(batch).token_type_ids.defined());
  CHECK(equal(bert(batch).hidden, bert({.ids = batch.ids}).hidden));
}

TEST_CASE("padding changes nothing but itself") {
  Generator generator(1);
  const Bert<double> bert(tiny_bert(), generator);
  const auto alone = bert({.ids = ids_of({1, 3}, {4, 5, 6})});
  const auto padded =
      bert({.ids = ids_of({2, 5}, {4, 5, 6, 0, 0, 9, 8, 7, 6, 5}),
            .mask = Tensor<bool>::from_values({2, 5}, {true, true, true, false, false,  //
                                                       true, true, true, true, true})});
  const Tensor<double> difference =
      alone.hidden.value() - padded.hidden.value().slice(0, 0, 1).slice(1, 0, 3);
  for (const double d : difference.to_vector()) {
    CHECK(std::abs(d) < 1e-12);
  }
}

TEST_CASE("mean_pool averages real positions only") {
  const Variable<double> states(
      Tensor<double>::from_values({2, 2, 2}, {1, 2, 3, 4, 5, 6, 100, 200}), true);
  const auto mask = Tensor<bool>::from_values({2, 2}, {true, true, true, false});
  const auto pooled = ldlm::mean_pool(states, mask);
  CHECK(pooled.value().to_vector() == std::vector<double>{2, 3, 5, 6});
  sum(pooled).backward();
  CHECK(states.grad().to_vector() == std::vector<double>{0.5, 0.5, 0.5, 0.5, 1, 1, 0, 0});
  CHECK(ldlm::mean_pool(states).value().to_vector() == std::vector<double>{2, 3, 52.5, 103});
  const auto unit =
      ldlm::normalize_rows(Variable<double>(Tensor<double>::from_values({1, 2}, {3, 4})));
  CHECK(unit.value().at({0, 0}) == doctest::Approx(0.6));
  CHECK(unit.value().at({0, 1}) == doctest::Approx(0.8));

  const auto none = Tensor<bool>::from_values({2, 2}, {true, true, false, false});
  CHECK(contains(message_of([&] { (void)ldlm::mean_pool(states, none); }), "no real position"));
  const auto wrong = Tensor<bool>::full({3, 2}, true);
  CHECK(contains(message_of([&] { (void)ldlm::mean_pool(states, wrong); }), "(3, 2)"));
  CHECK(message_of([&] { (void)ldlm::mean_pool(Tensor<ldlm::bf16>()); }) ==
        "[mean_pool] the states are undefined");
  CHECK(message_of([&] {
          (void)ldlm::mean_pool(Tensor<float>::zeros({2, 0, 3}));
        }) == "[mean_pool] of no positions, (2, 0, 3)");
  CHECK(message_of([&] { (void)ldlm::normalize_rows(Tensor<ldlm::bf16>()); }) ==
        "[normalize_rows] the rows are undefined");
  CHECK(message_of([&] { (void)ldlm::normalize_rows(Tensor<float>::scalar(3)); }) ==
        "[normalize_rows] needs rows (..., C), got ()");
}

TEST_CASE("a new model is seeded, and drops out in training only") {
  Generator a(5);
  Generator b(5);
  const Bert<float> first(tiny_bert(), a);
  Bert<float> second(tiny_bert(), b);
  const auto ids = ids_of({1, 4}, {1, 2, 3, 4});
  const auto expected = first({.ids = ids}).hidden.value();
  CHECK(equal(expected, second({.ids = ids}).hidden.value()));
  Generator drops(7);
  {
    const ldlm::TrainingMode training(drops);
    CHECK_FALSE(equal(expected, second({.ids = ids}).hidden.value()));
  }
  CHECK(equal(expected, second({.ids = ids}).hidden.value()));
  CHECK_FALSE(Bert<float>(tiny_bert(), a, false)({.ids = ids}).pooled.defined());
}

TEST_CASE("wrong inputs are told apart") {
  Generator generator(1);
  const Bert<float> bert(tiny_bert(), generator);
  const auto ids = ids_of({1, 3}, {1, 2, 3});
  CHECK(message_of([&] {
          bert({.ids = ids_of({1, 7}, {1, 2, 3, 4, 5, 6, 7})});
        }) == "[bert] texts of 7 tokens are longer than max_position_embeddings 6");
  CHECK(contains(message_of([&] { bert({.ids = ids_of({3}, {1, 2, 3})}); }), "needs ids (B, T)"));
  CHECK(contains(message_of([&] { bert({.ids = ids_of({1, 1}, {20})}); }), "outside [0, 20)"));
  CHECK(contains(message_of([&] {
                   bert({.ids = ids, .mask = Tensor<bool>::full({1, 4}, true)});
                 }),
                 "mask (1, 4) does not fit ids (1, 3)"));
  CHECK(contains(message_of([&] {
                   bert({.ids = ids, .token_type_ids = ids_of({1, 2}, {0, 1})});
                 }),
                 "token_type_ids (1, 2)"));
  const BertForMaskedLM<float> model(tiny_bert(), generator);
  CHECK(contains(message_of([&] {
                   model.loss({.ids = ids}, Tensor<std::int64_t>::full({1, 3}, -100));
                 }),
                 "no label counts"));
}
