#pragma once
// Bodies of train/train_options.hpp.

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include <ldlm/core/error.hpp>
#include <ldlm/optim/schedule.hpp>
#include <ldlm/train/train_options.hpp>

namespace ldlm {

LDLM_BODY void TrainOptions::validate() const {
  const auto check = [](const char* name, double value, double least, double most) {
    LDLM_CHECK(value >= least && value <= most, "train", name, " must lie in [", least, ", ", most,
               "], got ", value);
  };
  constexpr double most_steps = 1e9;
  check("steps", static_cast<double>(steps), 0, most_steps);
  check("batch_size", static_cast<double>(batch_size), 1, most_steps);
  check("warmup", static_cast<double>(warmup.value_or(0)), 0, most_steps);
  check("final_rate", final_rate.value_or(0), 0, 1);
  LDLM_CHECK(clip_norm >= 0 && std::isfinite(clip_norm), "train",
             "clip_norm must not be negative, got ", clip_norm);
  LDLM_CHECK(ema_decay >= 0 && ema_decay < 1, "train", "ema_decay must lie in [0, 1), got ",
             ema_decay);
  for (const auto& [name, every] : {std::pair{"checkpoint_every", checkpoint_every},
                                    {"report_every", report_every},
                                    {"evaluate_every", evaluate_every},
                                    {"patience", patience}}) {
    check(name, static_cast<double>(every.value_or(1)), 1, most_steps);
  }
  LDLM_CHECK(!schedule || (!warmup && !final_rate), "train", warmup ? "warmup" : "final_rate",
             " has no effect beside a schedule");
  LDLM_CHECK(!folder.empty() || !checkpoint_every, "train",
             "checkpoint_every has no effect without a folder");
  LDLM_CHECK(context.is_object(), "train", "context must be an object, got ", context.preview());
  LDLM_CHECK(!folder.empty() || context.members().empty(), "train",
             "context has no effect without a folder");
  LDLM_CHECK(evaluate_every || (!patience && !keep_best), "train",
             patience ? "patience" : "keep_best", " has no effect without evaluate_every");
}

LDLM_BODY void TrainHooks::validate(const TrainOptions& options) const {
  LDLM_CHECK(report || !options.report_every, "train",
             "report_every has no effect without the hook report");
  LDLM_CHECK(evaluate || !options.evaluate_every, "train",
             "evaluate_every has no effect without the hook evaluate");
  LDLM_CHECK(!evaluate || options.evaluate_every, "train",
             "the hook evaluate has no effect without evaluate_every");
  LDLM_CHECK(!evaluated || evaluate, "train",
             "the hook evaluated has no effect without the hook evaluate");
  LDLM_CHECK(!saved || !options.folder.empty(), "train",
             "the hook saved has no effect without a folder");
}

}  // namespace ldlm

namespace ldlm::detail {

/// A tenth of a short training, 100 steps of others.
inline std::int64_t usual_warmup(const TrainOptions& options) {
  return std::min<std::int64_t>(100, options.steps / 10);
}
inline constexpr double usual_final_rate = 0.05;

LDLM_BODY std::function<double(std::int64_t)> schedule_of(const TrainOptions& options) {
  if (options.schedule) {
    return options.schedule;
  }
  return WarmupCosine{options.warmup.value_or(usual_warmup(options)), options.steps,
                      options.final_rate.value_or(usual_final_rate)};
}

LDLM_BODY JsonValue to_json(const TrainOptions& options) {
  JsonValue out = JsonValue::object({{"steps", options.steps},
                                     {"batch_size", options.batch_size},
                                     {"clip_norm", options.clip_norm},
                                     {"ema_decay", options.ema_decay},
                                     {"seed", options.seed},
                                     {"context", options.context}});
  if (!options.schedule) {
    out.set("warmup", options.warmup.value_or(usual_warmup(options)));
    out.set("final_rate", options.final_rate.value_or(usual_final_rate));
  }
  if (options.keep_best) {
    out.set("keep_best", true);
  }
  return out;
}

/// A value of a checkpoint's JSON and the one here, in words.
struct ComparedValue {
  std::string there, here;

  ComparedValue(const JsonValue& checkpoint, const std::string& name, const JsonValue& value)
      : there("missing"), here(to_string(value)) {
    if (const JsonValue* const found = checkpoint.find(name)) {
      there = to_string(*found);
    }
  }
  [[nodiscard]] bool same() const { return there == here; }
};

LDLM_BODY std::vector<std::string> compare_options(const std::filesystem::path& folder,
                                                   std::int64_t step, const JsonValue& there,
                                                   const JsonValue& here) {
  const std::string file = (folder / "state.json").native();
  LDLM_CHECK(there.is_object(), "train", file, ": config must be an object, got ", there.preview());
  const auto steps = here.find("steps")->as<std::int64_t>();
  LDLM_CHECK_FILE(step <= steps, "train", folder.native(), ": is of step ", step,
                  ", beyond the last one, ", steps, ". Train for more steps, or remove it");
  const auto check_same = [&](const std::string& name, const ComparedValue& compared) {
    LDLM_CHECK_FILE(compared.same(), "train", folder.native(),
                    " was made with other options: ", name, " is ", compared.there, " there and ",
                    compared.here, " here. To begin anew, remove it");
  };
  constexpr std::array may_change{"steps", "learning_rate", "warmup", "final_rate"};
  std::vector<std::string> changes;
  for (const auto& [name, value] : here.members()) {
    const ComparedValue compared(there, name, value);
    if (compared.same() || name == "context" || name == "optimizer") {
      continue;
    }
    if (std::find(may_change.begin(), may_change.end(), name) == may_change.end()) {
      check_same(name, compared);
    }
    const JsonValue* const found = there.find(name);
    LDLM_CHECK(found == nullptr || found->get_if<double>(), "train", file, ": ", name,
               " must be a number, got ", compared.there);
    changes.push_back(name + " is " + compared.here + " now, was " + compared.there);
  }
  // Older checkpoints are AdamW's, and name some of its settings among the other options.
  JsonValue older = there;
  const JsonValue* optimizer = there.find("optimizer");
  const bool is_older = optimizer == nullptr;
  if (is_older) {
    optimizer = &older.set("name", "AdamW");
  }
  for (const auto& [name, value] : here.find("optimizer")->members()) {
    if (!is_older || older.find(name) != nullptr) {
      check_same(name == "name" ? "optimizer" : name, ComparedValue(*optimizer, name, value));
    }
  }
  return changes;
}

LDLM_BODY void compare_context(const std::filesystem::path& folder, const JsonValue& there,
                               const JsonValue& here, std::vector<std::string>& changes) {
  const JsonValue* const context = there.find("context");
  if (context == nullptr) {
    changes.emplace_back("the checkpoint does not say what data it was trained on");
    return;
  }
  for (const auto& [name, value] : here.members()) {
    const ComparedValue compared(*context, name, value);
    LDLM_CHECK_FILE(compared.same(), "train", folder.native(),
                    " was made in another context: ", name, " is ", compared.there, " there and ",
                    compared.here, " here. To begin anew, remove it");
  }
}

LDLM_BODY Evaluation BestEvaluation::update(std::int64_t at, double now) {
  if (!value || now < *value) {
    *this = {now, at, 0};
  } else {
    ++since;
  }
  return {at, now, *value, step};
}

LDLM_BODY JsonValue BestEvaluation::to_json() const {
  return value ? JsonValue::object({{"best", *value}, {"best_step", step}, {"since_best", since}})
               : JsonValue();
}

LDLM_BODY BestEvaluation BestEvaluation::from_json(const JsonValue& extra,
                                                   const std::filesystem::path& file) {
  if (extra.is_null()) {
    return {};
  }
  const auto get = [&]<class Number>(const char* name, Number least) {
    const JsonValue* const found = extra.find(name);
    const auto number = found != nullptr ? found->get_if<Number>() : std::nullopt;
    LDLM_CHECK_FILE(number && *number >= least, "train", file.native(), ": extra: ", name,
                    " must be a number, got ", found != nullptr ? found->preview() : "nothing");
    return *number;
  };
  return {get("best", std::numeric_limits<double>::lowest()), get("best_step", std::int64_t{0}),
          get("since_best", std::int64_t{0})};
}

}  // namespace ldlm::detail
