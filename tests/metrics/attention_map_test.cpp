#include "polariscope/metrics/attention_map.h"

#include "maps.h"

#include <numeric>

namespace polariscope::testing {
namespace {

std::vector<double> counting(std::size_t size) {
  std::vector<double> values(size);
  std::iota(values.begin(), values.end(), 0.0);
  return values;
}

using Row = std::vector<double>;

Row row_of(const metrics::AttentionMap<double>& map, std::int64_t sample, std::int64_t head, std::int64_t query) {
  const auto row = map.row(sample, head, query);
  return {row.begin(), row.end()};
}

TEST(AttentionMap, RowsAreFoundInRowMajorOrder) {
  const auto values = counting(2 * 3 * 2 * 4);
  const metrics::AttentionMap<double> map{.values = values, .samples = 2, .heads = 3, .queries = 2, .keys = 4};
  EXPECT_EQ(row_of(map, 0, 0, 0), (Row{0, 1, 2, 3}));
  EXPECT_EQ(row_of(map, 1, 2, 1), (Row{44, 45, 46, 47}));  // ((1·3 + 2)·2 + 1)·4
}

TEST(AttentionMap, ACausalRowSeesItsOwnKeyAndEarlierOnes) {
  const auto values = counting(9);
  const metrics::AttentionMap<double> map{
      .values = values, .samples = 1, .heads = 1, .queries = 3, .keys = 3, .causal = true};
  EXPECT_EQ(row_of(map, 0, 0, 0), (Row{0}));
  EXPECT_EQ(row_of(map, 0, 0, 2), (Row{6, 7, 8}));
}

TEST(AttentionMap, CausalQueriesStandBesideTheLastKeys) {
  const auto values = counting(8);
  const metrics::AttentionMap<double> few{
      .values = values, .samples = 1, .heads = 1, .queries = 2, .keys = 4, .causal = true};
  EXPECT_EQ(row_of(few, 0, 0, 0), (Row{0, 1, 2}));
  EXPECT_EQ(row_of(few, 0, 0, 1), (Row{4, 5, 6, 7}));
  const metrics::AttentionMap<double> many{
      .values = values, .samples = 1, .heads = 1, .queries = 4, .keys = 2, .causal = true};
  EXPECT_EQ(row_of(many, 0, 0, 1), (Row{}));  // before the first key
  EXPECT_EQ(row_of(many, 0, 0, 2), (Row{4}));
}

TEST(AttentionMap, PaddingIsNeitherQueryNorKey) {
  const auto values = counting(2 * 3 * 3);
  const std::vector<std::int64_t> lengths{3, 2};
  const metrics::AttentionMap<double> map{
      .values = values, .samples = 2, .heads = 1, .queries = 3, .keys = 3, .lengths = lengths};
  EXPECT_EQ(row_of(map, 0, 0, 2), (Row{6, 7, 8}));
  EXPECT_EQ(row_of(map, 1, 0, 1), (Row{12, 13}));
  EXPECT_EQ(row_of(map, 1, 0, 2), (Row{}));
}

TEST(AttentionMap, RefusesShapesAndLengthsThatDoNotFit) {
  const auto values = counting(8);
  metrics::AttentionMap<double> map{.values = values, .samples = 1, .heads = 2, .queries = 2, .keys = 2};
  metrics::validate(map);
  map.keys = 3;
  EXPECT_EQ(complaint_of([&] { metrics::validate(map); }),
            "attention map: 8 numbers are no [1, 2, 2, 3] of samples, heads, queries and keys");
  map = {.values = values, .samples = -1, .heads = -2, .queries = 2, .keys = 2};
  EXPECT_NE(complaint_of([&] { metrics::validate(map); }), "");
  const std::vector<std::int64_t> two{2, 2}, long_one{3};
  map = {.values = values, .samples = 1, .heads = 2, .queries = 2, .keys = 2, .lengths = two};
  EXPECT_EQ(complaint_of([&] { metrics::validate(map); }), "attention map: 2 lengths for 1 samples");
  map.lengths = long_one;
  EXPECT_EQ(complaint_of([&] { metrics::validate(map); }),
            "attention map: a length of 3: it must be from 0 to the 2 keys");
}

TEST(AttentionMap, SelfAttentionHasAsManyQueriesAsKeys) {
  const auto values = counting(8);
  EXPECT_EQ(complaint_of([&] { metrics::validate_self_attention(rows_of(values, 4), "a metric"); }),
            "a metric: 2 queries and 4 keys: it is of attention among the same tokens");
}

}  // namespace
}  // namespace polariscope::testing
