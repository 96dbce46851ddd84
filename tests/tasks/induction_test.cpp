#include "polariscope/tasks/induction.h"

#include "examples.h"
#include "polariscope/base/error.h"

#include <algorithm>
#include <set>

namespace polariscope::testing {
namespace {

constexpr std::int64_t kLength = 12;  // of the input, by default

template <class Token = std::int32_t>
Examples<Token> draw(const tasks::Induction& task, std::int64_t first, std::int64_t count) {
  return examples_of<Token>(task, first, count, task.input_length(), task.input_length());
}

using Sequence = std::vector<std::int32_t>;

// The whole sequences, answers included.
std::vector<Sequence> sequences_of(const tasks::Induction& task, std::int64_t count) {
  const Examples<std::int32_t> drawn = draw(task, 0, count);
  std::vector<Sequence> sequences;
  for (std::int64_t i = 0; i < count; ++i) {
    const auto input = drawn.tokens.begin() + i * task.input_length();
    sequences.emplace_back(input, input + task.input_length());
    sequences.back().push_back(drawn.targets[(i + 1) * task.input_length() - 1]);
  }
  return sequences;
}

// Where the repeated token was drawn.
std::size_t chosen_in(const Sequence& sequence, int shift) {
  const auto repeat = sequence.end() - 2;
  return std::find(sequence.begin(), repeat, *repeat - shift) - sequence.begin();
}

void expect_induction_sequences(const tasks::InductionOptions& options) {
  const tasks::Induction task(options, 3, tasks::Split::kTraining);
  const int shift = options.shift_query_token ? options.vocabulary : 0;
  const std::size_t drawn = static_cast<std::size_t>(options.sequence_length) - 3;
  for (const Sequence& sequence : sequences_of(task, 500)) {
    EXPECT_EQ(sequence.front(), 0);
    const std::set<int> different(sequence.begin() + 1, sequence.begin() + 1 + static_cast<std::ptrdiff_t>(drawn));
    EXPECT_EQ(different.size(), drawn);
    EXPECT_GE(*different.begin(), 1);
    EXPECT_LT(*different.rbegin(), options.vocabulary);
    const std::size_t chosen = chosen_in(sequence, shift);
    ASSERT_GE(chosen, 1U);
    ASSERT_LE(chosen, drawn);
    EXPECT_EQ(sequence.back(), sequence[chosen + 1]);
    EXPECT_LT(*std::max_element(sequence.begin(), sequence.end()), task.vocabulary());
  }
}

TEST(Induction, SequencesAreBosDifferentTokensARepeatAndWhatFollowed) { expect_induction_sequences({}); }

TEST(Induction, TheRepeatIsShiftedByTheVocabularyWhereAskedFor) {
  expect_induction_sequences({.shift_query_token = true});
  EXPECT_EQ(tasks::Induction({.shift_query_token = true}, 1, tasks::Split::kTraining).vocabulary(), 100);
  EXPECT_EQ(tasks::Induction({}, 1, tasks::Split::kTraining).vocabulary(), 50);
}

TEST(Induction, OtherVocabulariesAndLengthsWork) {
  expect_induction_sequences({.vocabulary = 11, .sequence_length = 13});  // all ten tokens are drawn
  expect_induction_sequences({.vocabulary = 2, .sequence_length = 4});
  expect_induction_sequences({.vocabulary = 300, .sequence_length = 67, .shift_query_token = true});
}

TEST(Induction, AfterTheLastTokenTheAnswerIsTheRepeatItself) {
  for (const bool shifted : {false, true}) {
    // With one drawn token it is always the last: BOS, 1, its repeat, and the repeat again.
    const tasks::Induction task({.vocabulary = 2, .sequence_length = 4, .shift_query_token = shifted}, 1,
                                tasks::Split::kTraining);
    const int repeat = shifted ? 3 : 1;
    EXPECT_EQ(sequences_of(task, 1).front(), (Sequence{0, 1, repeat, repeat}));
  }
}

TEST(Induction, TargetsAreTheTokensAfterEach) {
  const tasks::Induction task({}, 4, tasks::Split::kTraining);
  const Examples<std::int32_t> drawn = draw(task, 0, 50);
  for (std::int64_t i = 0; i < 50 * kLength; ++i) {
    if (i % kLength != kLength - 1) {
      EXPECT_EQ(drawn.targets[i], drawn.tokens[i + 1]);
    }
  }
}

TEST(Induction, ASequenceIsTheSameInWhateverBatchOrOrder) {
  expect_the_same_in_any_order<std::int32_t>(tasks::Induction({}, 5, tasks::Split::kTraining), kLength, kLength);
}

TEST(Induction, SequencesStayTheSameBetweenVersions) {
  const tasks::Induction task({}, 1, tasks::Split::kTraining);
  EXPECT_EQ(sequences_of(task, 1).front(), (Sequence{0, 39, 44, 37, 14, 47, 11, 20, 35, 15, 24, 44, 37}));
}

TEST(Induction, LongTokensAreTheShortOnes) {
  const tasks::Induction task({}, 6, tasks::Split::kTraining);
  const Examples<std::int32_t> narrow = draw(task, 0, 20);
  const Examples<std::int64_t> wide = draw<std::int64_t>(task, 0, 20);
  EXPECT_TRUE(std::equal(narrow.tokens.begin(), narrow.tokens.end(), wide.tokens.begin(), wide.tokens.end()));
  EXPECT_TRUE(std::equal(narrow.targets.begin(), narrow.targets.end(), wide.targets.begin(), wide.targets.end()));
}

TEST(Induction, SeedsAndSplitsDrawDifferentSequences) {
  std::set<Sequence> all;
  for (const std::uint64_t seed : {1, 2}) {
    for (const tasks::Split split : {tasks::Split::kTraining, tasks::Split::kEvaluation}) {
      const auto sequences = sequences_of(tasks::Induction({}, seed, split), 1000);
      all.insert(sequences.begin(), sequences.end());
    }
  }
  EXPECT_EQ(all.size(), 4000U);  // of 3·10^16 possible ones
}

TEST(Induction, TokensAndTheChosenPlaceAreDrawnEvenly) {
  std::vector<int> tokens(49), places(10);
  for (const Sequence& sequence : sequences_of(tasks::Induction({}, 7, tasks::Split::kTraining), 20'000)) {
    ++tokens.at(sequence[1] - 1);
    ++places.at(chosen_in(sequence, 0) - 1);
  }
  // Quantiles of chi squared at 0.9999 with 48 and 9 degrees of freedom.
  EXPECT_LT(chi_squared(tokens), 93.2);
  EXPECT_LT(chi_squared(places), 33.7);
}

TEST(Induction, NoExamplesNeedNoRoom) {
  EXPECT_EQ(draw(tasks::Induction({}, 1, tasks::Split::kTraining), 0, 0), Examples<std::int32_t>{});
}

TEST(Induction, RefusesWhatMakesNoSequenceWithTheNumbersInQuestion) {
  EXPECT_THROW(tasks::validate(tasks::InductionOptions{.sequence_length = 3}), Error);
  EXPECT_THROW(tasks::validate(tasks::InductionOptions{.vocabulary = -1}), Error);
  EXPECT_EQ(complaint_of([] { tasks::Induction({.vocabulary = 10}, 1, tasks::Split::kTraining); }),
            "induction: sequences of 13 tokens draw 10 different ones, a vocabulary of 10 has 9 beside BOS");
}

TEST(Induction, RefusesArraysOfTheWrongSizeAndNegativeRanges) {
  const tasks::Induction task({}, 1, tasks::Split::kTraining);
  std::vector<std::int32_t> tokens(30), targets(24);
  EXPECT_EQ(complaint_of([&] { task.fill(0, 2, std::span(tokens), std::span(targets)); }),
            "induction: tokens holds 30 numbers: 2 examples of 12 need 24");
  tokens.resize(24);
  targets.resize(2);
  EXPECT_EQ(complaint_of([&] { task.fill(0, 2, std::span(tokens), std::span(targets)); }),
            "induction: targets holds 2 numbers: 2 examples of 12 need 24");
  EXPECT_EQ(complaint_of([&] { task.fill(-1, 2, std::span(tokens), std::span(targets)); }),
            "induction: examples -1 and 2 more: neither may be negative");
}

}  // namespace
}  // namespace polariscope::testing
