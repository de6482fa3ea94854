// The ldlm command: help, usage, and what each subcommand says about a small model.

#include <cmath>

#include "command_support.hpp"

using namespace command_test;

TEST_CASE("the help of every subcommand ends with an example of it") {
  const std::string all = output_of({"--help"});
  const std::vector<Arguments> commands{{},
                                        {"demo"},
                                        {"reconstruct"},
                                        {"sample"},
                                        {"vary"},
                                        {"interpolate"},
                                        {"infill"},
                                        {"generate"},
                                        {"embed"},
                                        {"tokenize"},
                                        {"inspect"},
                                        {"export"},
                                        {"quantize"},
                                        {"eval"},
                                        {"select-sentences"},
                                        {"train-tokenizer"},
                                        {"pretrain"},
                                        {"train"},
                                        {"pretrain", "encoder"},
                                        {"pretrain", "decoder"},
                                        {"train", "autoencoder"},
                                        {"train", "denoiser"},
                                        {"train", "joint"},
                                        {"train", "decoder"}};
  for (const Arguments& command : commands) {
    const std::string name = joined(command);
    CAPTURE(name);
    Arguments arguments = command;
    arguments.emplace_back("--help");
    const std::string help = output_of(arguments);
    const std::size_t example = help.find("Example:");
    REQUIRE(example != std::string::npos);
    CHECK(help.find(name, example) != std::string::npos);
    if (!command.empty()) {
      CHECK(all.find(command.front()) != std::string::npos);
    }
  }
  CHECK(output_of({"--version"}).find('.') != std::string::npos);
  CHECK(output_of({"--version"}).find("\nsimd: ") != std::string::npos);
}

TEST_CASE("wrong usage ends with status 2, says why, and prints nothing else") {
  check_usage({}, {"subcommand"});
  check_usage({"nonsense"}, {"nonsense"});
  check_usage({"sample", "--nonsense"}, {"--nonsense"});
  check_usage({"sample", "a positional"}, {"a positional"});
  check_usage({"sample", "--json=maybe"}, {"--json"});
  check_usage({"sample", "--count"}, {"--count"});
  check_usage({"sample", "--matmul-precision", "low"}, {"--matmul-precision", "low"});
  check_usage({"select-sentences"}, {"--corpus"});
  check_usage({"select-sentences", "--corpus", "corpus.txt"}, {"--out"});
  check_usage({"train-tokenizer"}, {"--corpus"});
  check_usage({"train-tokenizer", "--corpus", "corpus.txt"}, {"--out"});
  check_usage({"pretrain"}, {"subcommand"});
  check_usage({"pretrain", "denoiser"}, {"denoiser"});
  check_usage({"train"}, {"subcommand"});
  check_usage({"train", "denoiser"}, {"--corpus"});
  check_usage({"eval"}, {"--text"});
  check_usage({"export"}, {"--out"});
  check_usage({"quantize", "a text"}, {"--out"});
  check_usage({"quantize", "a text", "--out", "x", "--format", "int7"}, {"--format", "int7"});

  // Values that an option may not have, "--option value" each.
  const auto check_values = [](const Arguments& command, const std::vector<Arguments>& wrong) {
    for (const Arguments& option : wrong) {
      Arguments arguments = command;
      arguments.insert(arguments.end(), option.begin(), option.end());
      check_usage(arguments, {option[0], option[1]});
    }
  };
  check_values({"sample"}, {{"--count", "0"},
                            {"--count", "many"},
                            {"--count", "1.5"},
                            {"--count", "1e3"},
                            {"--count", "0x10"},
                            {"--count", "2000000000"},
                            {"--count", "99999999999999999999"},
                            {"--steps", "-1"},
                            {"--sampler", "euler"},
                            {"--eta", "2"},
                            {"--eta", "nan"},
                            {"--top-p", "0"},
                            {"--top-p", "1.5"},
                            {"--top-p", "nan"},
                            {"--temperature", "-1"},
                            {"--temperature", "nan"},
                            {"--temperature", "inf"},
                            {"--temperature", "1e999"},
                            {"--beams", "1001"},
                            {"--decode-level", "1001"},
                            {"--threads", "-1"},
                            {"--threads", "1000000"},
                            {"--seed", "-3"},
                            {"--seed", "1.5"},
                            {"--seed", "18446744073709551616"}});
  check_values({"reconstruct", "A text."}, {{"--t", "1000"}, {"--t", "-2"}, {"--beams", "-1"}});
  check_values({"generate", "A prompt"}, {{"--max-new-tokens", "0"}, {"--top-k", "-1"}});
  check_values({"train-tokenizer", "--corpus", "c", "--out", "o"},
               {{"--vocab-size", "-5"}, {"--vocab-size", "many"}});
  check_values({"train", "denoiser", "--corpus", "c", "--out", "o"}, {{"--report-every", "0"},
                                                                      {"--checkpoint-every", "0"},
                                                                      {"--batch-size", "0"},
                                                                      {"--steps", "-5"},
                                                                      {"--learning-rate", "nan"},
                                                                      {"--warmup", "-1"},
                                                                      {"--ema", "1"},
                                                                      {"--ema", "nan"}});
  check_values(
      {"eval", "--text", "t", "--train", "t"},
      {{"--batch-size", "0"}, {"--t", "1000"}, {"--texts", "-1"}, {"--train-texts", "-1"}});
}

TEST_CASE("text comes from arguments, a file or standard input") {
  const Workshop& w = workshop();
  const fs::path file = w.folder / "texts.txt";
  make_file(file, "The cat sat on the mat.\r\n\n  \nA dog.\n");
  const Arguments command{"tokenize", "--model", w.model, "--json"};
  const auto with = [&](Arguments more) {
    more.insert(more.begin(), command.begin(), command.end());
    return more;
  };
  const std::string by_arguments = output_of(with({"The cat sat on the mat.", "A dog."}));
  CHECK(lines(by_arguments).size() == 2);
  CHECK(output_of(with({"--file", file.string()})) == by_arguments);
  CHECK(output_of(command, {.input = read_file(file)}) == by_arguments);
  CHECK(output_of(command, {.input = "The cat sat on the mat.\nA dog."}) == by_arguments);
  check_error(command, {"there is no text"});
  check_error(with({"--file", "/no/such/file"}), {"/no/such/file", "no such file"});
  check_error(with({"--file", w.folder.path().string()}), {"is a folder"});
  make_file(file, " \n\n");
  check_error(with({"--file", file.string()}), {"there is no text", file.string()});
}

TEST_CASE("tokenize shows ids, tokens and bytes") {
  const Workshop& w = workshop();
  const auto json =
      json_lines(output_of({"tokenize", "--tokenizer", w.tokenizer, "--json", "The cat."}));
  REQUIRE(json.size() == 1);
  const auto& ids = json[0].find("ids")->items();
  CHECK(ids.size() == json[0].find("tokens")->items().size());
  const std::string table = output_of({"tokenize", "--tokenizer", w.tokenizer, "The cat."});
  CHECK(lines(table).size() >= ids.size() + 1);
  CHECK(lines(table)[0].starts_with("id"));
  CHECK(table.find("0..") != std::string::npos);
}

TEST_CASE("inspect lists the tensors of a file and of a folder") {
  const Workshop& w = workshop();
  const std::string file = w.model + "/encoder/model.safetensors";
  CHECK(output_of({"inspect", file}).find("embeddings.word_embeddings.weight") !=
        std::string::npos);
  const auto parts = json_lines(output_of({"inspect", "--model", w.model, "--json"}));
  CHECK(parts.size() == 4);  // encoder, latent, decoder, denoiser
  for (const auto& part : parts) {
    CHECK_FALSE(part.find("tensors")->items().empty());
  }
  CHECK(output_of({"inspect", w.model, "--json"}) ==
        output_of({"inspect", "--model", w.model, "--json"}));
}

TEST_CASE("embed prints one vector a text, of an LDLM and of a BERT") {
  const Workshop& w = workshop();
  const auto latents =
      json_lines(output_of({"embed", "--model", w.model, "The cat sat on the mat.", "A dog ran."}));
  REQUIRE(latents.size() == 2);
  CHECK(latents[0].find("values")->items().size() == 14 * 8);
  CHECK(latents[0].find("text")->as<std::string>() == "The cat sat on the mat.");

  const std::string bert = (w.folder / "bert").string();
  output_of({"pretrain", "encoder", "--corpus", w.corpus, "--tokenizer", w.tokenizer, "--config",
             w.config, "--out", bert, "--steps", "5", "--batch-size", "8"});
  const auto vectors = json_lines(output_of({"embed", "--model", bert, "The cat sat."}));
  REQUIRE(vectors.size() == 1);
  const auto config = ldlm::parse_json(read_file(fs::path(bert) / "config.json"), "config");
  CHECK(vectors[0].find("values")->items().size() ==
        static_cast<std::size_t>(config.find("hidden_size")->as<std::int64_t>()));
  check_error({"embed", "--model", w.model, ""}, {"empty"});
}

TEST_CASE("generate goes on with a prompt, of an LDLM's decoder and of a GPT-2") {
  const Workshop& w = workshop();
  const std::string gpt2 = (w.folder / "gpt2").string();
  output_of({"pretrain", "decoder", "--corpus", w.corpus, "--tokenizer", w.tokenizer, "--config",
             w.config, "--out", gpt2, "--steps", "60", "--batch-size", "14", "--learning-rate",
             "0.02", "--warmup", "5"});
  for (const std::string& model : {gpt2, w.model}) {
    const Arguments greedy{"generate", "--model", model, "--temperature", "0", "The cat"};
    const std::string text = output_of(greedy);
    CHECK(text.find("The cat") != std::string::npos);
    CHECK(output_of(greedy) == text);
    const Arguments drawn{"generate", "--model", model, "--seed", "3",       "--top-k",
                          "20",       "--top-p", "0.9", "--json", "The cat", "A dog"};
    const auto json = json_lines(output_of(drawn));
    REQUIRE(json.size() == 2);
    CHECK(json[1].find("prompt")->as<std::string>() == "A dog");
    CHECK_FALSE(json[1].find("text")->as<std::string>().empty());
    CHECK(output_of(drawn) == output_of(drawn));
  }
  CHECK_FALSE(output_of({"generate", "--model", gpt2, ""}).empty());  // from nothing
  check_error({"generate", "--model", gpt2, std::string(400, 'x')}, {"the prompt has", "tokens"});
}

TEST_CASE("demo, reconstruct and sample print tables, and JSON line by line") {
  const Workshop& w = workshop();
  const std::string demo = output_of({"demo", "--model", w.model, "The", "cat", "sat."});
  CHECK(demo.find("The cat sat.") != std::string::npos);
  CHECK(demo.find("cosine") != std::string::npos);
  CHECK(demo.find("Sampled from pure noise") != std::string::npos);
  const auto demo_json = json_lines(output_of({"demo", "--model", w.model, "--json", "A cat."}));
  REQUIRE(demo_json.size() == 1);
  CHECK(demo_json[0].find("levels")->items().size() == 4);
  CHECK(demo_json[0].find("samples")->items().size() == 5);

  const Arguments reconstruct{"reconstruct",
                              "--model",
                              w.model,
                              "--t",
                              "-1",
                              "300",
                              "--beams",
                              "1",
                              "--json",
                              "--",
                              "The cat sat on the mat.",
                              "A dog ran."};
  const auto results = json_lines(output_of(reconstruct));
  REQUIRE(results.size() == 2);
  for (const auto& result : results) {
    const auto& levels = result.find("levels")->items();
    REQUIRE(levels.size() == 2);
    CHECK(levels[0].find("mse")->as<double>() == 0.0);
    CHECK(levels[0].find("cosine")->as<double>() == doctest::Approx(1.0));
    CHECK(levels[1].find("mse")->as<double>() > 0.0);
  }
  CHECK(output_of({"sample", "--model", w.model, "--count", "3", "--steps", "5", "--quiet"}) ==
        output_of({"sample", "--model", w.model, "--count", "3", "--steps", "5"}));
  for (const std::string sampler : {"ddpm", "ddim", "dpm-solver"}) {
    const auto samples = json_lines(output_of({"sample", "--model", w.model, "--count", "3",
                                               "--steps", "5", "--sampler", sampler, "--json"}));
    CHECK(samples.size() == 3);
  }
  check_error({"reconstruct", "--model", w.model, ""}, {"empty"});
}

TEST_CASE("numbers are decimal, and the largest seed is one") {
  const Workshop& w = workshop();
  const auto sample = [&](const std::string& count, const std::string& seed) {
    return json_lines(output_of({"sample", "--model", w.model, "--count", count, "--seed", seed,
                                 "--steps", "2", "--beams", "1", "--json"}))
        .size();
  };
  CHECK(sample("010", "18446744073709551615") == 10);
  CHECK(sample("3", "08") == 3);
}

TEST_CASE("the seed decides what is drawn") {
  const Workshop& w = workshop();
  const auto draw = [&](const std::string& seed) {
    return output_of({"sample", "--model", w.model, "--count", "4", "--steps", "3", "--temperature",
                      "1", "--json", "--seed", seed});
  };
  CHECK(draw("1") == draw("1"));
  CHECK(draw("1") != draw("2"));
}

TEST_CASE("export writes the model in half the space") {
  const Workshop& w = workshop();
  const std::string out = (w.folder / "exported").string();
  output_of({"export", "--model", w.model, "--out", out});
  const auto size = [](const std::string& model) {
    return fs::file_size(model + "/encoder/model.safetensors");
  };
  CHECK(size(out) < size(w.model) * 3 / 4);
  CHECK(lines(output_of({"sample", "--model", out, "--count", "2", "--steps", "3"})).size() == 2);
}

TEST_CASE("quantize writes a smaller model and says what it loses") {
  const Workshop& w = workshop();
  const std::string plain = (w.folder / "language_model").string();
  output_of({"pretrain", "decoder", "--corpus", w.corpus, "--tokenizer", w.tokenizer, "--config",
             w.config, "--out", plain, "--steps", "20", "--batch-size", "8"});
  double bytes_before = 1e9;
  for (const std::string format : {"bf16", "int8", "int4"}) {
    const std::string out = plain + "_" + format;
    const Arguments command{"quantize", "--model", plain,    "--format", format,
                            "--out",    out,       "--file", w.corpus};
    CHECK(output_of(command).find("perplexity") != std::string::npos);
    Arguments with_json = command;
    with_json.emplace_back("--json");
    const auto json = json_lines(output_of(with_json));
    REQUIRE(json.size() == 1);
    const auto number = [&](const char* key) {
      return json[0].find(key)->get_if<double>().value();
    };
    CHECK(number("bytes") < bytes_before);
    bytes_before = number("bytes");
    CHECK(std::abs(number("perplexity") / number("perplexity_before") - 1) < 0.05);
    const Arguments generate{"generate", "a", "--max-new-tokens", "3", "--model"};
    Arguments of_out = generate;
    of_out.push_back(out);
    CHECK(lines(output_of(of_out)).size() == 1);
    check_error({"quantize", "--model", out, "--out", out + "2", "a text"}, {"quantized already"});
  }
}

TEST_CASE("eval writes its figures as tables, JSON and CSV") {
  const Workshop& w = workshop();
  const fs::path out = w.folder / "results";
  const std::string judge = (w.folder / "judge").string();
  output_of({"pretrain", "decoder", "--corpus", w.corpus, "--tokenizer", w.tokenizer, "--config",
             w.config, "--out", judge, "--steps", "5", "--batch-size", "8"});
  const Arguments command{"eval",   "--model", w.model,      "--text",  w.corpus, "--train",
                          w.corpus, "--out",   out.string(), "--judge", judge,    "--samples",
                          "3",      "--steps", "3",          "--t",     "200",    "600"};
  const std::string tables = output_of(command);
  CHECK(tables.find("median cosine") != std::string::npos);
  CHECK(tables.find("perplexity") != std::string::npos);
  CHECK(tables.find("inf") == std::string::npos);
  CHECK(tables.find("nan") == std::string::npos);
  Arguments with_json = command;
  with_json.emplace_back("--json");
  const auto json = json_lines(output_of(with_json));
  REQUIRE(json.size() == 1);
  CHECK(ldlm::to_string(json[0]) ==
        ldlm::to_string(ldlm::parse_json(read_file(out / "metrics.json"), "metrics.json")));
  CHECK(json[0].find("reconstruction")->items().size() == 2 * 5);
  CHECK(json[0].find("decoding")->items().size() == 3 * 2);
  CHECK(lines(read_file(out / "metrics.csv")).size() > 30);
  CHECK(lines(read_file(out / "cdf.csv")).size() == 1 + 2 * 5 * 101);
  // Other texts are measured beside the samples, and vectors of sentences compared.
  const fs::path others = w.folder / "others.txt";
  make_file(others, "The cat sat on the mat.\n\nA grue ate it.\nThe dog ran.\n");
  Arguments more = with_json;
  const std::string bert = (w.folder / "embedder").string();
  output_of({"pretrain", "encoder", "--corpus", w.corpus, "--tokenizer", w.tokenizer, "--config",
             w.config, "--out", bert, "--steps", "5", "--batch-size", "8"});
  more.insert(more.end(), {"--also", "others=" + others.string(), "ar@1=" + others.string(),
                           "ar@0.7=" + w.corpus, "--embedder", bert, "--temperatures", "0.5", "1"});
  const auto measured = json_lines(output_of(more));
  REQUIRE(measured.size() == 1);
  const ldlm::JsonValue& sets = *measured[0].find("samples");
  for (const char* const set : {"real", "samples", "others", "samples@0.5", "samples@1", "ar@1",
                                "no_latent", "midpoints", "samples_shuffled", "real_shuffled"}) {
    CAPTURE(set);
    const ldlm::JsonValue* const figures = sets.find(set);
    REQUIRE(figures != nullptr);
    for (const char* const figure :
         {"perplexity", "nats_a_token", "word_entropy", "pair_entropy", "distinct_1", "distinct_2",
          "distinct_3", "words", "non_words", "known_runs", "ngram_nats_a_token", "nearest",
          "mauve", "frechet_distance", "nats_above_ar", "nats_above_samples"}) {
      CAPTURE(figure);
      CHECK(figures->find(figure) != nullptr);
    }
  }
  // What else is measured changes nothing.
  for (const char* const set : {"samples", "no_latent", "midpoints", "real_shuffled"}) {
    CAPTURE(set);
    CHECK(ldlm::to_string(*sets.find(set)->find("perplexity")) ==
          ldlm::to_string(*json[0].find("samples")->find(set)->find("perplexity")));
  }
  // A frontier's own sets lie on it; of samples the nearest training sentence is told.
  for (const char* const set : {"ar@1", "ar@0.7"}) {
    const double above = sets.find(set)->find("nats_above_ar")->find("mean")->as<double>();
    CHECK(std::abs(above) < 1e-9);
  }
  // Noise of six sizes, and no latent, which saves nothing.
  const auto& worth = measured[0].find("worth")->items();
  REQUIRE(worth.size() == 7);
  CHECK(worth[3].find("bits")->as<double>() ==
        doctest::Approx(14.0 * 8 / 2 * std::log2(1.25)));  // sigma = 2
  CHECK(worth[6].find("saved")->find("mean")->as<double>() == 0.0);
  REQUIRE(sets.find("nearest_texts")->items().size() == 3);
  const double similarity = sets.find("nearest_texts")->items()[0].find("similarity")->as<double>();
  CHECK(similarity >= 0.0);
  CHECK(similarity <= 1.0);
  const auto check_refused = [&w](const Arguments& options, const std::string& message) {
    Arguments arguments{"eval", "--model", w.model, "--text", w.corpus, "--train", w.corpus};
    arguments.insert(arguments.end(), options.begin(), options.end());
    check_error(arguments, {message});
  };
  const std::string file = others.string();
  check_refused({"--samples", "1"}, "--samples: one text has no interval");
  check_refused({"--samples", "3", "--also", "others.txt"}, "--also others.txt: needs NAME=FILE");
  check_refused({"--samples", "3", "--also", "=" + file}, "needs NAME=FILE");
  check_refused({"--samples", "3", "--also", "a=" + (w.folder / "absent.txt").string()},
                "absent.txt");
  for (const char* const name : {"real", "samples", "samples_shuffled", "texts", "copied_share"}) {
    check_refused({"--samples", "3", "--also", std::string(name) + "=" + file},
                  '\'' + std::string(name) + "' is a name of eval's");
  }
  check_refused({"--samples", "3", "--also", "a,b=" + file}, "has no comma, quote");
  check_refused({"--samples", "3", "--also", "a=" + file, "a=" + file},
                "the name was given before");
  check_refused({"--samples", "3", "--also", "samples@0.7=" + file, "--temperatures", "0.7"},
                "the name was given before");
  check_refused({"--samples", "3", "--temperatures", "0.7", "0.7"}, "samples@0.7 was given before");
  for (const char* const name : {"a@", "a@x", "a@-1", "a@0", "a@1x", "@1"}) {
    check_refused({"--samples", "3", "--also", std::string(name) + "=" + file},
                  "needs a name and a temperature above 0");
  }

  if (lacks_terminals()) {
    return;
  }
  const Result shown = run(command, {.terminal = true});
  CHECK(shown.status == 0);
  CHECK(shown.err.find("\r\x1b[Kfitting the linear denoiser: 14 of 14 texts") != std::string::npos);
  CHECK(shown.out == tables);
}
