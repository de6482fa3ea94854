// Module visiting: names, state dicts, modes, copies, and a module of a user's own.

#include <optional>
#include <thread>

#include <doctest/doctest.h>
#include <ldlm/autograd/autograd.hpp>
#include <ldlm/nn/nn.hpp>

#include "nn_support.hpp"

using ldlm::Activation;
using ldlm::Generator;
using ldlm::Tensor;
using ldlm::Variable;
using nn_support::contains;
using nn_support::message_of;

namespace {

struct Twice {
  ldlm::Linear<float> a, b;
  void visit(auto&& v) { v("a", a), v("a", b); }
};

/// What a user would write.
struct Mlp {
  ldlm::Linear<float> in;
  std::vector<ldlm::Linear<float>> hidden;
  std::optional<ldlm::LayerNorm<float>> norm;
  ldlm::Dropout<float> dropout{0.5};
  Variable<float> scale{Tensor<float>::ones({1}), true};
  Tensor<float> calls = Tensor<float>::zeros({});

  Mlp(std::int64_t depth, Generator& g, bool with_norm = true) : in(3, 4, g) {
    for (std::int64_t i = 0; i < depth; ++i) {
      hidden.emplace_back(4, 4, g, i == 0);
    }
    if (with_norm) {
      norm.emplace(4);
    }
  }

  Variable<float> operator()(const Variable<float>& x) const {
    add_(calls, 1);
    Variable<float> h = in(x, Activation::relu);
    for (const auto& layer : hidden) {
      h = dropout(layer(h, Activation::relu));
    }
    return (norm ? (*norm)(h) : h) * scale;
  }

  template <class V>
  void visit(V&& v) {
    v("in", in);
    v("hidden", hidden);
    v("norm", norm);
    v("dropout", dropout);
    v("scale", scale);
    v.buffer("calls", calls);
  }
};

/// Ties two embeddings, and holds double.
struct Tied {
  using value_type = double;
  ldlm::Embedding<double> encoder;
  ldlm::Embedding<double> decoder;

  explicit Tied(Generator& g) : encoder(5, 2, g), decoder(encoder) {}

  template <class V>
  void visit(V&& v) {
    v("encoder", encoder);
    v("decoder", decoder);
  }
};

/// Has a matrix, a part of it that begins where it does, and the matrix again.
struct Overlapping {
  Variable<float> all, part, turned, again;

  explicit Overlapping(Generator& g)
      : all(ldlm::randn<float>({3, 3}, g), true),
        part(all.value().slice(0, 0, 2), true),
        turned(all.value().transpose(0, 1), true),
        again(all) {}

  void visit(auto&& v) { v("all", all), v("part", part), v("turned", turned), v("again", again); }
};

template <class Named>
std::string names_of(const Named& named) {
  std::string out;
  for (const auto& [name, value] : named) {
    out += (out.empty() ? "" : " ") + name;
  }
  return out;
}

}  // namespace

static_assert(ldlm::Module<ldlm::Linear<float>> && ldlm::Module<const ldlm::Linear<double>>);
static_assert(!ldlm::Module<ldlm::Tensor<float>> && !ldlm::Module<ldlm::Variable<float>>);

TEST_CASE("names of parameters and buffers follow the visit") {
  Generator g(1);
  const Mlp model(2, g);
  CHECK(names_of(ldlm::named_parameters(model)) ==
        "in.weight in.bias hidden.0.weight hidden.0.bias hidden.1.weight norm.weight norm.bias "
        "scale");
  CHECK(names_of(ldlm::state_dict(model)) ==
        "in.weight in.bias hidden.0.weight hidden.0.bias hidden.1.weight norm.weight norm.bias "
        "scale calls");
  CHECK(ldlm::parameters(model).size() == 8);
  CHECK(ldlm::num_parameters(model) == 12 + 4 + 16 + 4 + 16 + 8 + 1);
  CHECK(names_of(ldlm::named_parameters(Mlp(0, g, false))) == "in.weight in.bias scale");
}

TEST_CASE("the state dict of a Transformer has PyTorch's names") {
  Generator g(1);
  const ldlm::TransformerOptions options{.d_model = 4,
                                         .nhead = 2,
                                         .num_encoder_layers = 1,
                                         .num_decoder_layers = 1,
                                         .dim_feedforward = 6};
  CHECK(names_of(ldlm::state_dict(ldlm::Transformer<float>(options, g))) ==
        "encoder.layers.0.self_attn.in_proj_weight encoder.layers.0.self_attn.in_proj_bias "
        "encoder.layers.0.self_attn.out_proj.weight encoder.layers.0.self_attn.out_proj.bias "
        "encoder.layers.0.linear1.weight encoder.layers.0.linear1.bias "
        "encoder.layers.0.linear2.weight encoder.layers.0.linear2.bias "
        "encoder.layers.0.norm1.weight encoder.layers.0.norm1.bias "
        "encoder.layers.0.norm2.weight encoder.layers.0.norm2.bias "
        "encoder.norm.weight encoder.norm.bias "
        "decoder.layers.0.self_attn.in_proj_weight decoder.layers.0.self_attn.in_proj_bias "
        "decoder.layers.0.self_attn.out_proj.weight decoder.layers.0.self_attn.out_proj.bias "
        "decoder.layers.0.multihead_attn.in_proj_weight "
        "decoder.layers.0.multihead_attn.in_proj_bias "
        "decoder.layers.0.multihead_attn.out_proj.weight "
        "decoder.layers.0.multihead_attn.out_proj.bias "
        "decoder.layers.0.linear1.weight decoder.layers.0.linear1.bias "
        "decoder.layers.0.linear2.weight decoder.layers.0.linear2.bias "
        "decoder.layers.0.norm1.weight decoder.layers.0.norm1.bias "
        "decoder.layers.0.norm2.weight decoder.layers.0.norm2.bias "
        "decoder.layers.0.norm3.weight decoder.layers.0.norm3.bias "
        "decoder.norm.weight decoder.norm.bias");
}

TEST_CASE("two parts of one name are no state dict") {
  ldlm::Generator generator(1);
  const Twice module{{2, 3, generator}, {2, 3, generator}};
  CHECK_THROWS_WITH_AS((void)ldlm::state_dict(module),
                       "[state_dict] two parts are named 'a.weight'", ldlm::Error);
}

TEST_CASE("a state dict makes another module the same") {
  Generator g(1);
  const Mlp source(2, g);
  Mlp target(2, g);
  const Variable<float> x(ldlm::randn<float>({5, 3}, g));
  const auto expected = source(x).value().to_vector();
  CHECK(target(x).value().to_vector() != expected);
  ldlm::load_state_dict(target, ldlm::state_dict(source));
  CHECK(target.calls.item() == source.calls.item());
  CHECK(target(x).value().to_vector() == expected);
  // Copied, not shared.
  ldlm::parameters(source)[0].value().fill_(0);
  CHECK(target(x).value().to_vector() == expected);
}

TEST_CASE("load_state_dict says everything that does not fit, and then changes nothing") {
  Generator g(1);
  Mlp model(1, g);
  const auto before = ldlm::clone(model);
  auto tensors = ldlm::state_dict(ldlm::clone(model));
  tensors[0].second = Tensor<float>::zeros({3, 4});
  tensors[1].first = "in.beta";
  tensors.push_back(tensors[2]);
  CHECK(message_of([&] { ldlm::load_state_dict(model, tensors); }) ==
        "[load_state_dict] missing: in.bias; unexpected: hidden.0.weight (a second time), in.beta; "
        "of another shape: in.weight is (4, 3), given (3, 4)");
  CHECK(message_of([&] { ldlm::load_state_dict(model, tensors, false); }) ==
        "[load_state_dict] of another shape: in.weight is (4, 3), given (3, 4)");
  CHECK(equal(ldlm::state_dict(model)[2].second, ldlm::state_dict(before)[2].second));

  CHECK_THROWS_AS(ldlm::load_state_dict(model, tensors), ldlm::ValueError);
  CHECK_THROWS_AS(ldlm::load_state_dict(model, tensors, false), ldlm::ShapeError);
  tensors[0].second = {};
  CHECK(message_of([&] { ldlm::load_state_dict(model, tensors, false); }) ==
        "[load_state_dict] undefined: in.weight");
  CHECK_THROWS_AS(ldlm::load_state_dict(model, tensors, false), ldlm::StateError);

  tensors.erase(tensors.begin());
  tensors[1].second = Tensor<float>::ones({4, 4});
  CHECK(message_of([&] { ldlm::load_state_dict(model, tensors, false); }) == "no error");
  CHECK(model.hidden[0].weight.value().at({1, 2}) == 1.0F);
  CHECK(equal(model.in.weight.value(), before.in.weight.value()));

  const std::string all = message_of([&] { ldlm::load_state_dict(model, {}); });
  CHECK(all ==
        "[load_state_dict] missing: in.weight, in.bias, hidden.0.weight, hidden.0.bias, "
        "norm.weight, norm.bias, scale, calls");
  Mlp deep(6, g);
  CHECK(contains(message_of([&] { ldlm::load_state_dict(deep, {}); }), " and 5 more"));
}

TEST_CASE("copies share parameters, clones do not") {
  Generator g(1);
  const Mlp model(1, g);
  const Mlp copy = model;
  const Mlp cloned = ldlm::clone(model);
  model.in.weight.value().fill_(3);
  CHECK(copy.in.weight.value().at({0, 0}) == 3.0F);
  CHECK(cloned.in.weight.value().at({0, 0}) != 3.0F);
  CHECK(cloned.in.weight.requires_grad());
}

TEST_CASE("tied parameters count once and stay tied in a clone") {
  Generator g(1);
  const Tied model(g);
  CHECK(names_of(ldlm::named_parameters(model)) == "encoder.weight");
  CHECK(names_of(ldlm::state_dict(model)) == "encoder.weight decoder.weight");
  CHECK(ldlm::num_parameters(model) == 10);
  const Tied cloned = ldlm::clone(model);
  CHECK(names_of(ldlm::named_parameters(cloned)) == "encoder.weight");
  cloned.encoder.weight.value().fill_(2);
  CHECK(cloned.decoder.weight.value().at({0, 0}) == 2.0);
  CHECK(model.decoder.weight.value().at({0, 0}) != 2.0);
}

TEST_CASE("a view that begins where another parameter does is one of its own") {
  Generator g(1);
  const Overlapping model(g);
  CHECK(names_of(ldlm::named_parameters(model)) == "all part turned");
  CHECK(ldlm::num_parameters(model) == 9 + 6 + 9);
  Overlapping moved = model;
  ldlm::to(moved, ldlm::cpu);
  for (const Overlapping& copy : {ldlm::clone(model), moved}) {
    CHECK(equal(copy.part.value(), model.part.value()));
    CHECK(equal(copy.turned.value(), model.turned.value()));
    CHECK(copy.again.value().data() == copy.all.value().data());
    CHECK(names_of(ldlm::named_parameters(copy)) == "all part turned");
  }
}

TEST_CASE("training drops, evaluation does not") {
  Generator g(1);
  Mlp model(2, g);
  const Variable<float> x(ldlm::randn<float>({50, 3}, g));
  const auto plain = model(x).value().to_vector();
  CHECK(model(x).value().to_vector() == plain);

  Generator stream(7);
  {
    const ldlm::TrainingMode training(stream);
    const auto first = model(x).value().to_vector();
    const auto second = model(x).value().to_vector();
    CHECK(first != plain);
    CHECK(first != second);
    {
      const ldlm::EvaluationMode evaluation;
      CHECK(model(x).value().to_vector() == plain);
    }
    stream = Generator(7);  // the same numbers again
    CHECK(model(x).value().to_vector() == first);
    const Mlp copy = model;  // no model keeps the mode
    std::thread([&] { CHECK(copy(x).value().to_vector() == plain); }).join();
  }
  CHECK(model(x).value().to_vector() == plain);
}

TEST_CASE("dropout keeps the mean, zeroes a share p, and its gradient has the same mask") {
  ldlm::Dropout<double> dropout(0.3);
  Variable<double> x(Tensor<double>::ones({100, 100}), true);
  Generator g(3);
  const ldlm::TrainingMode training(g);
  const Variable<double> y = dropout(x);
  double kept = 0;
  for (const double value : y.value().to_vector()) {
    CHECK((value == 0 || value == doctest::Approx(1 / 0.7)));
    kept += value != 0 ? 1 : 0;
  }
  CHECK(kept / 10000 == doctest::Approx(0.7).epsilon(0.03));
  sum(y).backward();
  CHECK(x.grad().to_vector() == y.value().to_vector());
  CHECK(message_of([] { ldlm::Dropout<float>(1.5); }) == "[Dropout] p must lie in [0, 1), got 1.5");
  CHECK(message_of([] { ldlm::Dropout<float>(0.999999999); }) ==
        "[Dropout] p is so near to 1 that it is 1 as f32");
  CHECK(ldlm::Dropout<double>(0.999999999).p() < 1);
}

TEST_CASE("dropout reaches every part of a Transformer") {
  Generator g(1);
  ldlm::Transformer<float> model({.d_model = 8,
                                  .nhead = 2,
                                  .num_encoder_layers = 1,
                                  .num_decoder_layers = 1,
                                  .dim_feedforward = 16,
                                  .dropout = 0.2},
                                 g);
  const Variable<float> x(ldlm::randn<float>({2, 4, 8}, g));
  const auto plain = model(x, x).value().to_vector();
  Generator stream(5);
  {
    const ldlm::TrainingMode training(stream);
    CHECK(model(x, x).value().to_vector() != plain);
  }
  // In blocks of four words: encoder 2 B H T T / 2 = 64 attention weights, 128 hidden, twice 64;
  // decoder twice 64 weights, 128 hidden, three times 64.
  CHECK(stream.offset() == (64 + 128 + 2 * 64 + 2 * 64 + 128 + 3 * 64) / 4);
  CHECK(model(x, x).value().to_vector() == plain);
}

TEST_CASE("freezing and dropping gradients") {
  Generator g(1);
  Mlp model(1, g);
  const Variable<float> x(ldlm::randn<float>({2, 3}, g));
  sum(model(x)).backward();
  CHECK(model.in.weight.grad().defined());
  ldlm::zero_grad(model);
  CHECK_FALSE(model.in.weight.grad().defined());
  ldlm::set_requires_grad(model, false);
  CHECK_FALSE(model(x).requires_grad());
  ldlm::set_requires_grad(model, true);
  CHECK(model(x).requires_grad());
}
