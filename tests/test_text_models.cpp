// Models that count: the n-gram judge, and the nearest text of many.

#include <doctest/doctest.h>

#include <cmath>
#include <numeric>
#include <vector>

#include <ldlm/core/random.hpp>
#include <ldlm/train/nearest_text.hpp>
#include <ldlm/train/ngram_model.hpp>

#include "error_message.hpp"

using namespace ldlm;
using ldlm_test::message_of;
using Ids = std::vector<TokenId>;

namespace {

constexpr TokenId end_id = 0;

NgramModel small_model(std::size_t order) {
  NgramModel model(order, 9, end_id);
  for (const Ids& text : {Ids{1, 2, 3}, {1, 2, 4, 2, 3}, {5, 2, 3, 3}, {1, 2}, {6}}) {
    model.add(text);
  }
  model.finish();
  return model;
}

void check_probabilities(std::size_t order, const Ids& ids, const std::vector<double>& expected) {
  CAPTURE(order);
  const std::vector<double> found = small_model(order).log_probabilities(ids);
  REQUIRE(found.size() == expected.size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    CHECK(std::exp(found[i]) == doctest::Approx(expected[i]).epsilon(1e-10));
  }
}

}  // namespace

TEST_CASE("an n-gram model's probabilities are Kneser and Ney's") {
  // By a program in Python that goes by the definition, with dictionaries of tuples.
  check_probabilities(2, {1, 2, 3},
                      {0.442592592593, 0.745884773663, 0.492592592593, 0.618827160494});
  check_probabilities(3, {1, 2, 3},
                      {0.471212121212, 0.826739618406, 0.482323232323, 0.679760568649});
  check_probabilities(3, {5, 2, 4},
                      {0.071212121212, 0.480218855219, 0.059343434343, 0.162037037037});
  check_probabilities(
      4, {7, 1, 2, 4},
      {0.021212121212, 0.070987654321, 0.376262626263, 0.114898989899, 0.162037037037});
  check_probabilities(4, {}, {0.116666666667});
}

TEST_CASE("an n-gram model's probabilities of all tokens add up to 1") {
  NgramModel model(5, 40, end_id);
  Generator generator(1);
  for (int text = 0; text < 300; ++text) {
    Ids ids;
    for (std::int64_t i = generator.below(12); i > 0; --i) {
      ids.push_back(1 + generator.below(1 + generator.below(38)));
    }
    model.add(ids);
  }
  model.finish();
  for (const Ids& context : {Ids{}, {1}, {1, 1, 2}, {1, 2, 3, 4, 5, 1}, {38, 38}, {39}}) {
    double sum = 0.0;
    for (TokenId id = 0; id < 40; ++id) {
      Ids ids = context;
      ids.push_back(id);
      sum += std::exp(model.log_probabilities(ids)[context.size()]);
    }
    CHECK(sum == doctest::Approx(1.0).epsilon(1e-12));
  }
}

TEST_CASE("an n-gram model refuses what it cannot count") {
  CHECK(message_of([] { NgramModel(1, 9, 0); }) == "[NgramModel] order must lie in [2, 16], got 1");
  CHECK(message_of([] { NgramModel(5, 9, 9); }) == "[NgramModel] id 9 is none of 9");
  NgramModel model(2, 9, 0);
  CHECK(message_of([&] { model.finish(); }) ==
        "[NgramModel] needs more text: no run of 2 tokens comes just once");
  CHECK(message_of([&] { model.add(Ids{1, -1}); }) == "[NgramModel] id -1 is none of 9");
  model.add(Ids{1, 2});
  CHECK(message_of([&] { (void)model.log_probabilities(Ids{1}); }) ==
        "[NgramModel] finish() comes before the first question");
  model.finish();
  CHECK(model.log_probabilities(Ids{8}).size() == 2);
  CHECK_THROWS_AS((void)model.log_probabilities(Ids{9}), IndexError);
}

TEST_CASE("the nearest text has most words in common") {
  NearestText texts;
  CHECK(texts.find("Anything.").similarity == 0.0);
  texts.add("The cat sat on the mat.");
  texts.add("A dog sat on a log, the dog.");
  texts.add("");
  texts.add("the mat, on the cat sat");
  const auto found = texts.find("The dog sat.");
  CHECK(found.text == "A dog sat on a log, the dog.");
  CHECK(found.similarity == doctest::Approx(2.0 * 3 / (3 + 6)));
  CHECK(texts.find("On the mat sat the CAT").text == "The cat sat on the mat.");  // the first
  CHECK(texts.find("On the mat sat the CAT").similarity == 1.0);
  CHECK(texts.find("nothing like it").text.empty());
  CHECK(texts.find("").similarity == 0.0);
}
