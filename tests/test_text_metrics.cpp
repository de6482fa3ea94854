#include <doctest/doctest.h>

#include <cmath>
#include <string>
#include <vector>

#include <ldlm/train/text_metrics.hpp>

#include "error_message.hpp"

using namespace ldlm;
using ldlm_test::message_of;
using Words = std::vector<std::string>;

namespace {

double mean_of(const NamedEstimates& figures, const std::string& name) {
  for (const auto& [known, estimate] : figures) {
    if (known == name) {
      return estimate.mean;
    }
  }
  FAIL("no figure ", name);
  return 0;
}

}  // namespace

TEST_CASE("words are runs of letters, digits and marks") {
  CHECK(words_of("In 1902, the \"Van-Dyke\" wasn't here.") ==
        Words{"in", "1902", "the", "van", "dyke", "wasn't", "here"});
  CHECK(words_of("\u00c9t\u00e9 caf\u00e9 e\u0301 \u2019tis rock \u2019n\u2019 roll's' U.S.") ==
        Words{"\u00e9t\u00e9", "caf\u00e9", "e\u0301", "tis", "rock", "n", "roll's", "u", "s"});
  CHECK(words_of("it\u2019s 3.5%").front() == "it's");  // both apostrophes are one
  CHECK(words_of(" -- '' ").empty());
  CHECK(words_of("a\xff"
                 "b") == Words{"a", "b"});
}

TEST_CASE("figures of texts by their words") {
  TrainingText training;
  training.add("The cat sat on the mat.");
  training.add("A dog sat on a log");
  CHECK(message_of([&] { (void)training.has_word("cat"); }) ==
        "[TrainingText] finish() comes before the first question");
  training.finish();
  CHECK(training.has_word("log"));
  CHECK(!training.has_word("the cat"));
  const Words run{"sat", "on", "the", "mat", "a"};
  CHECK(training.has_run(run, 0));
  CHECK(!training.has_run(run, 1));  // not across texts
  CHECK(message_of([&] { (void)training.has_run(run, 2); }) ==
        "[TrainingText] there are no 4 words from the one at 2 on, of 5");

  const NamedEstimates figures =
      word_figures({"The cat sat on the mat", "A grue sat on the 77 mat."}, training);
  CHECK(mean_of(figures, "words a text") == doctest::Approx(6.5));
  CHECK(mean_of(figures, "non-words") == doctest::Approx(1.0 / 12));  // 77 is a number
  CHECK(mean_of(figures, "runs in training") == doctest::Approx(3.0 / 7));
  // the 3, sat on mat 2 each, cat a grue 77 1 each
  const auto part = [](double count) { return -count / 13 * std::log(count / 13); };
  CHECK(mean_of(figures, "entropy of words") ==
        doctest::Approx(part(3) + 3 * part(2) + 4 * part(1)));
  const NamedEstimates none = word_figures({"", "..."}, training);
  for (const auto& [name, estimate] : none) {
    CHECK(estimate.mean == 0);
  }
}

TEST_CASE("the jackknife's interval of a mean is the usual one") {
  std::vector<double> values;
  for (int i = 0; i < 200; ++i) {
    values.push_back(std::sin(i * i));
  }
  const auto mean_of_chosen = [&](std::span<const std::size_t> chosen) {
    double sum = 0;
    for (const std::size_t i : chosen) {
      sum += values[i];
    }
    return std::vector<double>{sum / static_cast<double>(chosen.size())};
  };
  const Estimate usual = estimate(values);
  const Estimate all = jackknife(values.size(), {"mean"}, mean_of_chosen, 200)[0].second;
  CHECK(all.mean == doctest::Approx(usual.mean));
  CHECK(all.half_width == doctest::Approx(usual.half_width));
  const Estimate groups = jackknife(values.size(), {"mean"}, mean_of_chosen)[0].second;
  CHECK(groups.half_width == doctest::Approx(usual.half_width).epsilon(0.3));
  CHECK(message_of([&] { (void)jackknife(1, {"mean"}, mean_of_chosen); }) ==
        "[jackknife] needs two things and two groups, got 1 and 50");
}

TEST_CASE("distinct n-grams with intervals are those without") {
  std::vector<TokenIds> texts;
  for (std::int64_t i = 0; i < 60; ++i) {
    texts.push_back({i % 7, i % 5, i % 11, i % 7, 3});
  }
  texts.emplace_back();
  const NamedEstimates figures = distinct_figures(texts);
  for (std::size_t n = 1; n <= 3; ++n) {
    CHECK(figures[n - 1].first == "distinct-" + std::to_string(n));
    CHECK(figures[n - 1].second.mean == doctest::Approx(distinct_n(texts, n)));
    CHECK(figures[n - 1].second.half_width > 0);
  }
}
