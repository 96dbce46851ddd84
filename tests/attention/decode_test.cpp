// Few queries against many keys, which have kernels of their own: against the reference in double precision, in pages
// and as bfloat16 numbers against the same keys in one piece.
#include "polariscope/attention/internal/decode.h"

#include "caches.h"
#include "polariscope/attention/weights.h"
#include "polariscope/base/error.h"
#include "support/simd_targets.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>

namespace polariscope::testing {
namespace {

using attention::AttentionInput;
using attention::AttentionShape;
using attention::Bfloat16;
using reweighting::AttentionForm;
using reweighting::find_attention_form;

constexpr std::uint64_t kSeed = 20260;

std::int64_t draw(RandomStream& random, std::int64_t least, std::int64_t most) {
  return least + static_cast<std::int64_t>(random.below(most - least + 1));
}

// What the gradients need is not asked for: their own kernels would have to give it.
attention::AttentionOutput<float> asked_of(Forward<float>& forward) {
  attention::AttentionOutput<float> to = forward.view();
  to.shift = to.inverse = to.mass = nullptr;
  return to;
}
Forward<float> attended(const Problem<float>& problem, const AttentionInput<float>& input, int threads = 1) {
  Forward<float> forward(problem);
  attention::attend(input, asked_of(forward), threads);
  return forward;
}
Forward<float> attended(Problem<float>& problem, int threads = 1) {
  return attended(problem, problem.input(), threads);
}

// bound: of a row's Σ|p||v|, what rounding may move the output by.
void expect_agreement(Problem<float>& problem, Forward<float>& found, double bound = 2e-6) {
  if (problem.form.transform == reweighting::Transform::kLogCount) bound *= 8;  // log n times the scores' own rounding
  Problem<double> exact = problem.as<double>();
  Forward<double> wanted = oracle_forward(exact);
  const std::vector<float> output = found.output.packed();
  const std::vector<double> right = wanted.output.packed();
  Problem<double> sizes = exact;
  sizes.value.for_each([](double& x) { x = std::abs(x); });
  const std::vector<double> scale = oracle_forward(sizes).output.packed();
  for (std::size_t i = 0; i < output.size(); ++i) {
    if (std::isnan(right[i]) && std::isnan(output[i])) continue;
    ASSERT_NEAR(output[i], right[i], bound * std::abs(scale[i]) + 1e-7) << i;
  }
  for (const auto& [name, member] : kStatistics<float>) {
    const std::vector<float>& ours = found.statistic(name);
    const std::vector<double>& theirs = wanted.statistic(name);
    for (std::size_t r = 0; r < ours.size(); ++r) {
      if (ours[r] == theirs[r] || (std::isnan(ours[r]) && std::isnan(theirs[r]))) continue;
      // Skewness divides by a variance that may be next to nothing.
      const double tolerance = name == "skewness" ? 1e-3 : 2e-5;
      ASSERT_NEAR(ours[r], theirs[r], tolerance * (1.0 + std::abs(theirs[r]))) << name << " of row " << r;
    }
  }
  EXPECT_EQ(found.argmax, wanted.argmax);
  EXPECT_EQ(found.visible, wanted.visible);
  EXPECT_EQ(found.non_finite, wanted.non_finite);
  EXPECT_TRUE(found.output.gaps_are_untouched());
}

Problem<float> random_decoding(RandomStream& random, int trial) {
  constexpr std::int64_t kGroups[] = {1, 2, 4, 8};
  constexpr const char* kForms[] = {"softmax", "softmax", "sink", "softmax1", "ssmax", "softcap"};
  const AttentionForm& form = find_attention_form(kForms[trial % 6]);
  const std::int64_t key_heads = draw(random, 1, 2), queries = trial % 3 == 0 ? 1 : draw(random, 1, 64);
  const AttentionShape shape{.batch = draw(random, 1, 2),
                             .heads = key_heads * kGroups[random.below(4)],
                             .key_heads = key_heads,
                             .queries = queries,
                             .keys = std::max<std::int64_t>(draw(random, 65, trial % 4 == 0 ? 5000 : 700), 2 * queries),
                             .width = trial % 2 == 0 ? 64 : draw(random, 1, 130),
                             .value_width = trial % 2 == 0 ? 64 : draw(random, 1, 130)};
  auto problem = random_problem<float>(form, shape, random, trial % 3 == 1 ? Layout::kRowsFirst : Layout::kHeadsFirst,
                                       trial % 5, 1.5);
  problem.causal = trial % 2 == 1;
  if (trial % 5 == 1) problem.window = draw(random, 1, shape.keys);
  if (trial % 4 == 2) add_lengths(problem, random);
  if (trial % 5 == 3) add_slopes(problem);
  if (trial % 7 == 4) add_bias(problem, random);
  if (trial % 14 == 4) {
    problem.bias.for_each([&](float& x) {
      if (random.below(3) == 0) x = -std::numeric_limits<float>::infinity();
    });
  }
  return problem;
}

TEST(Decode, AgreesWithTheReferenceOverRandomShapes) {
  RandomStream random(kSeed, 1);
  for (int trial = 0; trial < 84; ++trial) {
    SCOPED_TRACE("trial " + std::to_string(trial));
    auto problem = random_decoding(random, trial);
    auto found = attended(problem);
    ASSERT_TRUE(attention::decode_serves(problem.input(), asked_of(found)));
    expect_agreement(problem, found);
  }
}

TEST(Decode, AgreesOnEveryInstructionSet) {
  for (int trial = 0; trial < 14; ++trial) {
    SCOPED_TRACE("trial " + std::to_string(trial));
    RandomStream random(kSeed, 100 + trial);
    auto problem = random_decoding(random, trial);
    for_each_simd_target([&] {
      auto found = attended(problem);
      expect_agreement(problem, found);
    });
  }
}

TEST(Decode, HasTheSameBitsForAnyNumberOfThreads) {
  RandomStream random(kSeed, 2);
  const AttentionShape shape{.heads = 4, .key_heads = 1, .queries = 2, .keys = 9000, .width = 40, .value_width = 24};
  auto problem = random_problem<float>(find_attention_form("softmax"), shape, random);
  problem.causal = true;
  auto one = attended(problem, 1);
  expect_agreement(problem, one);
  for (const int threads : {2, 5}) {
    auto more = attended(problem, threads);
    expect_same_bits(one, more);
  }
}

TEST(Decode, ReadsPagesAsItReadsOnePiece) {
  RandomStream random(kSeed, 3);
  for (int trial = 0; trial < 24; ++trial) {
    SCOPED_TRACE("trial " + std::to_string(trial));
    auto problem = random_decoding(random, trial);
    AttentionInput<float> input = problem.input();
    const std::int64_t page_keys = trial % 2 == 0 ? 16 : draw(random, 1, 200);
    const Pages<float> pages(problem.shape, input.key, input.value, page_keys, random);
    auto whole = attended(problem);
    input.table = pages.table;
    input.key = pages.key_view, input.value = pages.value_view;
    auto paged = attended(problem, input, 2);
    expect_same_bits(whole, paged);
  }
}

TEST(Decode, ReadsNumbersOfBfloat16AsTheyAreStored) {
  RandomStream random(kSeed, 4);
  for (int trial = 0; trial < 42; ++trial) {
    SCOPED_TRACE("trial " + std::to_string(trial));
    auto problem = random_decoding(random, trial);
    LowCache low(problem);
    auto whole = attended(problem);
    auto found = attended(problem, low.input(problem));
    expect_same_bits(whole, found);
    // Queries that are such numbers lose nothing in products of them; weights are rounded where they multiply values.
    LowCache::rounded(problem.query);
    auto input = low.input(problem);
    input.bfloat16 = true;
    auto products = attended(problem, input);
    expect_agreement(problem, products, 0x1p-8);
    const Pages<Bfloat16> pages(problem.shape, input.bfloat16_key, input.bfloat16_value, 16, random);
    input.table = pages.table;
    input.bfloat16_key = pages.key_view, input.bfloat16_value = pages.value_view;
    auto paged = attended(problem, input, 3);
    expect_same_bits(products, paged);
  }
}

// What is not served is copied beforehand.
TEST(Decode, ACacheServesEveryFormAndPass) {
  for (const AttentionForm& form : reweighting::attention_forms()) {
    SCOPED_TRACE(std::string(form.name));
    RandomStream random(kSeed, stream_of(form));
    const AttentionShape shape{.heads = 2, .key_heads = 1, .queries = 5, .keys = 100, .width = 16, .value_width = 8};
    auto problem = random_problem<float>(form, shape, random);
    LowCache low(problem);
    auto input = low.input(problem);
    const Pages<Bfloat16> pages(shape, input.bfloat16_key, input.bfloat16_value, 7, random);
    input.table = pages.table;
    input.bfloat16_key = pages.key_view, input.bfloat16_value = pages.value_view;
    auto served = attended(problem);
    auto served_of_pages = attended(problem, input);
    expect_same_bits(served, served_of_pages);
    Forward<float> whole(problem), found(problem);
    attention::attend(problem.input(), whole.view(), 1);
    attention::attend(input, found.view(), 1);
    expect_same_bits(whole, found);
    std::vector<float> p(problem.rows() * shape.keys), of_pages(p.size());
    attention::attention_weights(problem.input(), 0, shape.queries, p.data());
    attention::attention_weights(input, 0, shape.queries, of_pages.data());
    EXPECT_TRUE(same_bits(p, of_pages));
    std::vector<float> columns(shape.heads * shape.keys), columns_of_pages(columns.size());
    attention::attend_columns(problem.input(), whole.shift.data(), whole.inverse.data(), columns.data());
    attention::attend_columns(input, found.shift.data(), found.inverse.data(), columns_of_pages.data());
    EXPECT_TRUE(same_bits(columns, columns_of_pages));
  }
}

TEST(Decode, HugeAndConstantLogitsAndRowsThatSeeNothing) {
  RandomStream random(kSeed, 5);
  const AttentionShape shape{
      .batch = 2, .heads = 4, .key_heads = 2, .queries = 3, .keys = 2500, .width = 32, .value_width = 32};
  auto problem = random_problem<float>(find_attention_form("softmax"), shape, random);
  problem.query.for_each([](float& x) { x = std::round(x) * 512.0F; });  // sums of such products are exact
  problem.key.for_each([](float& x) { x = std::round(x) * 4.0F; });
  problem.scale = 1.0;
  auto huge = attended(problem);
  Problem<double> exact = problem.as<double>();
  Forward<double> wanted = oracle_forward(exact);
  EXPECT_EQ(huge.argmax, wanted.argmax);
  for (std::size_t r = 0; r < huge.argmax.size(); ++r) {
    EXPECT_NEAR(huge.statistic("entropy")[r], wanted.statistic("entropy")[r], 1e-5);
    EXPECT_EQ(huge.non_finite[r], 0);
  }

  problem.key.for_each([](float& x) { x = 0.25F; });
  problem.query.for_each([](float& x) { x = 1.0F; });
  problem.key_lengths = {0, 2500};
  auto constant = attended(problem);
  expect_agreement(problem, constant);
  const std::int64_t each = shape.heads * shape.queries;
  for (std::int64_t r = 0; r < 2 * each; ++r) {
    EXPECT_EQ(constant.visible[r], r < each ? 0 : 2500);
    EXPECT_EQ(constant.argmax[r], r < each ? -1 : 0);
    EXPECT_EQ(constant.statistic("skewness")[r], 0.0F);
    EXPECT_FLOAT_EQ(constant.statistic("entropy")[r], r < each ? 0.0F : std::log(2500.0F));
  }
}

TEST(Decode, NeverFeelsWhatARowDoesNotSee) {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    for (const bool low_numbers : {false, true}) {
      RandomStream random(kSeed, 6);
      const AttentionShape shape{.heads = 2, .key_heads = 1, .queries = 8, .keys = 300, .width = 32, .value_width = 32};
      auto problem = random_problem<float>(find_attention_form("softmax"), shape, random);
      problem.causal = true;
      const auto run = [&] {
        if (!low_numbers) return attended(problem);
        LowCache low(problem);
        auto input = low.input(problem);
        input.bfloat16 = true;
        return attended(problem, input);
      };
      auto clean = run();
      problem.key.row(0, 0, 296)[2] = bad;
      problem.value.row(0, 0, 296)[3] = bad;
      auto spoilt = run();
      for (std::int64_t h = 0; h < 2; ++h) {
        for (std::int64_t i = 0; i < 8; ++i) {
          const std::int64_t row = h * 8 + i;
          EXPECT_EQ(spoilt.non_finite[row] != 0, i >= 4);  // query i stands beside key 292 + i
          EXPECT_EQ(std::isnan(spoilt.output.row(0, h, i)[0]), i >= 4);
          if (i >= 4) continue;
          EXPECT_NEAR(spoilt.output.row(0, h, i)[3], clean.output.row(0, h, i)[3], low_numbers ? 0.02 : 1e-5);
          EXPECT_EQ(spoilt.statistic("entropy")[row], clean.statistic("entropy")[row]);
        }
      }
    }
  }
}

std::string refusal(const AttentionInput<float>& input, const Problem<float>& problem) {
  try {
    attended(problem, input);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(Decode, RefusesWhatIsNoCache) {
  RandomStream random(kSeed, 7);
  const AttentionShape shape{.queries = 1, .keys = 100, .width = 4, .value_width = 4};
  auto problem = random_problem<float>(find_attention_form("softmax"), shape, random);
  auto input = problem.input();
  Pages<float> pages(shape, input.key, input.value, 16, random);
  input.key = pages.key_view, input.value = pages.value_view;
  input.table = pages.table;
  EXPECT_EQ(refusal(input, problem), "");
  pages.pages[3] = 8;
  EXPECT_NE(refusal(input, problem).find("entry 3 of sequence 0's page table is 8: expected 0 to 7"),
            std::string::npos);
  pages.pages[3] = -1;
  EXPECT_NE(refusal(input, problem).find("page table is -1"), std::string::npos);
  const std::int64_t fewer = 48;  // entries beyond a sequence's length are not read
  input.key_lengths = &fewer;
  EXPECT_EQ(refusal(input, problem), "");
  input.table.page_keys = 0;
  EXPECT_NE(refusal(input, problem).find("pages of 0 keys"), std::string::npos);

  LowCache low(problem);
  auto both = low.input(problem);
  both.key = problem.input().key;
  EXPECT_NE(refusal(both, problem).find("its key twice"), std::string::npos);
  auto mixed = low.input(problem);
  mixed.bfloat16_value = {};
  mixed.value = problem.input().value;
  EXPECT_NE(refusal(mixed, problem).find("key is bfloat16, value is not"), std::string::npos);
  Forward<float> forward(problem);
  Backward<float> backward(problem);
  EXPECT_THROW(attention::attend_backward(low.input(problem), forward.view(), problem.d_output.constant_view(), {},
                                          backward.view()),
               Error);
}

}  // namespace
}  // namespace polariscope::testing
