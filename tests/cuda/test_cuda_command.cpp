// The ldlm command with --device cuda: what it prints is what it prints on the CPU, and trainings
// take the same course.

#include <cmath>
#include <string>
#include <vector>

#include <ldlm/io/safetensors_model.hpp>

#include "command_support.hpp"

using namespace command_test;

namespace {

Arguments on(const std::string& device, Arguments arguments) {
  arguments.insert(arguments.end(), {"--device", device});
  return arguments;
}

void check_same_output(const Arguments& arguments) {
  CAPTURE(joined(arguments));
  const std::string out = output_of(on("cuda", arguments));
  CHECK(!out.empty());
  CHECK(out == output_of(on("cpu", arguments)));
}

std::vector<double> losses_of(const fs::path& log) {
  std::vector<double> out;
  for (const ldlm::JsonValue& line : json_lines(read_file(log))) {
    out.push_back(line.find("loss")->as<double>());
  }
  return out;
}

}  // namespace

TEST_CASE("devices are listed") {
  const auto found = json_lines(output_of({"devices", "--json"}));
  REQUIRE(found.size() == 2);
  CHECK(found[1].find("name")->as<std::string>().find("compute capability") != std::string::npos);
  CHECK(found[1].find("memory")->as<double>() > 1e9);
  check_usage({"tokenize", "a text", "--device", "cuda"}, {"--device: has no effect"});
  check_usage({"devices", "--device", "gpu"}, {"--device: gpu not in {cpu,cuda}"});
}

TEST_CASE("texts of the card are the CPU's") {
  const Workshop& w = workshop();
  check_same_output({"sample", "--model", w.model, "--count", "3", "--steps", "5", "--seed", "2"});
  check_same_output({"sample", "--model", w.model, "--count", "2", "--steps", "3", "--temperature",
                     "0.9", "--seed", "2"});
  check_same_output({"generate", "--model", w.model, "The cat", "--max-new-tokens", "6"});
  check_same_output({"generate", "--model", w.model, "The cat", "--beams", "3"});
  check_same_output({"demo", "--model", w.model, "The cat sat on the mat."});
  const std::string cases = ldlm_test::data_dir() + "/golden/models/cases/";
  check_same_output({"generate", "--model", cases + "generate_other_eos", "--temperature", "0",
                     "--max-new-tokens", "12", "The river"});
}

TEST_CASE("vectors of the card are the CPU's") {
  const std::string cases = ldlm_test::data_dir() + "/golden/models/cases/";
  for (const std::string& model : {workshop().model, cases + "embed_plain", cases + "embed_cls"}) {
    CAPTURE(model);
    const auto values = [&](const std::string& device) {
      const auto found =
          json_lines(output_of(on(device, {"embed", "--model", model, "A ship came."})));
      std::vector<double> out;
      for (const ldlm::JsonValue& value : found.at(0).find("values")->items()) {
        out.push_back(value.as<double>());
      }
      return out;
    };
    const auto card = values("cuda");
    const auto host = values("cpu");
    REQUIRE(card.size() == host.size());
    for (std::size_t i = 0; i < host.size(); ++i) {
      CHECK(card[i] == doctest::Approx(host[i]).epsilon(1e-4));
    }
  }
}

TEST_CASE("every stage trains on the card as on the CPU, and its files are read anywhere") {
  const Workshop& w = workshop();
  const auto train = [&](const std::string& device) {
    const std::string out = (w.folder / device).string();
    const auto run_on = [&](Arguments arguments) {
      arguments.insert(arguments.end(), {"--device", device, "--report-every", "1", "--quiet"});
      output_of(arguments);
    };
    run_on(w.autoencoder(out, 4));
    run_on(w.stage("denoiser", out, 3));
    run_on(w.stage("joint", out, 2));
    run_on(w.stage("decoder", out, 2));
    run_on({"pretrain", "decoder", "--corpus", w.corpus, "--tokenizer", w.tokenizer, "--config",
            w.config, "--out", out + "-gpt2", "--steps", "2"});
    run_on({"pretrain", "encoder", "--corpus", w.corpus, "--tokenizer", w.tokenizer, "--config",
            w.config, "--out", out + "-bert", "--steps", "2"});
    std::vector<double> losses;
    for (const std::string stage :
         {".checkpoints/autoencoder", ".checkpoints/denoiser", ".checkpoints/joint",
          ".checkpoints/decoder", "-gpt2.checkpoints/decoder", "-bert.checkpoints/encoder"}) {
      const auto more = losses_of(fs::path(out + stage) / "log.jsonl");
      losses.insert(losses.end(), more.begin(), more.end());
    }
    return losses;
  };
  const auto host = train("cpu");
  const auto card = train("cuda");
  REQUIRE(host.size() == 15);
  REQUIRE(card.size() == host.size());
  for (std::size_t i = 0; i < host.size(); ++i) {
    CAPTURE(i);
    CHECK(card[i] == doctest::Approx(host[i]).epsilon(1e-3));
  }
  check_same_output({"sample", "--model", (w.folder / "cuda").string(), "--count", "2"});
  // A training of one device goes on on the other.
  auto more = w.autoencoder((w.folder / "cuda").string(), 5);
  more.insert(more.end(), {"--device", "cpu", "--quiet"});
  output_of(more);
}

TEST_CASE("eval and quantize measure on the card what they measure on the CPU") {
  const Workshop& w = workshop();
  const auto figures = [&](const std::string& device) {
    const auto found =
        json_lines(output_of(on(device, {"eval", "--model", w.model, "--text", w.corpus, "--train",
                                         w.corpus, "--texts", "4", "--train-texts", "14",
                                         "--samples", "0", "--no-beam", "--t", "500", "--json"})));
    std::vector<double> out;
    for (const ldlm::JsonValue& row : found.at(0).find("reconstruction")->items()) {
      out.push_back(row.find("mse")->find("mean")->as<double>());
    }
    const std::string folder = (w.folder / (device + "-int8")).string();
    const auto quantized = json_lines(
        output_of(on(device, {"quantize", "--model", w.model + "-gpt2", "--out", folder, "--format",
                              "int8", "--json", "The cat sat on the mat."})));
    out.push_back(quantized.at(0).find("perplexity")->as<double>());
    return out;
  };
  output_of({"pretrain", "decoder", "--corpus", w.corpus, "--tokenizer", w.tokenizer, "--config",
             w.config, "--out", w.model + "-gpt2", "--steps", "2", "--quiet"});
  const auto host = figures("cpu");
  const auto card = figures("cuda");
  REQUIRE(host.size() == 6);
  REQUIRE(card.size() == host.size());
  for (std::size_t i = 0; i < host.size(); ++i) {
    CHECK(card[i] == doctest::Approx(host[i]).epsilon(1e-3));
  }
}
