// eval: the figures of a model, as tables for people and as metrics.json, metrics.csv, cdf.csv for
// machines and plots.

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <map>
#include <set>
#include <sstream>
#include <system_error>
#include <unordered_set>

#include <ldlm/io/json.hpp>
#include <ldlm/latent_diffusion/evaluation.hpp>
#include <ldlm/latent_diffusion/latent_worth.hpp>
#include <ldlm/text/hash.hpp>
#include <ldlm/text/line_reader.hpp>

#include "command.hpp"
#include "model_folder.hpp"
#include "sampling_options.hpp"
#include "sentences.hpp"
#include "text_sets.hpp"

namespace ldlm::command {

namespace {

namespace fs = std::filesystem;

struct EvalArguments {
  std::string text, train, judge, embedder, out;
  std::vector<std::string> also;
  std::vector<double> temperatures;
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

/// How texts come back, beside the bits that their latents carry through the noise at most.
std::string report_decoding(const Ldlm<float>& model, const std::vector<DecodingResult>& results,
                            Report& report) {
  std::vector<std::vector<std::string>> table{
      {"t", "bits", "decoding", "token accuracy", "exact match", "BLEU-4"}};
  JsonValue::Array json;
  for (const DecodingResult& r : results) {
    const Estimate accuracy = estimate(r.token_accuracies);
    const Estimate exact = estimate(r.exact_matches);
    JsonValue entry = JsonValue::object({{"t", r.t},
                                         {"method", r.method},
                                         {"token_accuracy", to_json(accuracy)},
                                         {"exact_match", to_json(exact)},
                                         {"bleu4", r.bleu4}});
    std::string bits;
    if (r.t >= 0 && model.config().latent != LatentKind::pooled) {
      const double alpha_bar = model.levels().alpha_bar(r.t);
      const double carried = channel_bits(r.numbers, std::sqrt((1.0 - alpha_bar) / alpha_bar));
      entry.set("bits", carried);
      bits = fixed(carried, 0);
    }
    json.push_back(entry);
    table.push_back({r.t < 0 ? "clean" : std::to_string(r.t), bits, r.method,
                     with_interval(accuracy, 4), with_interval(exact, 3), fixed(r.bleu4, 4)});
    report.row("decoding", r.t, r.method, "token_accuracy", accuracy);
    report.row("decoding", r.t, r.method, "exact_match", exact);
    report.row("decoding", r.t, r.method, "bleu4", {r.bleu4, 0.0, accuracy.count});
  }
  report.json.set("decoding", json);
  return format_table(table);
}

/// What latents under noise save the decoder, beside what another text's latent costs.
std::string report_worth(const Ldlm<float>& model, const std::vector<LatentWorth>& results,
                         Report& report) {
  std::vector<std::vector<std::string>> table{
      {"noise", "bits", "nats a text", "saved", "another's costs"}};
  const std::int64_t numbers = model.config().latent_length * model.config().latent_channels;
  const std::vector<double>& without = results.back().nats;
  const auto difference = [](const std::vector<double>& a, const std::vector<double>& b) {
    std::vector<double> out(a.size());
    std::transform(a.begin(), a.end(), b.begin(), out.begin(), std::minus<>());
    return estimate(out);
  };
  JsonValue::Array json;
  for (const LatentWorth& r : results) {
    const bool lost = std::isinf(r.sigma);
    const std::string name = lost ? "no latent" : r.sigma > 0 ? fixed(r.sigma, 2) : "clean";
    const Estimate nats = estimate(r.nats);
    const Estimate saved = difference(without, r.nats);
    const Estimate costs = difference(r.nats_of_other, without);
    JsonValue entry = JsonValue::object(
        {{"nats", to_json(nats)}, {"saved", to_json(saved)}, {"cost_of_other", to_json(costs)}});
    std::string bits;
    if (!lost && r.sigma > 0) {
      entry.set("bits", channel_bits(numbers, r.sigma));
      bits = fixed(channel_bits(numbers, r.sigma), 0);
    }
    if (!lost) {
      entry.set("noise", r.sigma);
    }
    json.push_back(std::move(entry));
    table.push_back({name, bits, with_interval(nats, 1), lost ? "" : with_interval(saved, 1),
                     lost ? "" : with_interval(costs, 1)});
    report.row("worth", -1, name, "nats_a_text", nats);
    report.row("worth", -1, name, "saved", saved);
    report.row("worth", -1, name, "cost_of_other", costs);
  }
  report.json.set("worth", json);
  return format_table(table);
}

/// Texts decoded half-way between each text's latent and the nearest other one, as samples are.
std::vector<std::string> decode_midpoints(const Ldlm<float>& model, const Tensor<float>& latents,
                                          const SampleArguments& sampling, Generator& generator) {
  const std::int64_t count = latents.size(0);
  const Tensor<float> rows = latents.reshape({count, -1});
  // |a - b|^2 = |a|^2 + |b|^2 - 2 a b
  const Tensor<float> squares = sum(square(rows), {1});
  const Tensor<float> distances =
      add(sub(squares.reshape({1, count}), mul(matmul(rows, rows.transpose(0, 1)), 2)),
          squares.reshape({count, 1}));
  // The nearest of all is the text itself.
  const Tensor<std::int64_t> two = top_k(neg(distances), 2).indices.to(cpu);
  std::vector<std::int64_t> nearest;
  for (std::int64_t i = 0; i < count; ++i) {
    nearest.push_back(two.at({i, 0}) == i ? two.at({i, 1}) : two.at({i, 0}));
  }
  const Tensor<float> others =
      index_select(latents, 0, Tensor<std::int64_t>::from_values({count}, nearest));
  const Tensor<float> midpoints = mul(add(latents, others), 0.5);
  std::vector<std::string> out;
  constexpr std::int64_t batch = 256;
  for (std::int64_t first = 0; first < count; first += batch) {
    for (std::string& text :
         decode_as_samples(model, midpoints.slice(0, first, first + batch), sampling, generator)) {
      out.push_back(std::move(text));
    }
  }
  return out;
}

std::string name_at(double temperature) {
  std::ostringstream out;
  out << "samples@" << temperature;
  return out.str();
}

/// Texts, one a line, that --also gives a name: "ar=samples.txt".
TextSet read_set(const std::string& argument) {
  const std::size_t equals = argument.find('=');
  LDLM_CHECK(equals != std::string::npos && equals > 0, "eval", "--also ", argument,
             ": needs NAME=FILE");
  TextSet out{argument.substr(0, equals), {}};
  for (const char* const taken : {"real", "samples", "samples_shuffled", "real_shuffled", "texts",
                                  "copied_share", "nearest_texts", "no_latent", "midpoints"}) {
    LDLM_CHECK(out.name != taken, "eval", "--also ", argument, ": '", taken,
               "' is a name of eval's");
  }
  LDLM_CHECK(out.name.find_first_of(",\"\n") == std::string::npos, "eval", "--also ", argument,
             ": a name has no comma, quote or end of a line");
  if (const std::size_t at = out.name.find('@'); at != std::string::npos) {
    std::istringstream temperature(out.name.substr(at + 1));
    double value = 0.0;
    LDLM_CHECK(at > 0 && temperature >> value && temperature.eof() && value > 0.0, "eval",
               "--also ", argument, ": NAME@T needs a name and a temperature above 0");
  }
  const std::string file = argument.substr(equals + 1);
  LineReader lines(file, LineReader::default_max_line, "eval");
  while (const auto line = lines.next_utf8()) {
    if (!line->empty()) {
      out.texts.emplace_back(*line);
    }
  }
  LDLM_CHECK(out.texts.size() > 1, "eval", file, ": needs two texts at least, one a line");
  return out;
}

/// The figures of the sets as a table, and for machines.
std::string report_sets(const std::vector<TextSet>& sets,
                        const std::vector<std::vector<SetFigure>>& figures, Report& report,
                        JsonValue& json) {
  std::vector<std::vector<std::string>> table{{"texts", "number"}};
  for (const SetFigure& figure : figures.front()) {
    table.front().push_back(figure.column);
  }
  for (std::size_t set = 0; set < sets.size(); ++set) {
    std::vector<std::string> row{sets[set].name, std::to_string(sets[set].texts.size())};
    JsonValue values = JsonValue::object();
    for (const SetFigure& figure : figures[set]) {
      row.push_back(figure.estimate.half_width > 0 ? with_interval(figure.estimate, figure.digits)
                                                   : fixed(figure.estimate.mean, figure.digits));
      values.set(figure.name, to_json(figure.estimate));
      report.row("samples", -1, sets[set].name, figure.name, figure.estimate);
    }
    table.push_back(std::move(row));
    json.set(sets[set].name, std::move(values));
  }
  return format_table(table);
}

std::string report_samples(const Common& common, const Ldlm<float>& model,
                           const EvalArguments& arguments, const std::vector<std::string>& real,
                           const Tensor<float>& latents, const std::vector<TextSet>& also,
                           Report& report, ProgressLine& progress) {
  constexpr std::size_t order = 5;
  TrainingText known;
  NearestText nearest;
  NgramModel ngrams(order, model.config().decoder.vocab_size, model.end_id());
  std::unordered_set<std::string> training;
  progress.show("reading the training text ...");
  for_each_training_sentence(common, arguments.train, [&](std::string_view sentence) {
    known.add(sentence);
    nearest.add(sentence);
    ngrams.add(model.decoder_tokenizer().encode_ids(sentence));
    training.emplace(sentence);
  });
  known.finish();
  ngrams.finish();
  Judges judges{.model = &model,
                .training = &known,
                .nearest = &nearest,
                .ngrams = &ngrams,
                .seed = common.seed};
  if (!arguments.judge.empty()) {
    judges.judge = Gpt2<float>::from_pretrained(arguments.judge);
    ldlm::to(*judges.judge, common.device());
  }
  if (!arguments.embedder.empty()) {
    judges.embedder = SentenceEncoder<float>::from_pretrained(arguments.embedder);
    judges.embedder->to(common.device());
  }
  // Each set has random numbers of its own, which do not change with what else is measured.
  const auto generator_of = [&common](const std::string& name) {
    return common.generator().fork(ldlm::detail::hash_bytes(name));
  };
  const auto draw = [&](double temperature, std::int64_t decode_level, Generator generator) {
    SampleArguments sampling = arguments.sampling;
    sampling.count = arguments.sample_count;
    sampling.temperature = temperature;
    sampling.decode_level = decode_level;
    std::vector<std::string> texts;
    draw_samples(model, sampling, generator, [&](const std::vector<std::string>& batch) {
      texts.insert(texts.end(), batch.begin(), batch.end());
      progress.show("sampling: " + std::to_string(texts.size()) + " of " +
                    std::to_string(arguments.sample_count));
    });
    return texts;
  };
  const std::vector<std::string> samples =
      draw(arguments.sampling.temperature, arguments.sampling.decode_level, common.generator());
  // Two halves of the held-out text, each as large as the samples if there is so much.
  std::vector<std::string> halves[2];
  for (std::size_t i = 0; i < real.size(); ++i) {
    if (halves[i % 2].size() < samples.size()) {
      halves[i % 2].push_back(real[i]);
    }
  }
  LDLM_CHECK(halves[1].size() > 1 && samples.size() > 1, "eval",
             "needs two samples and four texts, to compare them, got ", samples.size(), " and ",
             real.size());
  judges.reference = halves[1];
  std::vector<TextSet> sets{{"real", halves[0]}, {"samples", samples}};
  for (const double temperature : arguments.temperatures) {
    const std::string name = name_at(temperature);
    sets.push_back({name, draw(temperature, arguments.sampling.decode_level, generator_of(name))});
  }
  if (model.config().latent != LatentKind::pooled) {
    const double drawn = arguments.sampling.temperature > 0 ? arguments.sampling.temperature : 1.0;
    sets.push_back({"no_latent", draw(drawn, no_latent, generator_of("no_latent"))});
    const std::int64_t count = std::min(latents.size(0), arguments.sample_count);
    progress.show("decoding between latents ...");
    Generator generator = generator_of("midpoints");
    sets.push_back({"midpoints", decode_midpoints(model, latents.slice(0, 0, count),
                                                  arguments.sampling, generator)});
  }
  sets.insert(sets.end(), also.begin(), also.end());
  if (judges.judge) {
    Generator generator = generator_of("shuffled");
    sets.push_back({"samples_shuffled", shuffle_words(samples, generator)});
    sets.push_back({"real_shuffled", shuffle_words(halves[0], generator)});
  }
  const auto figures = measure_sets(
      judges, sets, [&progress](const std::string& name) { progress.show("measuring: " + name); });
  JsonValue json = JsonValue::object();
  const std::string table = report_sets(sets, figures, report, json);
  const auto copied = std::count_if(samples.begin(), samples.end(), [&](const std::string& text) {
    return training.count(text) > 0;
  });
  const double share = static_cast<double>(copied) / static_cast<double>(samples.size());
  json.set("copied_share", share);
  json.set("texts", samples);
  JsonValue::Array like;
  for (const std::string& text : samples) {
    const NearestText::Found found = nearest.find(text);
    like.push_back(JsonValue::object({{"text", found.text}, {"similarity", found.similarity}}));
  }
  json.set("nearest_texts", like);
  report.json.set("samples", json);
  return table + "copied from the training text: " + fixed(100.0 * share, 1) + "% of " +
         std::to_string(samples.size()) + '\n';
}

void evaluate(const Common& common, const EvalArguments& arguments) {
  if (!arguments.out.empty()) {  // so that a mistake shows before the work
    std::error_code error;
    fs::create_directories(arguments.out, error);
    LDLM_CHECK(!error, "eval", arguments.out, ": ", error.message());
  }
  LDLM_CHECK(arguments.sample_count != 1, "eval", "--samples: one text has no interval; 0 or more");
  std::set<std::string> names;
  for (const double temperature : arguments.temperatures) {
    LDLM_CHECK(names.insert(name_at(temperature)).second, "eval",
               "--temperatures: ", name_at(temperature), " was given before");
  }
  std::vector<TextSet> also;
  for (const std::string& argument : arguments.also) {
    also.push_back(read_set(argument));
    LDLM_CHECK(names.insert(also.back().name).second, "eval", "--also ", argument,
               ": the name was given before");
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
  std::vector<DecodingResult> decoded;
  const auto decode = [&](const Tensor<float>& z, std::int64_t beams, const std::string& note) {
    for (auto& r : evaluate_decoding(model, z, texts, beams, options)) {
      r.method += note;
      decoded.push_back(std::move(r));
    }
  };
  const bool details = model.config().details;
  const Tensor<float> whole =
      details ? encode_all(model, texts, options.batch_size, {.details = true}) : latents;
  decode(whole, 1, "");
  if (arguments.beam) {
    decode(whole, model.config().num_beams, "");
  }
  if (details) {
    decode(latents, 1, " without details");
  }
  tables += '\n' + report_decoding(model, decoded, report);
  if (model.config().latent != LatentKind::pooled && texts.size() > 1) {
    progress.show("asking what latents are worth ...");
    tables += '\n' + report_worth(model,
                                  evaluate_latent_worth(model, latents, texts,
                                                        {0.0, 0.5, 1.0, 2.0, 3.0, 5.0}, options),
                                  report);
  }
  if (arguments.sample_count > 0) {
    tables +=
        '\n' + report_samples(common, model, arguments, texts, latents, also, report, progress);
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
          for (const char* const option : {"--judge", "--embedder", "--also", "--temperatures"}) {
            refuse_without_effect(*app.get_subcommand("eval"), option, "with --samples 0");
          }
        } else {
          arguments->sampling.check();
          arguments->sampling.take_defaults(load_config(common.model).sampling);
        }
        evaluate(common, *arguments);
      });
  command->add_option("--text", arguments->text, "The text to evaluate on")->required();
  command->add_option("--train", arguments->train, "The training text, for the linear baseline")
      ->required();
  command->add_option("--judge", arguments->judge,
                      "A GPT-2 folder with the decoder's tokenizer, for perplexities");
  command->add_option("--embedder", arguments->embedder,
                      "A folder of sentence-transformers, such as MiniLM's, for MAUVE and the "
                      "Frechet distance of samples from held-out text");
  command->add_option("--also", arguments->also,
                      "NAME=FILE: further texts to measure, one a line; sets NAME@T, of several "
                      "temperatures T, are a frontier where there is a judge");
  command
      ->add_option("--temperatures", arguments->temperatures,
                   "Draw further samples, as sets samples@T, at these temperatures")
      ->check(CLI::Range(0.01, 1e6));
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
