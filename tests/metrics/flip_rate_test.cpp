#include "polariscope/metrics/flip_rate.h"

#include "maps.h"

#include <algorithm>
#include <map>
#include <set>

namespace polariscope::testing {
namespace {

using Tokens = std::vector<std::int64_t>;
constexpr std::int64_t kLength = 4;  // three of content and CLS = 0

// Two samples of each of two labels: tokens below 10 are label 0's, the others label 1's. The first token of content in
// every sample has 7 or 17.
const Tokens kTokens{7, 2, 3, 0, 7, 5, 6, 0, 17, 12, 13, 0, 17, 15, 16, 0};
const Tokens kLabels{0, 0, 1, 1};

// One query, CLS; each sample attends by `row`.
std::vector<double> attention_by(const std::vector<double>& row) {
  std::vector<double> values;
  for (std::size_t i = 0; i < kLabels.size(); ++i) values.insert(values.end(), row.begin(), row.end());
  return values;
}

metrics::AttentionMap<double> heads_of(const std::vector<double>& values, std::int64_t heads = 1) {
  return {.values = values, .samples = 4, .heads = heads, .queries = 1, .keys = kLength};
}

std::int64_t label_of(std::int64_t token) { return token < 10 ? 0 : 1; }

Tokens labels_of(std::span<const std::int64_t> tokens, const std::function<std::int64_t(const Tokens&)>& label) {
  Tokens labels;
  for (std::size_t i = 0; i < tokens.size(); i += kLength) {
    labels.push_back(label(Tokens(tokens.begin() + i, tokens.begin() + i + kLength - 1)));
  }
  return labels;
}

// A model that follows 7 and 17 wherever they stand, and one that follows the majority.
Tokens follow_seven(std::span<const std::int64_t> tokens) {
  return labels_of(tokens, [](const Tokens& content) {
    for (const std::int64_t token : content) {
      if (token % 10 == 7) return label_of(token);
    }
    return std::int64_t{-1};
  });
}
Tokens follow_majority(std::span<const std::int64_t> tokens) {
  return labels_of(tokens, [](const Tokens& content) {
    return std::count_if(content.begin(), content.end(), label_of) >= 2 ? std::int64_t{1} : 0;
  });
}

std::vector<metrics::Mean> rates_of(const metrics::AttentionMap<double>& attention, const Tokens& labels,
                                    const metrics::PredictLabels& predict,
                                    const metrics::FlipRateOptions& options = {}) {
  return metrics::flip_rate(attention, kTokens, labels, metrics::draw_flip_pairs(labels, options), predict);
}

double rate_of(const std::vector<double>& row, const metrics::PredictLabels& predict) {
  const auto values = attention_by(row);
  return rates_of(heads_of(values), kLabels, predict).front().value();
}

TEST(FlipRate, IsOneForAModelThatFollowsTheFirstTokenAndZeroForOneThatFollowsTheRest) {
  // CLS attends to 7 and 17 most: they move, and with them the answer of the first model alone.
  EXPECT_EQ(rate_of({0.6, 0.3, 0.1, 0}, follow_seven), 1.0);
  EXPECT_EQ(rate_of({0.6, 0.3, 0.1, 0}, follow_majority), 0.0);
}

TEST(FlipRate, IsOfTheTokenThatClsAttendsTo) {
  // Another token moves: 7 and 17 stay, with the label of the rest.
  EXPECT_EQ(rate_of({0.1, 0.6, 0.3, 0}, follow_seven), 0.0);
}

TEST(FlipRate, RanksEqualAttentionByPositionAndNeverClsItself) {
  EXPECT_EQ(rate_of({0.1, 0.1, 0.1, 0.7}, follow_seven), 1.0);
}

TEST(FlipRate, RanksSignedAttentionByItsValue) { EXPECT_EQ(rate_of({0.1, -0.9, 0.0, 0}, follow_seven), 1.0); }

TEST(FlipRate, MovesOneTokenBothWaysShufflesAndKeepsClsLast) {
  const auto values = attention_by({0.6, 0.3, 0.1, 0});
  Tokens seen;
  const auto watch = [&](std::span<const std::int64_t> tokens) {
    seen.assign(tokens.begin(), tokens.end());
    return follow_seven(tokens);
  };
  const metrics::Mean rate = rates_of(heads_of(values), kLabels, watch, {.pairs = 500, .seed = 3}).front();
  EXPECT_EQ(rate.count(), 1000);
  ASSERT_EQ(seen.size(), 1000U * kLength);
  std::map<std::size_t, int> places;  // where the moved token came to stand
  for (std::size_t i = 0; i < seen.size(); i += 2 * kLength) {
    int moved[2];
    for (const std::size_t way : {0, 1}) {
      const Tokens trial(seen.begin() + i + way * kLength, seen.begin() + i + (way + 1) * kLength);
      EXPECT_EQ(trial.back(), 0);
      const auto is_seven = [](std::int64_t token) { return token % 10 == 7; };
      const auto first = std::find_if(trial.begin(), trial.end(), is_seven);
      moved[way] = static_cast<int>(label_of(*first));
      ++places[static_cast<std::size_t>(first - trial.begin())];
      Tokens rest;
      std::copy_if(trial.begin(), trial.end() - 1, std::back_inserter(rest),
                   [&](auto token) { return !is_seven(token); });
      std::sort(rest.begin(), rest.end());
      const std::set<Tokens> pairs =
          moved[way] == 1 ? std::set<Tokens>{{2, 3}, {5, 6}} : std::set<Tokens>{{12, 13}, {15, 16}};
      EXPECT_TRUE(pairs.contains(rest));
    }
    EXPECT_NE(moved[0], moved[1]);
  }
  // Each of three places a third of 1000 times, within five standard deviations.
  for (const std::size_t place : {0, 1, 2})
    EXPECT_NEAR(places[place], 1000.0 / 3.0, 5.0 * std::sqrt(1000.0 * 2.0 / 9.0));
}

TEST(FlipRate, IsPerHeadWithTheSamePairsAndShuffles) {
  std::vector<double> values;
  for (std::size_t i = 0; i < kLabels.size(); ++i) {
    for (const double weight : {0.6, 0.3, 0.1, 0.0, 0.1, 0.6, 0.3, 0.0, 6.0, 3.0, 1.0, 0.0}) values.push_back(weight);
  }
  std::vector<Tokens> trials;
  const auto watch = [&](std::span<const std::int64_t> tokens) {
    trials.emplace_back(tokens.begin(), tokens.end());
    return follow_seven(tokens);
  };
  const std::vector<metrics::Mean> rates = rates_of(heads_of(values, 3), kLabels, watch);
  ASSERT_EQ(rates.size(), 3U);
  EXPECT_EQ(rates[0].value(), 1.0);
  EXPECT_EQ(rates[1].value(), 0.0);
  EXPECT_EQ(trials[0], trials[2]);  // the same ranking
}

TEST(FlipRate, DependsOnItsSeedAlone) {
  const auto values = attention_by({0.6, 0.3, 0.1, 0});
  const auto trials = [&](std::uint64_t seed) {
    Tokens seen;
    rates_of(heads_of(values), kLabels,
             [&](std::span<const std::int64_t> tokens) {
               seen.assign(tokens.begin(), tokens.end());
               return follow_seven(tokens);
             },
             {.pairs = 20, .seed = seed});
    return seen;
  };
  EXPECT_EQ(trials(1), trials(1));
  EXPECT_NE(trials(1), trials(2));
}

TEST(FlipRate, ReadsTheLastQueryOfAWholeMap) {
  std::vector<double> values;
  for (std::size_t i = 0; i < kLabels.size(); ++i) {
    for (int query = 0; query < 3; ++query) values.insert(values.end(), {kNaN, 0.0, 1.0, 0.0});
    values.insert(values.end(), {0.6, 0.3, 0.1, 0.0});
  }
  const metrics::AttentionMap<double> map{.values = values, .samples = 4, .heads = 1, .queries = 4, .keys = kLength};
  EXPECT_EQ(rates_of(map, kLabels, follow_seven).front().value(), 1.0);
}

TEST(FlipRate, NeedsNoSampleThatIsInNoPair) {
  const auto values = attention_by({0.6, 0.3, 0.1, 0});
  std::vector<metrics::FlipPair> pairs = metrics::draw_flip_pairs(kLabels, {.pairs = 1});
  const auto trials_of = [&](const metrics::AttentionMap<double>& map, const Tokens& tokens, const Tokens& labels) {
    Tokens seen;
    const auto watch = [&](std::span<const std::int64_t> trials) {
      seen.assign(trials.begin(), trials.end());
      return follow_seven(trials);
    };
    metrics::flip_rate(map, tokens, labels, pairs, watch);
    return seen;
  };
  const Tokens expected = trials_of(heads_of(values), kTokens, kLabels);
  // A sample in no pair is taken out; those behind it move up.
  std::set<std::size_t> drawn;
  for (const metrics::FlipPair& pair : pairs) drawn.insert({pair.first, pair.second});
  ASSERT_LT(drawn.size(), kLabels.size());
  Tokens tokens, labels;
  std::map<std::size_t, std::size_t> place;
  for (const std::size_t sample : drawn) {
    place[sample] = labels.size();
    tokens.insert(tokens.end(), kTokens.begin() + sample * kLength, kTokens.begin() + (sample + 1) * kLength);
    labels.push_back(kLabels[sample]);
  }
  for (metrics::FlipPair& pair : pairs) pair = {place.at(pair.first), place.at(pair.second), pair.random};
  metrics::AttentionMap<double> few = heads_of(values);
  few.samples = static_cast<std::int64_t>(labels.size());
  few.values = few.values.first(labels.size() * kLength);
  EXPECT_EQ(trials_of(few, tokens, labels), expected);
}

TEST(FlipRate, LeavesOutPairsWithAttentionThatIsNotFinite) {
  auto values = attention_by({0.6, 0.3, 0.1, 0});
  values[1] = kNaN;
  const metrics::Mean some = rates_of(heads_of(values), kLabels, follow_seven).front();
  EXPECT_GT(some.left_out(), 0);
  EXPECT_EQ(some.count() + some.left_out(), 1000);
  EXPECT_EQ(some.value(), 1.0);
  std::fill(values.begin(), values.end(), kNaN);
  const auto never = [](std::span<const std::int64_t>) -> Tokens { throw std::logic_error("was asked"); };
  EXPECT_EQ(rates_of(heads_of(values), kLabels, never).front().count(), 0);
}

TEST(FlipRate, RefusesWhatDoesNotFit) {
  const auto values = attention_by({0.6, 0.3, 0.1, 0});
  const auto map = heads_of(values);
  const auto complaint = [](const metrics::AttentionMap<double>& attention, const Tokens& tokens, const Tokens& labels,
                            const metrics::PredictLabels& predict, int pairs = 500) {
    return complaint_of([&] {
      metrics::flip_rate(attention, tokens, labels, metrics::draw_flip_pairs(labels, {.pairs = pairs}), predict);
    });
  };
  EXPECT_EQ(complaint(map, {1, 2}, kLabels, follow_seven),
            "flip rate: 2 tokens and 4 labels: 4 samples of 4 tokens have 16 and 4");
  EXPECT_EQ(complaint(map, kTokens, {1, 1, 1, 1}, follow_seven), "flip rate: 4 samples have no two different labels");
  EXPECT_EQ(complaint(map, kTokens, kLabels, follow_seven, 0), "flip rate: 0 pairs: at least 1 is needed");
  EXPECT_EQ(complaint(map, kTokens, kLabels, [](std::span<const std::int64_t>) { return Tokens{1}; }),
            "flip rate: 1 labels were predicted for 1000 sequences");
  EXPECT_NE(complaint({.samples = 4, .heads = 1, .queries = 0, .keys = 4}, kTokens, kLabels, follow_seven), "");
  EXPECT_NE(complaint({}, {}, {}, follow_seven), "");
  std::vector<metrics::FlipPair> pairs = metrics::draw_flip_pairs(kLabels, {.pairs = 1});
  pairs[0].second = 4;
  EXPECT_NE(complaint_of([&] { metrics::flip_rate(map, kTokens, kLabels, pairs, follow_seven); }), "");
  const std::vector<std::int64_t> lengths{4, 4, 4, 3};
  metrics::AttentionMap<double> padded = map;
  padded.lengths = lengths;
  EXPECT_EQ(complaint(padded, kTokens, kLabels, follow_seven),
            "flip rate: padded sequences: all must have their CLS last");
}

}  // namespace
}  // namespace polariscope::testing
