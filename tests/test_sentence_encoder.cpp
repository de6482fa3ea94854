// SentenceEncoder against sentence-transformers (tools/make_sentence_folders.py), pooling against
// sums by hand, and what folders say that is refused.

#include <fstream>

#include <doctest/doctest.h>
#include <ldlm/io/json.hpp>
#include <ldlm/models/sentence_encoder.hpp>

#include "io_support.hpp"
#include "model_support.hpp"

using io_support::TempFolder;
using ldlm::PoolingMode;
using ldlm::SentenceEncoder;
using ldlm::Tensor;
using ldlm::Variable;
using model_support::contains;
using model_support::Golden;
using model_support::golden_folder;
using model_support::message_of;
namespace fs = std::filesystem;

namespace {

std::vector<std::string> texts() {
  return ldlm::read_json(golden_folder("sentence") / "texts.json").as<std::vector<std::string>>();
}

/// A copy of a golden folder, one of whose files has other contents.
fs::path copy_with_file(const fs::path& to, const std::string& from, const fs::path& file,
                        const std::string& contents) {
  fs::copy(golden_folder("sentence") / from, to, fs::copy_options::recursive);
  fs::create_directories((to / file).parent_path());
  std::ofstream(to / file) << contents;
  return to;
}

float largest_difference(const Tensor<float>& a, const Tensor<float>& b) {
  REQUIRE(a.shape() == b.shape());
  return max(abs(a - b)).item();
}

}  // namespace

TEST_CASE("folders of sentence-transformers give its vectors, in any batches") {
  for (const std::string name : {"mean", "max", "all", "dense", "prompts"}) {
    CAPTURE(name);
    Golden golden("sentence/" + name);
    const auto encoder = SentenceEncoder<float>::from_pretrained(golden_folder("sentence") / name);
    CHECK(encoder.described());
    const auto all = texts();
    for (const std::int64_t batch_size : {1, 3, 32}) {
      const Tensor<float> vectors = encoder.encode(all, {.batch_size = batch_size});
      CHECK(largest_difference(vectors, golden.get<float>("vectors")) < 1e-5F);
    }
    CHECK(encoder.dimension() == golden.get<float>("vectors").size(1));
  }
  const auto encoder = SentenceEncoder<float>::from_pretrained(golden_folder("sentence/prompts"));
  const Tensor<float> queries = encoder.encode(texts(), {.prompt_name = "query"});
  CHECK(largest_difference(queries, Golden("sentence/prompts").get<float>("query")) < 1e-5F);
  // A prompt is text before the text, whatever it is called.
  CHECK(equal(encoder.encode(texts(), {.prompt = "hello : "}), queries));
  CHECK(message_of([&] { (void)encoder.encode({"a"}, {.prompt = "p", .prompt_name = "query"}); }) ==
        "[encode] prompt and prompt_name are two ways to say what comes before every text: set "
        "one");
  CHECK(contains(message_of([&] { (void)encoder.encode({"a"}, {.prompt_name = "other"}); }),
                 "no prompt named \"other\"; the folder has document, passage, query"));
}

TEST_CASE("padding and truncation of tokenizer.json do not act on texts to embed") {
  const fs::path cases = golden_folder("cases");
  const auto plain = SentenceEncoder<float>::from_pretrained(cases / "embed_plain");
  const auto padded = SentenceEncoder<float>::from_pretrained(cases / "embed_padded");
  CHECK_FALSE(plain.described());
  CHECK(padded.max_length() == 64);  // as without modules.json, whatever the other files say
  const std::vector<std::string> some{"the river rises .", "hello world",
                                      "a b c a b c a b c a b c a b"};
  CHECK(largest_difference(plain.encode(some), padded.encode(some)) == 0);
  // Without modules.json: the mean of the states, as sentence-transformers gives it.
  {
    const ldlm::NoGrad scope;
    const auto batch = ldlm::to_batch(plain.tokenizer(), std::vector<std::string>{some[0]});
    const auto states = plain.bert()({.ids = batch.ids}).hidden.value();
    CHECK(largest_difference(plain.encode({some[0]}), mean(states, 1)) < 1e-6F);
  }
  // embed_cls takes the first token's state, not normalised.
  const auto cls = SentenceEncoder<float>::from_pretrained(cases / "embed_cls");
  const ldlm::NoGrad scope;
  const auto batch = ldlm::to_batch(cls.tokenizer(), std::vector<std::string>{some[0]});
  const auto states = cls.bert()({.ids = batch.ids}).hidden.value();
  CHECK(largest_difference(cls.encode({some[0]}), states.select(1, 0)) < 1e-6F);
}

TEST_CASE("long texts are cut and named, in the order of length") {
  const auto encoder = SentenceEncoder<float>::from_pretrained(golden_folder("sentence/mean"));
  std::vector<std::size_t> cut;
  std::vector<std::size_t> done;
  const auto all = texts();
  (void)encoder.encode(all, {.batch_size = 4,
                             .progress = [&](std::size_t n) { done.push_back(n); },
                             .on_cut =
                                 [&](std::size_t text, std::int64_t tokens) {
                                   CHECK(tokens > encoder.max_length());
                                   cut.push_back(text);
                                 }});
  CHECK(done == std::vector<std::size_t>{4, 8, 10});
  CHECK(cut == std::vector<std::size_t>{6});
  CHECK(encoder.encode({}).shape() == ldlm::Shape{0, 8});
  CHECK(contains(message_of([&] { (void)encoder.encode({"a"}, {.batch_size = 0}); }),
                 "batch_size must be positive"));
}

TEST_CASE("what a sentence encoder's files say is obeyed or refused by name") {
  const TempFolder folder;
  int number = 0;
  const auto said = [&](const fs::path& file, const std::string& contents) {
    const fs::path to = copy_with_file(folder / std::to_string(number++), "mean", file, contents);
    return message_of([&] { (void)SentenceEncoder<float>::from_pretrained(to); });
  };
  const auto named = [](const std::string& name, const std::string& type, const std::string& path) {
    return R"({"idx": 0, "name": )" + name + R"(, "path": ")" + path + R"(", "type": ")" + type +
           "\"}";
  };
  const auto module = [&](const std::string& type, const std::string& path) {
    return named('"' + type.substr(type.rfind('.') + 1) + '"', type, path);
  };
  const std::string transformer = module("sentence_transformers.models.Transformer", "");
  const std::string pooling = module("sentence_transformers.models.Pooling", "1_Pooling");
  const auto with = [&](const std::string& last) {
    return said("modules.json", "[" + transformer + "," + pooling + "," + last + "]");
  };
  CHECK(with(module("sentence_transformers.models.Normalize", "2_Normalize")) == "no error");
  // sentence-transformers keeps modules by name: of two with one name, the later replaces the
  // other.
  for (const auto& [name, rule] :
       {std::pair(R"("Pooling")", "as an earlier module's"), std::pair(R"("")", "without dots"),
        std::pair(R"("a.b")", "without dots"), std::pair("3", "must be a string")}) {
    CHECK(contains(with(named(name, "sentence_transformers.models.Normalize", "")), rule));
  }
  CHECK(contains(with(R"({"path": "", "type": "sentence_transformers.models.Normalize"})"),
                 ".name\" is missing"));
  for (const char* const key : {"module_input_name", "module_output_name"}) {
    const fs::path to = copy_with_file(folder / key, "mean", "2_Normalize/config.json",
                                       "{\"" + std::string(key) + "\": \"token_embeddings\"}");
    std::ofstream(to / "modules.json")
        << "[" + transformer + "," + pooling + "," +
               module("sentence_transformers.models.Normalize", "2_Normalize") + "]";
    CHECK(contains(message_of([&] { (void)SentenceEncoder<float>::from_pretrained(to); }),
                   std::string("2_Normalize/config.json: key \"") + key + "\" must be"));
  }
  CHECK(contains(with(module("sentence_transformers.models.CNN", "2_CNN")),
                 "models.CNN\", which is not supported"));
  CHECK(contains(with(module("custom.Module", "2")), ".type\" is \"custom.Module\""));
  CHECK(contains(with(module("sentence_transformers.models.Dense", "../x")), "within the folder"));
  CHECK(
      contains(said("modules.json", "[" + transformer + "]"), "needs a Transformer and a Pooling"));
  CHECK(contains(said("modules.json", "{}"), "must be an array"));
  CHECK(contains(said("1_Pooling/config.json", R"({"pooling_mode": "other"})"), "got \"other\""));
  CHECK(contains(said("1_Pooling/config.json", R"({"pooling_mode_new": true})"),
                 "\"pooling_mode_new\""));
  CHECK(contains(said("1_Pooling/config.json", R"({"pooling_mode": "mean", "normalize": true})"),
                 "key \"normalize\" is not known"));
  CHECK(contains(said("config_sentence_transformers.json", R"({"prompts": null})"), "\"prompts\""));
  CHECK(contains(said("sentence_bert_config.json", R"({"max_seq_length": 0})"),
                 "\"max_seq_length\" must be positive"));
  CHECK(contains(said("sentence_bert_config.json", R"({"max_seq_length": 65})"),
                 "longer than max_position_embeddings 64"));
  CHECK(contains(said("sentence_bert_config.json", R"({"transformer_task": "fill-mask"})"),
                 "\"transformer_task\""));
  CHECK(contains(said("sentence_bert_config.json", R"({"model_args": {"x": 1}})"),
                 "\"model_args\" must be empty"));
  CHECK(contains(said("config_sentence_transformers.json", R"({"default_prompt_name": "q"})"),
                 "\"default_prompt_name\" is \"q\""));
  CHECK(contains(said("config_sentence_transformers.json", R"({"model_type": "CrossEncoder"})"),
                 "\"model_type\" must be \"SentenceTransformer\", got \"CrossEncoder\""));
  CHECK(contains(said("config_sentence_transformers.json", R"({"truncate_dim": 4})"),
                 "\"truncate_dim\""));
  CHECK(said("tokenizer_config.json", R"({"model_max_length": 1000000000000000019884624838656})") ==
        "no error");
  CHECK(contains(said("tokenizer_config.json", R"({"truncation_side": "up"})"),
                 "must be left or right, got \"up\""));
}

TEST_CASE(
    "the names that sentence-transformers gives the encoder's file are all read, in its order") {
  const TempFolder folder;
  const std::string usual = "sentence_bert_config.json";
  const fs::path to = copy_with_file(folder / "a", "mean", "README.md", "");
  const auto length = [&] { return SentenceEncoder<float>::from_pretrained(to).max_length(); };
  fs::remove(to / usual);
  CHECK(length() == 64);
  std::int64_t expected = 10;
  for (const char* const model :
       {"xlnet", "xlm-roberta", "albert", "camembert", "distilbert", "roberta", "bert"}) {
    CAPTURE(model);  // each comes before those that are there
    std::ofstream(to / ("sentence_" + std::string(model) + "_config.json"))
        << R"({"max_seq_length": )" << ++expected << "}";
    CHECK(length() == expected);
  }
  std::ofstream(to / usual) << "{}";  // says nothing: the next one is read
  CHECK(length() == expected - 1);
  // The vectors are those of the file under its usual name.
  fs::remove(to / usual);
  fs::copy_file(golden_folder("sentence") / "mean" / usual, to / "sentence_roberta_config.json",
                fs::copy_options::overwrite_existing);
  const auto encoder = SentenceEncoder<float>::from_pretrained(to);
  CHECK(largest_difference(encoder.encode(texts()), Golden("sentence/mean").get<float>("vectors")) <
        1e-5F);
  std::ofstream(to / "sentence_roberta_config.json") << R"({"do_lower_case": 1})";
  CHECK(contains(message_of([&] { (void)SentenceEncoder<float>::from_pretrained(to); }),
                 "sentence_roberta_config.json: key \"do_lower_case\""));
}

TEST_CASE("an encoder that gives something else than its last states is refused by name") {
  const TempFolder folder;
  int number = 0;
  const auto said = [&](const std::string& contents) {
    const fs::path to = copy_with_file(folder / std::to_string(number++), "mean",
                                       "sentence_bert_config.json", contents);
    return message_of([&] { (void)SentenceEncoder<float>::from_pretrained(to); });
  };
  // `text` is the entry of modality_config, `more` what follows it.
  const auto with = [&](const std::string& text, const std::string& more = "") {
    return said(R"({"transformer_task": "feature-extraction", "modality_config": {"text": )" +
                text + more + R"(}, "module_output_name": "token_embeddings"})");
  };
  const auto output = [&](const std::string& name) {
    return with(R"({"method": "forward", "method_output_name": )" + name + "}");
  };
  CHECK(output(R"("last_hidden_state")") == "no error");  // as sentence-transformers 6.2 saves it
  CHECK(output(R"(["last_hidden_state"])") == "no error");
  CHECK(contains(output(R"("pooler_output")"),
                 "sentence_bert_config.json: key \"modality_config.text.method_output_name\" must "
                 "be \"last_hidden_state\", got \"pooler_output\""));
  CHECK(contains(output(R"(["hidden_states", 1])"), "method_output_name\" must be"));
  CHECK(contains(output("null"), "method_output_name\" must be"));
  const std::string usual = R"({"method": "forward", "method_output_name": "last_hidden_state"})";
  CHECK(with(usual, R"(, "image": )" + usual) == "no error");
  CHECK(contains(with(usual, R"(, "message": )" + usual), "has \"message\""));
  CHECK(contains(with(R"({"method": "encode", "method_output_name": "last_hidden_state"})"),
                 "\"modality_config.text.method\" must be \"forward\", got \"encode\""));
  CHECK(contains(said(R"({"modality_config": {}})"), "\"modality_config\" must have \"text\""));
  CHECK(contains(said(R"({"modality_config": null})"), "\"modality_config\""));
  const std::string only = R"({"modality_config": {"text": )" + usual + "}";
  CHECK(contains(said(only + "}"), "\"module_output_name\""));
  CHECK(contains(said(only + R"(, "module_output_name": "sentence_embedding"})"),
                 "\"module_output_name\" must be \"token_embeddings\", got "
                 "\"sentence_embedding\""));
  CHECK(said(R"({"module_output_name": "sentence_embedding"})") == "no error");  // counts not alone
  CHECK(contains(said(R"({"document_length": 8})"), "\"document_length\" is not supported"));
  CHECK(contains(said(R"({"length": 8})"), "\"length\" is not known"));
}

TEST_CASE("a length without room for the special tokens is refused with the file that sets it") {
  const TempFolder folder;
  const auto said = [&](const std::string& name, const std::string& of_encoder,
                        const std::string& of_tokenizer) {
    const fs::path to =
        copy_with_file(folder / name, "mean", "sentence_bert_config.json", of_encoder);
    std::ofstream(to / "tokenizer_config.json") << of_tokenizer;
    return message_of([&] { (void)SentenceEncoder<float>::from_pretrained(to); });
  };
  CHECK(contains(said("a", R"({"max_seq_length": 1})", "{}"),
                 "sentence_bert_config.json: max_seq_length: texts of 1 tokens leave no room for "
                 "the 2 special tokens"));
  CHECK(said("b", R"({"max_seq_length": 2})", "{}") == "no error");
  CHECK(said("d", "{}", R"({"model_max_length": 512})") == "no error");  // the positions' number
  CHECK(contains(said("c", "{}", R"({"model_max_length": 1})"),
                 "tokenizer_config.json: model_max_length: texts of 1 tokens leave no room"));
}

TEST_CASE("what would change a vector in silence is refused") {
  const TempFolder folder;
  const std::string activation = R"({"in_features": 8, "out_features": 4, "bias": true,
      "activation_function": "mine.ReLU"})";
  const fs::path dense =
      copy_with_file(folder / "dense", "dense", "2_Dense/config.json", activation);
  CHECK(contains(message_of([&] { (void)SentenceEncoder<float>::from_pretrained(dense); }),
                 "must be torch.nn's Identity, Tanh, ReLU or GELU, got \"mine.ReLU\""));
  const auto dense_says = [&](const std::string& name, const std::string& config) {
    const fs::path to = copy_with_file(folder / name, "dense", "2_Dense/config.json", config);
    return message_of([&] { (void)SentenceEncoder<float>::from_pretrained(to); });
  };
  CHECK(contains(dense_says("none", R"({"activation_function": null})"), "must be a name"));
  CHECK(contains(dense_says("unbiased", R"({"bias": false})"), "holds linear.bias"));
  const fs::path prompts = copy_with_file(folder / "prompts", "prompts", "1_Pooling/config.json",
                                          R"({"pooling_mode": "mean", "include_prompt": false})");
  const auto encoder = SentenceEncoder<float>::from_pretrained(prompts);
  std::string longer;
  for (int i = 0; i < 70; ++i) {
    longer += "hello ";
  }
  CHECK(contains(message_of([&] { (void)encoder.encode({"a"}, {.prompt = longer}); }),
                 "takes 71 tokens, texts are cut to 64"));
}

TEST_CASE("every way of pooling weighs real positions only, and passes gradients") {
  const Variable<double> states(
      Tensor<double>::from_values({2, 3, 2}, {1, 10, 3, 20, 99, 99, 5, -6, 7, -8, 9, -10}), true);
  const auto mask = Tensor<bool>::from_values({2, 3}, {true, true, false, true, true, true});
  const auto values = [&](PoolingMode mode) {
    return pool(states, mode, mask).value().to_vector();
  };
  using V = std::vector<double>;
  CHECK(values(PoolingMode::cls) == V{1, 10, 5, -6});
  CHECK(values(PoolingMode::lasttoken) == V{3, 20, 9, -10});
  CHECK(values(PoolingMode::max) == V{3, 20, 9, -6});
  CHECK(values(PoolingMode::mean)[0] == 2);
  CHECK(values(PoolingMode::mean)[2] == doctest::Approx(7));
  const V root = values(PoolingMode::mean_sqrt_len_tokens);
  CHECK(root[0] == doctest::Approx(4 / std::sqrt(2.0)));
  CHECK(root[3] == doctest::Approx(-24 / std::sqrt(3.0)));
  const V weighted = values(PoolingMode::weightedmean);
  CHECK(weighted[0] == doctest::Approx(7.0 / 3));
  CHECK(weighted[2] == doctest::Approx((5 + 14 + 27) / 6.0));
  // Only a part of the real positions: the weights keep their places.
  const auto counted = Tensor<bool>::from_values({2, 3}, {false, true, true, false, true, true});
  CHECK(pool(states, PoolingMode::cls, mask, counted).value().to_vector() == V{3, 20, 7, -8});
  CHECK(pool(states, PoolingMode::weightedmean, mask, counted).value().at({1, 0}) ==
        doctest::Approx((14 + 27) / 5.0));
  for (const PoolingMode mode : {PoolingMode::max, PoolingMode::mean, PoolingMode::cls}) {
    Variable<double> x(states.value().clone(), true);
    sum(pool(x, mode, mask)).backward();
    CHECK(x.grad().at({0, 2, 0}) == 0);
    CHECK(sum(x.grad()).item() == doctest::Approx(4));
  }
  // Both masks count in every mode.
  CHECK(pool(states, PoolingMode::mean, mask, counted).value().to_vector() == V{3, 20, 8, -9});
  const auto none = Tensor<bool>::full({2, 3}, false);
  const Tensor<bool> wrong = Tensor<bool>::full({9, 9}, true);
  const Variable<double> empty(Tensor<double>::zeros({2, 0, 2}));
  for (const PoolingMode mode : {PoolingMode::max, PoolingMode::mean}) {
    CHECK(contains(message_of([&] { (void)pool(states, mode, none); }), "no real position"));
    CHECK(contains(message_of([&] { (void)pool(states, mode, mask, none); }), "no real position"));
    CHECK(message_of([&] { (void)pool(states, mode, wrong, counted); }) ==
          "[pool] masks (9, 9) and (2, 3) do not fit states (2, 3, 2)");
    CHECK_THROWS_AS((void)pool(empty, mode), ldlm::Error);
    CHECK(message_of([&] { (void)pool(Variable<double>(), mode); }) ==
          "[pool] the states are undefined");
  }
  CHECK(message_of([&] { (void)pool(states, static_cast<PoolingMode>(77)); }) ==
        "[PoolingMode] 77 is none of its values");
}
