// Texts beside and between others, and on their way from noise.

#include <algorithm>

#include "command_support.hpp"

using namespace command_test;

namespace {

Arguments traced_sample(const Workshop& w) {
  return {"sample", "--model", w.model, "--count", "2", "--steps", "12", "--decode-level", "-1"};
}

}  // namespace

TEST_CASE("variations of a text go through noise and back") {
  const Workshop& w = workshop();
  const Arguments vary{"vary", "--model", w.model, "--count", "3", "--steps", "5", cat_sentence};
  const auto printed = lines(output_of(vary));
  REQUIRE(printed.size() == 4);
  CHECK(printed[0] == cat_sentence);
  CHECK(output_of(vary) == output_of(vary));
  const auto json = json_lines(output_of(with(vary, {"--json", "A dog ran."})));
  REQUIRE(json.size() == 2);
  CHECK(json[0].find("text")->as<std::string>() == cat_sentence);
  CHECK(json[1].find("variations")->items().size() == 3);
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK("  " + json[0].find("variations")->items()[i].as<std::string>() == printed[i + 1]);
  }
  // Without noise, what the decoder makes of the latent: the same each time, unless it draws.
  const auto clean =
      lines(output_of({"vary", "--model", w.model, "--count", "2", "--t", "-1", cat_sentence}));
  REQUIRE(clean.size() == 3);
  CHECK(clean[1] == clean[2]);
  const auto drawn = json_lines(output_of({"vary", "--model", w.model, "--count", "20", "--t", "-1",
                                           "--temperature", "3", "--json", cat_sentence}));
  const auto& texts = drawn.at(0).find("variations")->items();
  CHECK(std::any_of(texts.begin(), texts.end(), [&](const ldlm::JsonValue& text) {
    return text.as<std::string>() != texts[0].as<std::string>();
  }));

  check_usage(with(vary, {"--t", "1000"}), {"--t"});
  check_usage(with(vary, {"--count", "0"}), {"--count"});
  check_usage({"vary", "--model", w.model, "--decode-level", "1000", cat_sentence},
              {"--decode-level", "nothing of the texts"});
  check_usage({"vary", "--model", w.model, "--t", "-1", "--steps", "5", cat_sentence},
              {"--steps", "--t -1"});
  check_usage(with(vary, {"--eta", "0.5"}), {"--eta"});
  check_error({"vary", "--model", w.model, "--steps", "1000000", cat_sentence}, {"--steps"});
  check_error({"vary", "--model", w.model, ""}, {"empty"});
}

TEST_CASE("texts lead from one to another") {
  const Workshop& w = workshop();
  const Arguments way{"interpolate", "--model", w.model, cat_sentence, "A dog ran."};
  const auto json = json_lines(output_of(with(way, {"--json"})));
  REQUIRE(json.size() == 7);
  const auto end = [&](const std::string& text) {
    return json_lines(
               output_of({"vary", "--model", w.model, "--t", "-1", "--count", "1", "--json", text}))
        .at(0)
        .find("variations")
        ->items()[0]
        .as<std::string>();
  };
  CHECK(json.front().find("share")->as<double>() == 0.0);
  CHECK(json.front().find("text")->as<std::string>() == end(cat_sentence));
  CHECK(json.back().find("share")->as<double>() == 1.0);
  CHECK(json.back().find("text")->as<std::string>() == end("A dog ran."));
  CHECK(lines(output_of(with(way, {"--count", "2"}))).at(1) == "1.00  " + end("A dog ran."));
  CHECK(lines(output_of(with(way, {"--count", "3", "--t", "500", "--steps", "5"}))).size() == 3);
  const auto many = lines(output_of(with(way, {"--count", "102"})));
  CHECK(many.at(0).starts_with("0.000  "));
  CHECK(many.at(1).starts_with("0.010  "));
  check_usage(with(way, {"--count", "1"}), {"--count"});
  check_usage({"interpolate", "--model", w.model, cat_sentence}, {"second"});
  check_error({"interpolate", "--model", w.model, cat_sentence, ""}, {"the second text is empty"});
}

TEST_CASE("gaps of texts are filled") {
  const Workshop& w = workshop();
  const Arguments infill{"infill",  "--model", w.model,        "--count", "3",
                         "--steps", "5",       "--max-tokens", "3",       "The cat ___ the mat."};
  const auto printed = lines(output_of(infill));
  REQUIRE(printed.size() == 4);
  CHECK(printed[0] == "The cat ___ the mat.");
  for (std::size_t i = 1; i < 4; ++i) {
    CHECK(printed[i].starts_with("  The cat "));
    CHECK(printed[i].ends_with(" the mat."));
  }
  const auto json = json_lines(output_of(with(infill, {"--json"})));
  CHECK(json.at(0).find("fillings")->items().size() == 3);
  const auto longer = lines(output_of({"infill", "--model", w.model, "--count", "3", "--steps", "5",
                                       "--max-tokens", "3", "The cat _____ the mat."}));
  CHECK(std::equal(longer.begin() + 1, longer.end(), printed.begin() + 1));
  check_error({"infill", "--model", w.model, "--masks", "100", "The cat ___."},
              {"too long for the model with 100 masks"});
  check_error({"infill", "--model", w.model, "The cat sat."}, {"one gap, ___"});
  check_error({"infill", "--model", w.model, "___ cat ___."}, {"one gap, ___"});
  check_error({"infill", "--model", w.model, "___"}, {"no text around"});
  check_usage(with(infill, {"--beams", "2"}), {"--beams"});
  check_usage(with(infill, {"--temperature", "0"}), {"--temperature"});
  check_usage(with(infill, {"--candidates", "0"}), {"--candidates"});
}

TEST_CASE("samples are traced on their way, and shown on a terminal") {
  const Workshop& w = workshop();
  const Arguments sample = traced_sample(w);
  const auto expected = lines(output_of(sample));
  const auto traced = json_lines(output_of(with(sample, {"--trace"})));
  REQUIRE(traced.size() == expected.size());
  for (std::size_t i = 0; i < traced.size(); ++i) {
    CHECK(traced[i].find("text")->as<std::string>() == expected[i]);
    const auto& trace = traced[i].find("trace")->items();
    REQUIRE(trace.size() > 1);
    CHECK(trace.size() <= 10);
    for (std::size_t k = 0; k + 1 < trace.size(); ++k) {
      CHECK(trace[k].find("sigma")->as<double>() > trace[k + 1].find("sigma")->as<double>());
    }
  }
  const Result shown = run(sample, {.terminal = true});
  CHECK(lines(shown.out) == expected);
  CHECK(shown.err.find("\x1b[J") != std::string::npos);
  CHECK(run(with(sample, {"--quiet"}), {.terminal = true}).err.empty());
  check_usage({"sample", "--model", w.model, "--decode-level", "1000", "--trace"},
              {"--trace", "--decode-level 1000"});
}

TEST_CASE("a model's folder says how its texts are drawn, and options say otherwise") {
  const Workshop& w = workshop();
  const std::string model = (w.folder / "drawing").string();
  fs::copy(w.model, model, fs::copy_options::recursive);
  const auto set = [&](const std::string& sampling) {
    const std::string path = model + "/ldlm.json";
    ldlm::JsonValue json = ldlm::parse_json(read_file(path), path);
    json.set("sampling", ldlm::parse_json(sampling, "sampling"));
    make_file(path, ldlm::to_string(json));
  };
  const auto sample = [](const std::string& from, const Arguments& more) {
    return output_of(with({"sample", "--model", from, "--count", "4"}, more));
  };
  set(R"({"steps": 5, "decode_level": 600, "temperature": 2, "top_p": 0.5})");
  const Arguments said{"--steps",       "5", "--decode-level", "600",
                       "--temperature", "2", "--top-p",        "0.5"};
  const std::string drawn = sample(w.model, said);
  CHECK(sample(model, {}) == drawn);
  CHECK(sample(model, {"--steps", "4"}) != drawn);
  // Beams are a way of their own.
  CHECK(sample(model, {"--beams", "2"}) ==
        sample(w.model, {"--steps", "5", "--decode-level", "600", "--beams", "2"}));
  CHECK(sample(model, {"--temperature", "0"}) ==
        sample(w.model, {"--steps", "5", "--decode-level", "600"}));
  check_usage({"sample", "--model", model, "--temperature", "0", "--top-p", "0.9"}, {"--top-p"});
  set(R"({"decode_level": 1000, "temperature": 1})");
  check_usage({"sample", "--model", model, "--steps", "5"},
              {"--steps", "the model's decode_level of 1000"});
  CHECK(sample(model, {}) == sample(w.model, {"--decode-level", "1000", "--temperature", "1"}));
  // Reconstructions are no samples.
  CHECK(output_of({"vary", "--model", model, "--steps", "5", cat_sentence}) ==
        output_of({"vary", "--model", w.model, "--steps", "5", cat_sentence}));
  set(R"({"steps": 5000})");
  check_error({"sample", "--model", model}, {"sampling.steps of ldlm.json: cannot take 5000 of"});
  set(R"({"temperature": -1})");
  check_error({"sample", "--model", model}, {"sampling.temperature", "ldlm.json"});
}
