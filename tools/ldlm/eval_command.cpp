// eval: the figures of a model, as tables for people and as metrics.json, metrics.csv, cdf.csv for
// machines and plots.

#include <filesystem>
#include <map>
#include <system_error>
#include <unordered_set>

#include <ldlm/io/json.hpp>
#include <ldlm/latent_diffusion/evaluation.hpp>

#include "command.hpp"
#include "model_folder.hpp"
#include "sampling_options.hpp"
#include "sentences.hpp"

namespace ldlm::command {

namespace {

namespace fs = std::filesystem;

struct EvalArguments {
  std::string text, train, judge, out;
  std::size_t count = 500;
  std::size_t train_count = 30'000;
  std::int64_t sample_count = 200;
  bool beam = true;
  EvaluationOptions options;
  SampleArguments sampling;
};

std::string with_interval(const Estimate& e, int digits) {
  return fixed(e.mean, digits) + " ±" + fixed(e.half_width, digits);
}

JsonValue to_json(const Estimate& e) {
  return JsonValue::object({{"mean", e.mean}, {"ci95", e.half_width}, {"count", e.count}});
}

/// Sentences that the model can take, as many as asked for, evenly spread over the text.
std::vector<std::string> evaluation_texts(const Common& common, const Ldlm<float>& model,
                                          const std::string& file, std::size_t count) {
  std::vector<std::string> fitting;
  for_each_training_sentence(common, file, [&](std::string_view sentence) {
    if (model.fits(sentence)) {
      fitting.emplace_back(sentence);
    }
  });
  LDLM_CHECK(!fitting.empty(), "eval", file, ": no sentence fits the model");
  if (count == 0 || fitting.size() <= count) {
    return fitting;
  }
  std::vector<std::string> out;
  for (std::size_t i = 0; i < count; ++i) {
    out.push_back(fitting[i * fitting.size() / count]);
  }
  return out;
}

/// Everything that eval writes, filled part by part.
struct Report {
  JsonValue json = JsonValue::object();
  std::string csv = "part,t,method,metric,mean,ci95,count\n";
  std::string cdf = "t,method,share,cosine\n";

  void row(const std::string& part, std::int64_t t, const std::string& method,
           const std::string& metric, const Estimate& e) {
    csv += part + ',' + std::to_string(t) + ',' + method + ',' + metric + ',' +
           std::to_string(e.mean) + ',' + std::to_string(e.half_width) + ',' +
           std::to_string(e.count) + '\n';
  }
};

std::string report_reconstruction(const std::vector<ReconstructionResult>& results,
                                  Report& report) {
  std::vector<std::vector<std::string>> table{
      {"t", "method", "MSE", "of linear", "cosine", "median cosine"}};
  std::map<std::int64_t, double> linear;
  for (const ReconstructionResult& r : results) {
    if (r.method == "linear") {
      linear[r.t] = estimate(r.squared_errors).mean;
    }
  }
  JsonValue::Array json;
  for (const ReconstructionResult& r : results) {
    const Estimate mse = estimate(r.squared_errors);
    const Estimate cosine = estimate(r.cosines);
    const double median = quantile(r.cosines, 0.5);
    table.push_back({std::to_string(r.t), r.method, with_interval(mse, 4),
                     fixed(mse.mean / linear[r.t], 3), with_interval(cosine, 4), fixed(median, 4)});
    json.push_back(JsonValue::object({{"t", r.t},
                                      {"method", r.method},
                                      {"mse", to_json(mse)},
                                      {"mse_over_linear", mse.mean / linear[r.t]},
                                      {"cosine", to_json(cosine)},
                                      {"median_cosine", median}}));
    report.row("reconstruction", r.t, r.method, "mse", mse);
    report.row("reconstruction", r.t, r.method, "cosine", cosine);
    constexpr int points = 100;
    for (int i = 0; i <= points; ++i) {
      const double share = static_cast<double>(i) / points;
      report.cdf += std::to_string(r.t) + ',' + r.method + ',' + fixed(share, 2) + ',' +
                    std::to_string(quantile(r.cosines, share)) + '\n';
    }
  }
  report.json.set("reconstruction", json);
  return format_table(table);
}

std::string report_decoding(const std::vector<DecodingResult>& results, Report& report) {
  std::vector<std::vector<std::string>> table{
      {"t", "decoding", "token accuracy", "exact match", "BLEU-4"}};
  JsonValue::Array json;
  for (const DecodingResult& r : results) {
    const Estimate accuracy = estimate(r.token_accuracies);
    const Estimate exact = estimate(r.exact_matches);
    table.push_back({r.t < 0 ? "clean" : std::to_string(r.t), r.method, with_interval(accuracy, 4),
                     with_interval(exact, 3), fixed(r.bleu4, 4)});
    json.push_back(JsonValue::object({{"t", r.t},
                                      {"method", r.method},
                                      {"token_accuracy", to_json(accuracy)},
                                      {"exact_match", to_json(exact)},
                                      {"bleu4", r.bleu4}}));
    report.row("decoding", r.t, r.method, "token_accuracy", accuracy);
    report.row("decoding", r.t, r.method, "exact_match", exact);
    report.row("decoding", r.t, r.method, "bleu4", {r.bleu4, 0.0, accuracy.count});
  }
  report.json.set("decoding", json);
  return format_table(table);
}

/// Mean log-likelihood per token with its interval, as a table row of a perplexity.
std::vector<std::string> perplexity_row(const std::string& name, const Gpt2<float>& judge,
                                        const Ldlm<float>& model,
                                        const std::vector<std::string>& texts, Report& report,
                                        JsonValue& json) {
  const double value = perplexity(judge, model.decoder_tokenizer(), model.end_id(), texts);
  const Estimate nats =
      estimate(token_log_likelihoods(judge, model.decoder_tokenizer(), model.end_id(), texts));
  std::vector<TokenIds> ids;
  for (const std::string& text : texts) {
    const auto encoded = model.decoder_tokenizer().encode_ids(text);
    ids.emplace_back(encoded.begin(), encoded.end());
  }
  json.set(name, JsonValue::object({{"perplexity", value},
                                    {"log_likelihood", to_json(nats)},
                                    {"distinct_1", distinct_n(ids, 1)},
                                    {"distinct_2", distinct_n(ids, 2)}}));
  report.row("samples", -1, name, "perplexity", {value, 0.0, nats.count});
  report.row("samples", -1, name, "log_likelihood", nats);
  const Estimate surprise{-nats.mean, nats.half_width, nats.count};
  return {name, fixed(value, 1), with_interval(surprise, 3), fixed(distinct_n(ids, 1), 3),
          fixed(distinct_n(ids, 2), 3)};
}

std::string report_samples(const Common& common, const Ldlm<float>& model,
                           const EvalArguments& arguments, const std::vector<std::string>& real,
                           Report& report) {
  std::unordered_set<std::string> training;  // first, so that a mistake shows before the work
  for_each_training_sentence(common, arguments.train,
                             [&](std::string_view sentence) { training.emplace(sentence); });
  Generator generator = common.generator();
  SampleArguments sampling = arguments.sampling;
  sampling.count = arguments.sample_count;
  const std::vector<std::string> samples = draw_samples(model, sampling, generator);
  JsonValue json = JsonValue::object();
  std::string out;
  if (!arguments.judge.empty()) {
    auto judge = Gpt2<float>::from_pretrained(arguments.judge);
    ldlm::to(judge, common.device());
    std::vector<std::vector<std::string>> table{
        {"texts", "perplexity", "nats a token", "distinct-1", "distinct-2"}};
    const std::vector<std::string> some(
        real.begin(),
        real.begin() + static_cast<std::ptrdiff_t>(std::min(real.size(), samples.size())));
    table.push_back(perplexity_row("real", judge, model, some, report, json));
    table.push_back(perplexity_row("samples", judge, model, samples, report, json));
    table.push_back(perplexity_row("samples_shuffled", judge, model,
                                   shuffle_words(samples, generator), report, json));
    table.push_back(perplexity_row("real_shuffled", judge, model, shuffle_words(some, generator),
                                   report, json));
    out = format_table(table);
  }
  const auto copied = std::count_if(samples.begin(), samples.end(), [&](const std::string& text) {
    return training.count(text) > 0;
  });
  const double share = static_cast<double>(copied) / static_cast<double>(samples.size());
  json.set("copied_share", share);
  json.set("texts", samples);
  report.json.set("samples", json);
  return out + "copied from the training text: " + fixed(100.0 * share, 1) + "% of " +
         std::to_string(samples.size()) + '\n';
}

void evaluate(const Common& common, const EvalArguments& arguments) {
  if (!arguments.out.empty()) {  // so that a mistake shows before the work
    std::error_code error;
    fs::create_directories(arguments.out, error);
    LDLM_CHECK(!error, "eval", arguments.out, ": ", error.message());
  }
  const auto model = load_ldlm(common);
  const auto texts = evaluation_texts(common, model, arguments.text, arguments.count);
  const auto train = evaluation_texts(common, model, arguments.train, arguments.train_count);
  EvaluationOptions options = arguments.options;
  options.seed = common.seed;
  ProgressLine progress(common);

  LinearDenoiser linear(model.config().latent_length * model.config().latent_channels);
  std::size_t done = 0;
  ldlm::detail::for_each_batch(
      train, options.batch_size, [&](std::size_t, const std::vector<std::string>& batch) {
        linear.observe(model.encode(batch));
        done += batch.size();
        progress.show("fitting the linear denoiser: " + std::to_string(done) + " of " +
                      std::to_string(train.size()) + " texts");
      });
  const Tensor<float> latents = encode_all(model, texts, options.batch_size);
  Report report;
  report.json.set("model", common.model)
      .set("text", arguments.text)
      .set("texts", texts.size())
      .set("train_texts", train.size())
      .set("seed", common.seed);

  progress.show("reconstructing ...");
  std::string tables =
      report_reconstruction(evaluate_reconstruction(model, latents, linear, options), report);
  progress.show("decoding ...");
  std::vector<DecodingResult> decoded = evaluate_decoding(model, latents, texts, 1, options);
  if (arguments.beam) {
    for (auto& r : evaluate_decoding(model, latents, texts, model.config().num_beams, options)) {
      decoded.push_back(std::move(r));
    }
  }
  tables += '\n' + report_decoding(decoded, report);
  if (arguments.sample_count > 0) {
    progress.show("sampling ...");
    tables += '\n' + report_samples(common, model, arguments, texts, report);
  }
  progress.show("");

  if (!arguments.out.empty()) {
    write_json(fs::path(arguments.out) / "metrics.json", report.json);
    write_file(fs::path(arguments.out) / "metrics.csv", report.csv);
    write_file(fs::path(arguments.out) / "cdf.csv", report.cdf);
  }
  if (common.json) {
    print_json(report.json);
  } else {
    print(std::to_string(texts.size()) + " texts of " + arguments.text + ", seed " +
          std::to_string(common.seed) + ", 95% confidence intervals\n");
    print(tables);
  }
}

}  // namespace

void add_eval_command(CLI::App& app, Common& common) {
  const auto arguments = std::make_shared<EvalArguments>();
  CLI::App* const command = add_subcommand(
      app, "eval", "Measure reconstruction, decoding and sampling beside their baselines.",
      "ldlm eval --text wiki.test.raw --train wiki.train.txt --out results",
      [&app, &common, arguments] {
        if (arguments->sample_count == 0) {
          arguments->sampling.refuse_all("with --samples 0");
          refuse_without_effect(*app.get_subcommand("eval"), "--judge", "with --samples 0");
        }
        arguments->sampling.check();
        evaluate(common, *arguments);
      });
  command->add_option("--text", arguments->text, "The text to evaluate on")->required();
  command->add_option("--train", arguments->train, "The training text, for the linear baseline")
      ->required();
  command->add_option("--judge", arguments->judge,
                      "A GPT-2 folder with the decoder's tokenizer, for perplexities");
  command->add_option("--out", arguments->out, "Folder for metrics.json, metrics.csv and cdf.csv");
  command->add_option("--t", arguments->options.levels, "Noise levels, 0 to 999")
      ->check(CLI::Range(0, 999));
  command->add_option("--texts", arguments->count, "Texts to evaluate on; 0: all");
  command->add_option("--train-texts", arguments->train_count,
                      "Training texts for the linear baseline; 0: all");
  command->add_option("--samples", arguments->sample_count, "Texts to sample; 0: none")
      ->check(non_negative);
  command->add_option("--batch-size", arguments->options.batch_size, "Texts at a time")
      ->check(positive);
  command->add_flag("!--no-beam", arguments->beam, "Decode greedily only");
  arguments->sampling.add_to(*command);
}

}  // namespace ldlm::command
