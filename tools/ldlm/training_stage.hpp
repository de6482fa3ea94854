#pragma once
// What the training commands share: options, folders, the loop with its reports.

#include <chrono>
#include <concepts>
#include <filesystem>
#include <numeric>
#include <optional>
#include <type_traits>

#include <ldlm/files/folder_update.hpp>
#include <ldlm/io/json.hpp>
#include <ldlm/latent_diffusion/pipeline.hpp>
#include <ldlm/optim/adam.hpp>
#include <ldlm/text/tokenizer.hpp>
#include <ldlm/train/dataset.hpp>
#include <ldlm/train/trainer.hpp>

#include "command.hpp"
#include "sentences.hpp"
#include "training_log.hpp"

namespace ldlm::command {

/// Options of every training stage.
struct TrainingArguments {
  std::string corpus, valid, out, checkpoints;
  TrainOptions train;
  double learning_rate = 1e-3, weight_decay = 0.01;
  std::int64_t warmup = 100, checkpoint_every = 1000, report_every = 50;
  std::int64_t evaluate_every = 500, patience = 0;  // 0: none

  void add_to(CLI::App& command) {
    const CLI::Range rate(0.0, 10.0, "NONNEGATIVE");
    command.add_option("--corpus", corpus, corpus_help())->required();
    command.add_option("--out", out, "The folder to write the result to")->required();
    command.add_option("--checkpoints", checkpoints,
                       "The folder of the checkpoints; by default <out>.checkpoints/<stage>");
    command.add_option("--steps", train.steps, "Optimiser steps in all")->check(positive);
    command.add_option("--batch-size", train.batch_size, "Sentences a step")
        ->check(CLI::Range(1, 1'000'000, "POSITIVE"));
    command.add_option("--learning-rate", learning_rate, "Peak learning rate of AdamW")
        ->check(rate);
    command.add_option("--warmup", warmup, "Steps of linear warm-up")->check(non_negative);
    command.add_option("--weight-decay", weight_decay, "Weight decay of matrices")->check(rate);
    command.add_option("--ema", train.ema_decay, "Decay of the averaged weights; 0: none")
        ->check(CLI::Range(0.0, 0.999999));
    command.add_option("--checkpoint-every", checkpoint_every, "Steps between checkpoints")
        ->check(positive);
    command.add_option("--report-every", report_every, "Steps between reports")->check(positive);
    command.add_option("--valid", valid, "Another text, on which the loss is measured on the way");
    command.add_option("--evaluate-every", evaluate_every, "Steps between those measurements")
        ->check(positive);
    command
        .add_option("--patience", patience,
                    "End after so many measurements without a better one than before; 0: never")
        ->check(non_negative);
    command.add_flag("--keep-best", train.keep_best, "Write the weights of the best measurement");
  }
  /// Refuses what has no effect without --valid.
  void check(const CLI::App& command) const {
    if (valid.empty()) {
      for (const char* const option : {"--evaluate-every", "--patience", "--keep-best"}) {
        refuse_without_effect(command, option, "without --valid");
      }
    }
  }
  /// The options of the loop, once the command line is read.
  [[nodiscard]] TrainOptions options(const Common& common, const std::string& stage) const {
    TrainOptions out_options = train;
    out_options.seed = common.seed;
    out_options.warmup = warmup;
    out_options.checkpoint_every = checkpoint_every;
    out_options.report_every = report_every;
    if (!valid.empty()) {
      out_options.evaluate_every = evaluate_every;
    }
    if (patience > 0) {
      out_options.patience = patience;
    }
    out_options.folder = checkpoints.empty() ? std::filesystem::path(out + ".checkpoints") / stage
                                             : std::filesystem::path(checkpoints);
    std::error_code none;
    LDLM_CHECK(!std::filesystem::equivalent(out, out_options.folder, none), stage,
               "--checkpoints is the folder of --out: each needs one of its own");
    return out_options;
  }
  /// The optimiser of the parameters of a model that are trained.
  template <class Model>
  [[nodiscard]] auto optimizer(const Model& model) const {
    return ldlm::AdamW(ldlm::decay_groups(model, weight_decay),
                       {.learning_rate = learning_rate, .beta2 = 0.98});
  }
};

/// A configuration that has a name, or that of a folder.
inline LdlmConfig named_config(const std::string& name) {
  return name == "tiny"         ? LdlmConfig::tiny()
         : name == "tiny-slots" ? LdlmConfig::tiny_slots()
         : name == "published"  ? LdlmConfig::published()
                                : load_config(name);
}

/// Makes the folder that a stage will write to and holds it for this process, so that a mistake
/// shows before hours of work.
inline FolderLock prepare_output(const std::filesystem::path& folder) {
  FolderLock lock(folder);
  AtomicFile(folder / "probe").write(".");  // not committed: it is gone again
  return lock;
}

/// Offers the corpus' training sentences to add(sentence), which says whether it took them.
template <class Add>
void read_sentences(const Common& common, const std::string& corpus, std::int64_t length,
                    Add&& add) {
  const auto begin = std::chrono::steady_clock::now();
  std::int64_t sentences = 0;
  std::int64_t taken = 0;
  for_each_training_sentence(common, corpus, [&](std::string_view sentence) {
    ++sentences;
    taken += add(sentence) ? 1 : 0;
  });
  LDLM_CHECK(taken > 0, "train", corpus, ": no sentence fits ", length, " tokens");
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - begin;
  say(common, std::to_string(taken) + " of " + std::to_string(sentences) + " sentences fit " +
                  std::to_string(length) + " tokens (" + fixed(elapsed.count(), 1) + " s)");
}

/// Texts whose rows all have one length.
struct PaddedTexts {
  const Dataset& data;

  [[nodiscard]] std::int64_t size() const { return data.size(); }
  [[nodiscard]] std::vector<std::int64_t> lengths() const { return {}; }
  [[nodiscard]] std::string fingerprint() const { return data.fingerprint(); }
  [[nodiscard]] Tensor<std::int64_t> rows(const Tensor<std::int64_t>& indices) const {
    return data.rows(indices);
  }
};

/// The same for a model to which what comes after a text's end makes no difference: no batch is
/// longer than it needs to be.
struct TrimmedTexts {
  const Dataset& data;

  [[nodiscard]] std::int64_t size() const { return data.size(); }
  [[nodiscard]] const std::vector<std::int64_t>& lengths() const { return data.lengths(); }
  [[nodiscard]] std::string fingerprint() const { return data.fingerprint(); }
  [[nodiscard]] Tensor<std::int64_t> rows(const Tensor<std::int64_t>& indices) const {
    return data.trimmed_rows(row_numbers(indices));
  }
};

/// The mean loss of data, or of the first rows of much data, each time with the same randomness.
template <class Data, class Loss>
double mean_loss(const Data& data, std::int64_t batch_size, Loss&& loss) {
  const std::int64_t most = std::min<std::int64_t>(data.size(), 4096);
  Generator generator(1);
  double sum = 0.0;
  for (std::int64_t first = 0; first < most; first += batch_size) {
    std::vector<std::int64_t> rows(static_cast<std::size_t>(std::min(batch_size, most - first)));
    std::iota(rows.begin(), rows.end(), first);
    const auto count = static_cast<std::int64_t>(rows.size());
    const auto index = Tensor<std::int64_t>::from_values({count}, rows);
    sum +=
        static_cast<double>(loss(data.rows(index), generator).item()) * static_cast<double>(count);
  }
  return sum / static_cast<double>(most);
}

/// Runs a stage to its end, or to Ctrl-C, on --device, where the model then is; reports on the
/// terminal and to <folder>/log.jsonl. `loss(rows, generator)` is the loss of rows of the data,
/// whose batches are of similar length if it tells lengths, and of `valid`, if there is any; a loss
/// that changes takes the step, too, 0 for the first, and `valid` is measured by the last one's.
/// `depends_on` names what else it depends on, see TrainOptions::context. From here on Ctrl-C is
/// one that leaves a checkpoint; before, there is nothing to lose. False if interrupted.
template <class Model, class Data, class Loss>
bool run_stage(const Common& common, Model& model, const TrainingArguments& arguments,
               const std::string& stage, const Data& data,
               const std::type_identity_t<std::optional<Data>>& valid, JsonValue depends_on,
               Loss&& loss) {
  catch_interrupts();
  TrainOptions options = arguments.options(common, stage);
  depends_on.set("data", data.fingerprint());
  const std::vector<std::int64_t>& lengths = data.lengths();
  if (!lengths.empty()) {
    depends_on.set("batches", "of similar length");
  }
  if (valid && (options.patience || options.keep_best)) {
    depends_on.set("valid", valid->fingerprint());
  }
  options.context = std::move(depends_on);
  ldlm::to(model, common.device());
  Trainer trainer(model, arguments.optimizer(model), options);
  trainer.resume();
  say(common, std::to_string(ldlm::num_parameters(model)) + " parameters, " +
                  std::to_string(options.steps) + " steps" +
                  (trainer.step() > 0 ? ", resumed at " + std::to_string(trainer.step()) : ""));
  for (const std::string& change : trainer.changes()) {
    say(common, "going on from step " + std::to_string(trainer.step()) + ": " + change);
  }
  TrainingLog log(options.folder / "log.jsonl", trainer.step());
  TrainEnd end{};
  {
    ProgressLine line(common);
    const auto begin = std::chrono::steady_clock::now();
    const auto report = [&](const TrainProgress& p) {
      const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
      log.add(JsonValue::object({{"step", p.step},
                                 {"loss", p.loss},
                                 {"grad_norm", p.grad_norm},
                                 {"learning_rate", p.learning_rate},
                                 {"rows_per_second", p.rows_per_second},
                                 {"seconds", seconds.count()}}));
      const double left = static_cast<double>(p.steps - p.step) *
                          static_cast<double>(options.batch_size) / p.rows_per_second;
      line.show("step " + std::to_string(p.step) + '/' + std::to_string(p.steps) + "  loss " +
                fixed(p.loss, 4) + "  " + fixed(p.rows_per_second, 0) + " sentences/s  " +
                fixed(left / 60.0, 0) + " min left");
    };
    const auto loss_at = [&](std::int64_t step) {
      return [&loss, step](const auto& batch, Generator& generator) {
        if constexpr (std::invocable<Loss&, decltype(batch), Generator&, std::int64_t>) {
          return loss(batch, generator, step);
        } else {
          return loss(batch, generator);
        }
      };
    };
    const auto loss_of = [&](const Tensor<std::int64_t>& rows, Generator& generator) {
      return loss_at(trainer.step())(data.rows(rows), generator);
    };
    TrainHooks hooks{.report = report, .stop = interrupted};
    if (valid) {
      hooks.evaluate = [&] {
        return mean_loss(*valid, options.batch_size, loss_at(options.steps));
      };
      hooks.evaluated = [&](const Evaluation& e) {
        log.add(JsonValue::object({{"step", e.step}, {"valid_loss", e.value}}));
        say(common, "step " + std::to_string(e.step) + ": loss of " + arguments.valid + ' ' +
                        fixed(e.value, 4) + (e.is_best() ? ", the best" : ""));
      };
    }
    end = lengths.empty() ? trainer.run(data.size(), loss_of, hooks)
                          : trainer.run(lengths, loss_of, hooks);
  }
  if (end == TrainEnd::stopped && trainer.step() < options.steps) {
    say(common, "interrupted at step " + std::to_string(trainer.step()) +
                    "; run the same command to go on");
    return false;
  }
  if (end == TrainEnd::patience) {
    say(common, "ended at step " + std::to_string(trainer.step()) + ": " +
                    std::to_string(arguments.patience) + " measurements of " + arguments.valid +
                    " in a row were no better");
  }
  trainer.finish();
  if (options.keep_best) {
    say(common, "the weights are those of step " + std::to_string(trainer.best_step()));
  }
  return true;
}

/// A subcommand that is a training stage: `action` gets its options.
template <class Action>
CLI::App* add_stage(CLI::App& parent, const std::string& name, const std::string& description,
                    const std::string& example, Action action) {
  const auto arguments = std::make_shared<TrainingArguments>();
  CLI::App* const command =
      add_subcommand(parent, name, description, example, [&parent, name, arguments, action] {
        refuse_without_effect(parent, "--model", "on a training: its model is in --out");
        refuse_without_effect(parent, "--json", "on a training: its figures are in log.jsonl");
        arguments->check(*parent.get_subcommand(name));
        action(*arguments);
      });
  arguments->add_to(*command);
  return command;
}

}  // namespace ldlm::command
