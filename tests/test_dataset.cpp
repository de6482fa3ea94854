#include <doctest/doctest.h>

#include <algorithm>
#include <limits>
#include <set>
#include <string>
#include <vector>

#include <ldlm/train/dataset.hpp>

using ldlm::BatchOrder;
using ldlm::Dataset;
using ldlm::Error;

TEST_CASE("rows are padded to one length and never cut") {
  Dataset data(4, 9);
  CHECK(data.add(std::vector<ldlm::TokenId>{1, 2}));
  CHECK(data.add(std::vector<ldlm::TokenId>{3, 4, 5, 6}));
  CHECK_FALSE(data.add(std::vector<ldlm::TokenId>{1, 2, 3, 4, 5}));
  CHECK_FALSE(data.add(std::vector<ldlm::TokenId>{}));
  CHECK_THROWS_AS((void)data.add(std::vector<ldlm::TokenId>{1, -1}), Error);
  CHECK_THROWS_AS((void)data.add(std::vector<ldlm::TokenId>{1, std::int64_t{1} << 32}), Error);
  CHECK(data.size() == 2);
  CHECK(data.rows(0, 10).to_vector() == std::vector<std::int64_t>{1, 2, 9, 9, 3, 4, 5, 6});
  CHECK(data.rows(std::vector<std::int64_t>{1}).shape() == ldlm::Shape{1, 4});
  CHECK(data.rows(2, 10).shape() == ldlm::Shape{0, 4});
  CHECK(data.lengths() == std::vector<std::int64_t>{2, 4});
  const std::vector<std::int64_t> shorter{0};
  CHECK(data.trimmed_rows(shorter).to_vector() == std::vector<std::int64_t>{1, 2, 9});
  CHECK(data.trimmed_rows(std::vector<std::int64_t>{0, 1}).shape() == ldlm::Shape{2, 4});
  CHECK_THROWS_AS((void)data.trimmed_rows(std::vector<std::int64_t>{2}), Error);
  CHECK_THROWS_AS((void)data.row(2), Error);
  CHECK_THROWS_AS(Dataset(0, 0), Error);
}

TEST_CASE("a batch's mask knows padding from tokens that are the pad id") {
  Dataset data(4, 9);
  REQUIRE(data.add(std::vector<ldlm::TokenId>{1, 9}));
  REQUIRE(data.add(std::vector<ldlm::TokenId>{9, 4, 9}));
  REQUIRE(data.add(std::vector<ldlm::TokenId>{3}));
  const ldlm::TokenBatch batch = data.batch(std::vector<std::int64_t>{1, 0});
  CHECK(batch.ids.to_vector() == std::vector<std::int64_t>{9, 4, 9, 1, 9, 9});
  CHECK(batch.lengths == std::vector<std::int64_t>{3, 2});
  CHECK(batch.mask.at({1, 1}));
  CHECK_FALSE(batch.mask.at({1, 2}));
  CHECK(data.batch(std::vector<std::int64_t>{2}).ids.shape() == ldlm::Shape{1, 1});
}

TEST_CASE("every epoch sees each row once, in an order of its own") {
  BatchOrder order(10, 4, 7);
  std::vector<std::int64_t> seen;
  for (std::int64_t step = 0; step < 5; ++step) {
    const auto batch = order.batch(step);
    CHECK(batch.size() == 4);
    seen.insert(seen.end(), batch.begin(), batch.end());
  }
  const std::vector<std::int64_t> first(seen.begin(), seen.begin() + 10);
  const std::vector<std::int64_t> second(seen.begin() + 10, seen.end());
  CHECK(std::set<std::int64_t>(first.begin(), first.end()).size() == 10);
  CHECK(std::set<std::int64_t>(second.begin(), second.end()).size() == 10);
  CHECK(first != second);
  for (const std::int64_t step : {std::int64_t{-1}, std::numeric_limits<std::int64_t>::max() / 2}) {
    CHECK_THROWS_WITH_AS((void)order.batch(step),
                         ("[BatchOrder] there is no batch " + std::to_string(step)).c_str(),
                         ldlm::IndexError);
  }
  CHECK_THROWS_WITH_AS((void)ldlm::row_numbers(0, -1),
                       "[row_numbers] count must not be negative, got -1", ldlm::ValueError);
  CHECK_THROWS_WITH_AS(BatchOrder(0, 4, 7), "[BatchOrder] needs at least one row to order, got 0",
                       ldlm::ValueError);
  CHECK_THROWS_WITH_AS(BatchOrder(3, 0, 7), "[BatchOrder] batch_size must be positive, got 0",
                       ldlm::ValueError);
}

TEST_CASE("the order depends on seed and step alone, so that it can be resumed anywhere") {
  BatchOrder straight(100, 8, 1);
  std::vector<std::vector<std::int64_t>> batches;
  for (std::int64_t step = 0; step < 40; ++step) {
    batches.push_back(straight.batch(step));
  }
  BatchOrder resumed(100, 8, 1);
  CHECK(resumed.batch(25) == batches[25]);
  CHECK(resumed.batch(3) == batches[3]);
  CHECK(BatchOrder(100, 8, 2).batch(0) != batches[0]);
  CHECK_THROWS_AS(BatchOrder(0, 1, 0), Error);
  CHECK_THROWS_AS(BatchOrder(1, 0, 0), Error);
}

TEST_CASE("batches of rows of similar length see each row once, in an order of their own") {
  std::vector<std::int64_t> lengths(1003);
  for (std::size_t i = 0; i < lengths.size(); ++i) {
    lengths[i] = static_cast<std::int64_t>(i * 7919 % 41);
  }
  constexpr std::int64_t size = 4;
  BatchOrder order(lengths, size, 7);
  std::vector<std::vector<std::int64_t>> batches;
  for (std::int64_t step = 0; step < 3 * 1003 / size; ++step) {
    batches.push_back(order.batch(step));
  }
  std::vector<std::int64_t> seen;
  std::int64_t padding = 0, first_is_longer = 0;
  for (std::size_t b = 0; b < batches.size(); ++b) {
    std::int64_t longest = 0, sum = 0;
    for (const std::int64_t row : batches[b]) {
      seen.push_back(row);
      longest = std::max(longest, lengths[static_cast<std::size_t>(row)]);
      sum += lengths[static_cast<std::size_t>(row)];
    }
    padding += longest * size - sum;
    first_is_longer += b > 0 && longest < lengths[static_cast<std::size_t>(batches[b - 1][0])];
  }
  for (const std::size_t epoch : {0U, 1U}) {
    const auto begin = seen.begin() + static_cast<std::ptrdiff_t>(1003 * epoch);
    CHECK(std::set<std::int64_t>(begin, begin + 1003).size() == 1003);
  }
  CHECK(std::vector<std::int64_t>(seen.begin(), seen.begin() + 1003) !=
        std::vector<std::int64_t>(seen.begin() + 1003, seen.begin() + 2006));
  CHECK(padding < 3 * 1003 / 2);  // in any order it is twelve tokens a row
  CHECK(first_is_longer > 250);   // short ones do not come first

  BatchOrder resumed(lengths, size, 7);
  CHECK(resumed.batch(600) == batches[600]);
  CHECK(resumed.batch(3) == batches[3]);
  CHECK_THROWS_AS(BatchOrder(std::vector<std::int64_t>{}, 1, 0), Error);
  // Fewer rows than a batch has.
  CHECK(BatchOrder(std::vector<std::int64_t>{3, 1}, 4, 0).batch(1).size() == 4);
}
