#pragma once
// Bodies of train/train_options.hpp.

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <optional>
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
             "clip_norm must be a finite number that is not negative, got ", clip_norm);
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
  const std::int64_t warmup = options.warmup.value_or(usual_warmup(options));
  return WarmupCosine{warmup, std::max(options.steps, warmup + 1),  // which may never be over
                      options.final_rate.value_or(usual_final_rate)};
}

LDLM_BODY JsonValue to_json(const TrainOptions& options) {
  const auto or_null = [](const std::optional<std::int64_t>& value) {
    return value ? JsonValue(*value) : JsonValue();
  };
  JsonValue out = JsonValue::object({{"steps", options.steps},
                                     {"batch_size", options.batch_size},
                                     {"clip_norm", options.clip_norm},
                                     {"ema_decay", options.ema_decay},
                                     {"seed", options.seed},
                                     {"context", options.context},
                                     {"schedule", options.schedule ? "own" : "usual"},
                                     {"evaluate_every", or_null(options.evaluate_every)},
                                     {"patience", or_null(options.patience)},
                                     {"keep_best", options.keep_best}});
  if (!options.schedule) {
    out.set("warmup", options.warmup.value_or(usual_warmup(options)));
    out.set("final_rate", options.final_rate.value_or(usual_final_rate));
  }
  return out;
}

/// A value of a checkpoint's JSON and the one here, in words.
struct ComparedValue {
  std::string there, here;

  ComparedValue(const JsonValue& checkpoint, const JsonValue& present, const std::string& name)
      : there(in_words(checkpoint.find(name))), here(in_words(present.find(name))) {}
  [[nodiscard]] bool same() const { return there == here; }

 private:
  static std::string in_words(const JsonValue* value) {
    return value != nullptr ? to_string(*value) : "missing";
  }
};

/// The names of both objects.
inline std::vector<std::string> names_of(const JsonValue& checkpoint, const JsonValue& present) {
  std::vector<std::string> names;
  for (const auto& [name, value] : present.members()) {
    names.push_back(name);
  }
  for (const auto& [name, value] : checkpoint.members()) {
    if (present.find(name) == nullptr) {
      names.push_back(name);
    }
  }
  return names;
}

/// The options of a checkpoint, with those that older ones say by leaving out others.
inline JsonValue with_implied(JsonValue options) {
  if (options.find("keep_best") == nullptr) {
    options.set("keep_best", false);
  }
  if (options.find("schedule") == nullptr) {
    options.set("schedule", options.find("warmup") != nullptr ? "usual" : "own");
  }
  return options;
}

LDLM_BODY std::vector<std::string> compare_options(const std::filesystem::path& folder,
                                                   std::int64_t step, const JsonValue& saved,
                                                   const JsonValue& here) {
  const std::string file = (folder / "state.json").native();
  LDLM_CHECK(saved.is_object(), "train", file, ": config must be an object, got ", saved.preview());
  const JsonValue there = with_implied(saved);
  const auto steps = here.find("steps")->as<std::int64_t>();
  LDLM_CHECK_FILE(step <= steps, "train", folder.native(), ": is of step ", step,
                  ", beyond the last one, ", steps, ". Train for more steps, or remove it");
  const auto check_same = [&](const std::string& name, const ComparedValue& compared) {
    LDLM_CHECK_FILE(compared.same(), "train", folder.native(),
                    " was made with other options: ", name, " is ", compared.there, " there and ",
                    compared.here, " here. To begin anew, remove it");
  };
  constexpr std::array may_change{"steps",      "learning_rate",  "schedule", "warmup",
                                  "final_rate", "evaluate_every", "patience"};
  std::vector<std::string> changes;
  for (const auto& [name, value] : here.members()) {
    const ComparedValue compared(there, here, name);
    if (compared.same() || name == "context" || name == "optimizer") {
      continue;
    }
    if (std::find(may_change.begin(), may_change.end(), name) == may_change.end()) {
      check_same(name, compared);
    }
    const JsonValue* const found = there.find(name);
    if (found == nullptr) {  // not known of an older checkpoint, or said by another schedule
      continue;
    }
    const bool number = name != "schedule";
    LDLM_CHECK(number ? found->is_null() || found->get_if<double>() : found->is_string(), "train",
               file, ": ", name, " must be a ", number ? "number" : "string", ", got ",
               compared.there);
    changes.push_back(name + " is " + compared.here + " now, was " + compared.there);
  }
  // Older checkpoints are AdamW's, and name some of its settings among the other options.
  JsonValue older = there;
  const JsonValue* optimizer = there.find("optimizer");
  const bool is_older = optimizer == nullptr;
  if (is_older) {
    optimizer = &older.set("name", "AdamW");
  }
  LDLM_CHECK(optimizer->is_object(), "train", file, ": optimizer must be an object, got ",
             optimizer->preview());
  const JsonValue& settings = *here.find("optimizer");
  for (const std::string& name : names_of(*optimizer, settings)) {
    if (!is_older || (older.find(name) != nullptr && settings.find(name) != nullptr)) {
      check_same(name == "name" ? "optimizer" : name, ComparedValue(*optimizer, settings, name));
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
  LDLM_CHECK(context->is_object(), "train", (folder / "state.json").native(),
             ": context must be an object, got ", context->preview());
  for (const std::string& name : names_of(*context, here)) {
    const ComparedValue compared(*context, here, name);
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
