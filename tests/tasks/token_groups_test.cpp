#include "polariscope/tasks/token_groups.h"

#include "examples.h"
#include "polariscope/base/error.h"

#include <algorithm>
#include <set>

namespace polariscope::testing {
namespace {

template <class Token = std::int32_t>
Examples<Token> draw(const tasks::TokenGroups& task, std::int64_t first, std::int64_t count) {
  return examples_of<Token>(task, first, count, task.input_length(), 1);
}

TEST(TokenGroups, SequencesAreDifferentTokensOfTheLabelsGroupAndThenCls) {
  for (const int vocabulary : {41, 81, 161}) {
    const tasks::TokenGroups task({.vocabulary = vocabulary}, 3, tasks::Split::kTraining);
    const int group = (vocabulary - 1) / 4;
    const Examples<std::int32_t> drawn = draw(task, 0, 500);
    for (std::int64_t i = 0; i < 500; ++i) {
      const auto begin = drawn.tokens.begin() + i * 11;
      const std::set<int> content(begin, begin + 10);
      EXPECT_EQ(content.size(), 10U);
      EXPECT_GT(*content.begin(), drawn.targets[i] * group);
      EXPECT_LE(*content.rbegin(), (drawn.targets[i] + 1) * group);
      EXPECT_EQ(begin[10], 0);
    }
    EXPECT_EQ(task.vocabulary(), vocabulary);
    EXPECT_EQ(task.labels(), 4);
  }
}

TEST(TokenGroups, WithFortyOneTokensEverySequenceOfALabelHoldsTheSameTen) {
  const Examples<std::int32_t> drawn = draw(tasks::TokenGroups({.vocabulary = 41}, 4, tasks::Split::kTraining), 0, 100);
  std::set<std::set<int>> contents;
  for (std::int64_t i = 0; i < 100; ++i) {
    contents.insert(std::set<int>(drawn.tokens.begin() + i * 11, drawn.tokens.begin() + i * 11 + 10));
  }
  EXPECT_EQ(contents.size(), 4U);
}

TEST(TokenGroups, ASequenceIsTheSameInWhateverBatchOrOrder) {
  expect_the_same_in_any_order<std::int32_t>(tasks::TokenGroups({}, 5, tasks::Split::kTraining), 11, 1);
}

TEST(TokenGroups, SequencesStayTheSameBetweenVersions) {
  const Examples<std::int32_t> drawn = draw(tasks::TokenGroups({}, 1, tasks::Split::kTraining), 0, 1);
  EXPECT_EQ(drawn.tokens, (std::vector<std::int32_t>{78, 75, 66, 79, 67, 70, 76, 63, 73, 71, 0}));
  EXPECT_EQ(drawn.targets.front(), 3);
}

TEST(TokenGroups, LongTokensAreTheShortOnes) {
  const tasks::TokenGroups task({}, 6, tasks::Split::kEvaluation);
  const Examples<std::int32_t> narrow = draw(task, 0, 20);
  const Examples<std::int64_t> wide = draw<std::int64_t>(task, 0, 20);
  EXPECT_TRUE(std::equal(narrow.tokens.begin(), narrow.tokens.end(), wide.tokens.begin(), wide.tokens.end()));
  EXPECT_TRUE(std::equal(narrow.targets.begin(), narrow.targets.end(), wide.targets.begin(), wide.targets.end()));
}

TEST(TokenGroups, SeedsAndSplitsDrawDifferentSequences) {
  std::set<std::vector<std::int32_t>> all;
  for (const std::uint64_t seed : {1, 2}) {
    for (const tasks::Split split : {tasks::Split::kTraining, tasks::Split::kEvaluation}) {
      all.insert(draw(tasks::TokenGroups({}, seed, split), 0, 100).tokens);
    }
  }
  EXPECT_EQ(all.size(), 4U);
}

TEST(TokenGroups, LabelsAndTokensAreDrawnEvenly) {
  const Examples<std::int32_t> drawn = draw(tasks::TokenGroups({}, 7, tasks::Split::kTraining), 0, 20'000);
  std::vector<int> labels(4), tokens(80);
  for (std::int64_t i = 0; i < 20'000; ++i) {
    ++labels.at(drawn.targets[i]);
    ++tokens.at(drawn.tokens[i * 11 + 3] - 1);
  }
  // Quantiles of chi squared at 0.9999 with 3 and 79 degrees of freedom.
  EXPECT_LT(chi_squared(labels), 21.1);
  EXPECT_LT(chi_squared(tokens), 134.0);
}

TEST(TokenGroups, RefusesGroupsThatDoNotWorkOutWithTheNumbersInQuestion) {
  EXPECT_EQ(complaint_of([] { tasks::validate(tasks::TokenGroupsOptions{.vocabulary = 80}); }),
            "token groups: a vocabulary of 80 has 79 tokens beside CLS, which 4 labels cannot share evenly");
  EXPECT_EQ(complaint_of([] { tasks::TokenGroups({.vocabulary = 37}, 1, tasks::Split::kTraining); }),
            "token groups: a vocabulary of 37 gives 4 labels 9 tokens each, sequences draw 10 different ones");
  EXPECT_THROW(tasks::validate(tasks::TokenGroupsOptions{.vocabulary = -3}), Error);
  EXPECT_THROW(tasks::validate(tasks::TokenGroupsOptions{.labels = 1}), Error);
  EXPECT_THROW(tasks::validate(tasks::TokenGroupsOptions{.tokens = 0}), Error);
}

TEST(TokenGroups, RefusesArraysOfTheWrongSize) {
  std::vector<std::int64_t> tokens(22), targets(22);
  EXPECT_EQ(complaint_of([&] {
              tasks::TokenGroups({}, 1, tasks::Split::kTraining).fill(0, 2, std::span(tokens), std::span(targets));
            }),
            "token groups: targets holds 22 numbers: 2 examples of 1 need 2");
}

}  // namespace
}  // namespace polariscope::testing
