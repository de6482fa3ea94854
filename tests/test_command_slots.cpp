// Models with slots from the command line, and the narrower text that they begin with.

#include "command_support.hpp"

using namespace command_test;

namespace {

/// A folder of the workshop's shapes, with three slots.
std::string slots_config(const Workshop& w) {
  const std::string folder = (w.folder / "slots-config").string();
  Workshop::write_config(folder, 16);
  const auto change = [&folder](const char* file, const std::string& key, const auto& value) {
    const std::string path = folder + "/" + file;
    ldlm::JsonValue json = ldlm::parse_json(read_file(path), path);
    json.set(key, value);
    make_file(path, ldlm::to_string(json));
  };
  change("ldlm.json", "latent", "slots");
  change("ldlm.json", "latent_length", 3);
  change("denoiser/config.json", "length", 3);
  change("encoder/config.json", "max_position_embeddings", 17);
  return folder;
}

}  // namespace

TEST_CASE("sentences of common words are selected") {
  const Workshop& w = workshop();
  const std::string corpus = (w.folder / "select.txt").string();
  make_file(corpus,
            "The river rises in the north.\nThe river is Long, the north's river is.\n"
            "The river has 3,000 unusual fish.\nThe river is 3,000 feet in the north.\n"
            "It is the river in the north.\nno sentence at all\n");
  const std::string out = (w.folder / "selected.txt").string();
  const auto select = [&](const Arguments& more) {
    return with({"select-sentences", "--corpus", corpus, "--out", out}, more);
  };
  // the 9, river 6, is 4, in 3, north 3; then "feet", which comes once as others do.
  Result result = run(select({"--common-words", "6"}));
  CHECK(result.status == 0);
  CHECK(result.err.find(out + ": 1 of 5 sentences have only the 6 commonest words") !=
        std::string::npos);
  CHECK(read_file(out) == "The river is 3,000 feet in the north.\n");
  result = run(select({"--common-words", "5"}));
  CHECK(result.status == 1);
  CHECK(result.err.find("no sentence has only the 5 commonest words") != std::string::npos);
  // The words of another corpus.
  const std::string words = (w.folder / "words.txt").string();
  make_file(words, "The river rises in the north.\nIt is the north in it.\n");
  result = run(select({"--words-of", words}));
  CHECK(result.status == 0);
  CHECK(result.err.find(out + ": 2 of 5 sentences have only the 7 commonest words") !=
        std::string::npos);
  CHECK(read_file(out) == "The river rises in the north.\nIt is the river in the north.\n");
  output_of(select({}));
  CHECK(lines(read_file(out)).size() == 5);

  check_error(with({"select-sentences", "--corpus", corpus, "--out", corpus}, {}),
              {"--out is a file that is read"});
  check_error(select({"--words-of", out}), {"--out is a file that is read"});
  check_usage(select({"--common-words", "0"}), {"--common-words"});
  CHECK(lines(read_file(out)).size() == 5);
}

TEST_CASE("a model with slots trains from a decoder that can write, and samples") {
  const Workshop& w = workshop();
  const std::string config = slots_config(w);
  const std::string writer = (w.folder / "writer").string();
  output_of({"pretrain", "decoder", "--corpus", w.corpus, "--tokenizer", w.tokenizer, "--config",
             config, "--out", writer, "--steps", "20", "--batch-size", "8"});
  const std::string out = (w.folder / "slots").string();
  Arguments autoencoder =
      with(w.stage("autoencoder", out, 20), {"--tokenizer", w.tokenizer, "--config", config});
  autoencoder = with(autoencoder, {"--decoder", writer, "--mild-noise", "0.5", "--strong-noise",
                                   "6", "--clean-rows", "0.1", "--wild-rows", "0.7"});
  const Arguments warmed = with(autoencoder, {"--dropped-rows", "0.1", "--noise-warmup", "15"});
  output_of(warmed);
  CHECK(read_file(out + "/ldlm.json").find("\"slots\"") != std::string::npos);
  // Another share of dropped rows is another training.
  check_error(with(autoencoder, {"--dropped-rows", "0.2", "--noise-warmup", "15"}),
              {"dropped_rows"});
  check_error(with(autoencoder, {"--dropped-rows", "0.1", "--noise-warmup", "5"}),
              {"noise_warmup"});
  check_error(with(autoencoder, {"--dropped-rows", "0.1"}), {"noise_warmup"});
  check_error(with(w.stage("autoencoder", out + "2", 2),
                   {"--tokenizer", w.tokenizer, "--config", config, "--clean-rows", "0.5",
                    "--wild-rows", "0.4", "--dropped-rows", "0.2"}),
              {"must add up to 1 at most"});
  check_usage(with(autoencoder, {"--noise-warmup", "-1"}), {"--noise-warmup"});

  // Cached latents are the same latents.
  const Arguments denoiser =
      with(w.stage("denoiser", out, 20), {"--self-conditioning", "0.9", "--ema", "0.9"});
  output_of(denoiser);
  const std::string weights = read_file(out + "/denoiser/model.safetensors");
  fs::remove_all(out + ".checkpoints/denoiser");
  output_of(with(denoiser, {"--cache-latents"}));
  CHECK(lines(output_of({"sample", "--model", out, "--count", "3"})).size() == 3);
  CHECK(read_file(out + "/denoiser/model.safetensors").size() == weights.size());
  fs::remove_all(out + ".checkpoints/denoiser");
  output_of(with(w.stage("denoiser", out, 20), {"--ema", "0.9"}));
  CHECK(read_file(out + "/denoiser/model.safetensors") != weights);
  output_of(w.stage("decoder", out, 5));
  output_of(w.stage("joint", out, 5));

  // The decoder alone: nothing is denoised, whatever the steps would be.
  const Arguments alone{"sample", "--model",       out, "--count", "4", "--decode-level",
                        "1000",   "--temperature", "1", "--seed",  "3"};
  CHECK(lines(output_of(alone)).size() == 4);
  check_usage(with(alone, {"--steps", "5"}), {"--steps", "--decode-level 1000"});
  CHECK(output_of({"reconstruct", "--model", out, "The river rises."}).find("clean") !=
        std::string::npos);
}

TEST_CASE("a model with details restores texts by them, and is sampled without") {
  const Workshop& w = workshop();
  const std::string config = slots_config(w);
  const std::string plain = (w.folder / "plain").string();
  output_of(
      with(w.stage("autoencoder", plain, 3), {"--tokenizer", w.tokenizer, "--config", config}));
  check_usage({"reconstruct", "--model", plain, "--no-details", "The river."},
              {"--no-details", "without details"});
  check_error(with(w.stage("autoencoder", plain + "2", 3),
                   {"--tokenizer", w.tokenizer, "--config", config, "--detail-batches", "0.5"}),
              {"--detail-batches has no effect", "no details"});

  const auto change = [&config](const char* file, const std::string& key, const auto& value) {
    const std::string path = config + "/" + file;
    ldlm::JsonValue json = ldlm::parse_json(read_file(path), path);
    json.set(key, value);
    make_file(path, ldlm::to_string(json));
  };
  change("ldlm.json", "details", true);
  const std::string out = (w.folder / "details").string();
  const Arguments autoencoder =
      with(w.stage("autoencoder", out, 20), {"--tokenizer", w.tokenizer, "--config", config});
  change("decoder/config.json", "n_positions", 30);
  check_error(autoencoder, {"the decoder has 30 positions", "as many details as tokens"});
  change("decoder/config.json", "n_positions", 31);
  output_of(autoencoder);
  CHECK(read_file(out + "/ldlm.json").find("\"details\": true") != std::string::npos);
  CHECK(fs::exists(out + "/details/model.safetensors"));
  check_error(with(autoencoder, {"--detail-batches", "0.9"}), {"detail_batches"});
  output_of(w.stage("denoiser", out, 5));
  const std::string details = read_file(out + "/details/model.safetensors");
  output_of(with(w.stage("decoder", out, 5), {"--detail-batches", "0.5"}));
  CHECK(read_file(out + "/details/model.safetensors") != details);
  check_error(w.stage("joint", out, 5), {"would lose them"});

  CHECK(lines(output_of({"sample", "--model", out, "--count", "3"})).size() == 3);
  const Arguments reconstruct{"reconstruct", "--model", out, "--json", "The river rises."};
  CHECK(output_of(reconstruct) != output_of(with(reconstruct, {"--no-details"})));
  CHECK(output_of({"demo", "--model", out, "The river rises."}).find("14 x 8 of details") !=
        std::string::npos);
  const ldlm::JsonReader report = ldlm::JsonReader::parse(
      output_of({"eval", "--model", out, "--json", "--text", w.corpus, "--train", w.corpus,
                 "--texts", "4", "--samples", "0", "--t", "500"}));
  std::vector<std::string> methods;
  std::vector<double> bits;
  for (const ldlm::JsonReader& row : report.at("decoding").items()) {
    methods.push_back(row.get<std::string>("method"));
    if (row.get<std::int64_t>("t") == 500) {
      bits.push_back(row.get<double>("bits"));
    }
  }
  CHECK(methods == std::vector<std::string>{"greedy", "greedy", "beam", "beam",
                                            "greedy without details", "greedy without details"});
  REQUIRE(bits.size() == 3);
  CHECK(bits[0] / bits[2] == doctest::Approx((3.0 + 14.0) / 3.0));
}

TEST_CASE("levels by the slope of the loss go on after an interruption as without it") {
  const Workshop& w = workshop();
  const auto stage = [&](const std::string& out) {
    return with(w.stage("denoiser", out, 300), {"--levels", "slope", "--cache-latents",
                                                "--checkpoint-every", "50", "--report-every", "1"});
  };
  const auto model = [&](const std::string& name) {
    const fs::path out = w.folder / name;
    fs::copy(w.model, out, fs::copy_options::recursive);
    return out.string();
  };
  const std::string out = model("slope");
  const fs::path checkpoints = out + ".checkpoints/denoiser";
  Process process(stage(out));
  while (process.running() && checkpoints_in(checkpoints).empty()) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  process.send(SIGTERM);
  CHECK(process.wait().status == 128 + SIGTERM);
  REQUIRE(checkpoints_in(checkpoints).back() < "step-00000300");
  check_error(w.stage("denoiser", out, 300), {"loss_curve"});  // the schedule's: another training
  output_of(stage(out));
  const std::string undisturbed = model("slope-undisturbed");
  output_of(stage(undisturbed));
  CHECK(same_weights(out, undisturbed));
  CHECK(same_weights(checkpoints, undisturbed + ".checkpoints/denoiser"));
  CHECK(lines(output_of({"sample", "--model", out, "--count", "2"})).size() == 2);
  const std::string plain = model("schedule");
  output_of(w.stage("denoiser", plain, 300));
  CHECK_FALSE(same_weights(plain, out));

  check_usage(with(w.stage("denoiser", out, 3), {"--levels", "even"}), {"--levels"});
  const std::string of_noise = model("of-noise");
  ldlm::JsonValue config = ldlm::parse_json(read_file(of_noise + "/ldlm.json"), of_noise);
  config.set("prediction", std::string("epsilon"));
  make_file(of_noise + "/ldlm.json", ldlm::to_string(config));
  check_error(stage(of_noise), {"--levels slope needs a denoiser that predicts x0"});
}
