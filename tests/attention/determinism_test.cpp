// The same bits: in every run, for every choice of statistics, whatever is asked beside.
#include "agreement.h"
#include "support/simd_targets.h"

#include <fmt/format.h>

#include <cstring>

namespace polariscope::testing {
namespace {

constexpr attention::AttentionShape kShape{
    .batch = 2, .heads = 4, .key_heads = 2, .queries = 67, .keys = 131, .width = 17, .value_width = 20};

Problem<float> problem_of(const reweighting::AttentionForm& form) {
  RandomStream random(101, stream_of(form));
  Problem<float> problem = random_problem<float>(form, kShape, random, Layout::kRowsFirst, 2);
  problem.causal = true;
  return problem;
}

Upstream<float> upstream_of(const Problem<float>& problem) {
  RandomStream random(102, 0);
  return random_upstream(problem, random);
}

// As bits: NaN equals NaN, and 0 is not -0.
bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0);
}

void expect_same_bits(Everything<float>& a, Everything<float>& b, const reweighting::AttentionForm& form) {
  const auto first = arrays(a, form);
  const auto second = arrays(b, form);
  for (std::size_t n = 0; n < first.size(); ++n) {
    EXPECT_TRUE(same_bits(first[n].numbers, second[n].numbers)) << first[n].name;
  }
  EXPECT_EQ(a.forward.argmax, b.forward.argmax);
}

class Determinism : public ::testing::TestWithParam<reweighting::AttentionForm> {};

TEST_P(Determinism, TwoRunsOnTheSameNumberOfThreadsGiveTheSameBits) {
  Problem<float> problem = problem_of(GetParam());
  const Upstream<float> upstream = upstream_of(problem);
  for_each_simd_target([&] {
    for (const int threads : {1, 2, 3}) {
      SCOPED_TRACE(threads);
      Everything<float> first = kernel_everything(problem, upstream, threads);
      Everything<float> second = kernel_everything(problem, upstream, threads);
      expect_same_bits(first, second, GetParam());
    }
  });
}

TEST_P(Determinism, TheForwardPassGivesTheSameBitsOnAnyNumberOfThreads) {
  Problem<float> problem = problem_of(GetParam());
  const Upstream<float> upstream = upstream_of(problem);
  for_each_simd_target([&] {
    Everything<float> one = kernel_everything(problem, upstream, 1);
    Everything<float> three = kernel_everything(problem, upstream, 3);
    EXPECT_TRUE(same_bits(one.forward.output.packed(), three.forward.output.packed()));
    EXPECT_TRUE(same_bits(one.weights, three.weights));
    for (std::size_t n = 0; n < one.forward.floating.size(); ++n) {
      EXPECT_TRUE(same_bits(one.forward.floating[n], three.forward.floating[n])) << kStatistics<float>[n].name;
    }
  });
}

// Blocks that share keys too many for the second-level cache pass over them together on few threads, alone on many.
TEST_P(Determinism, ManyKeysGiveTheSameBitsOnAnyNumberOfThreads) {
  constexpr attention::AttentionShape kLong{
      .batch = 1, .heads = 2, .key_heads = 1, .queries = 300, .keys = 900, .width = 80, .value_width = 80};
  RandomStream random(103, stream_of(GetParam()));
  Problem<float> problem = random_problem<float>(GetParam(), kLong, random, Layout::kRowsFirst, 0);
  const Upstream<float> upstream = random_upstream(problem, random);
  for (const bool causal : {false, true}) {
    for (const std::int64_t window : {0, 130}) {
      SCOPED_TRACE(fmt::format("causal {}, window {}", causal, window));
      problem.causal = causal;
      problem.window = window;
      Everything<float> few = kernel_everything(problem, upstream, 1);
      Everything<float> many = kernel_everything(problem, upstream, 64);
      EXPECT_TRUE(same_bits(few.forward.output.packed(), many.forward.output.packed()));
      for (std::size_t n = 0; n < few.forward.floating.size(); ++n) {
        EXPECT_TRUE(same_bits(few.forward.floating[n], many.forward.floating[n])) << kStatistics<float>[n].name;
      }
    }
  }
}

void expect_the_same_statistics_alone(Problem<float>& problem) {
  for_each_simd_target([&] {
    Forward<float> all(problem);
    attention::attend(problem.input(), all.view(), 1);
    const auto expect_alone = [&](std::string_view name, auto ask, auto found) {
      Forward<float> alone(problem);
      attention::AttentionOutput<float> to;
      to.output = alone.output.view();
      ask(alone, to);
      attention::attend(problem.input(), to, 1);
      EXPECT_TRUE(found(alone)) << name;
      EXPECT_TRUE(same_bits(alone.output.packed(), all.output.packed())) << "output beside " << name;
    };
    for (std::size_t n = 0; n < all.floating.size(); ++n) {
      if (all.floating[n].empty()) continue;
      expect_alone(
          kStatistics<float>[n].name,
          [n](auto& alone, auto& to) { to.statistics.*kStatistics<float>[n].member = alone.floating[n].data(); },
          [&](auto& alone) { return same_bits(alone.floating[n], all.floating[n]); });
    }
    expect_alone(
        "argmax", [](auto& alone, auto& to) { to.statistics.argmax = alone.argmax.data(); },
        [&](auto& alone) { return alone.argmax == all.argmax; });
    expect_alone(
        "visible", [](auto& alone, auto& to) { to.statistics.visible = alone.visible.data(); },
        [&](auto& alone) { return alone.visible == all.visible; });
    expect_alone(
        "non_finite", [](auto& alone, auto& to) { to.statistics.non_finite = alone.non_finite.data(); },
        [&](auto& alone) { return alone.non_finite == all.non_finite; });
    expect_alone(
        "nothing", [](auto&, auto&) {}, [](auto&) { return true; });
  });
}

TEST_P(Determinism, AStatisticAskedAloneHasTheBitsThatItHasAmongAll) {
  Problem<float> problem = problem_of(GetParam());
  expect_the_same_statistics_alone(problem);
}

// Short sequences have kernels of their own, one of them for rows of which all is asked.
TEST_P(Determinism, OfShortSequencesToo) {
  for (const std::int64_t width : {3, 32}) {
    for (const std::int64_t window : {0, 3}) {
      SCOPED_TRACE(width);
      SCOPED_TRACE(window);
      RandomStream random(103, stream_of(GetParam()));
      const attention::AttentionShape shape{
          .batch = 37, .queries = 14, .keys = 22, .width = width, .value_width = width};
      Problem<float> problem = random_problem<float>(GetParam(), shape, random);
      problem.window = window;
      expect_the_same_statistics_alone(problem);
    }
  }
}

TEST_P(Determinism, AGradientAskedAloneHasTheBitsThatItHasAmongAll) {
  Problem<float> problem = problem_of(GetParam());
  const Upstream<float> upstream = upstream_of(problem);
  for_each_simd_target([&] {
    Everything<float> all = kernel_everything(problem, upstream, 1);
    const auto alone = [&](auto member) {
      Backward<float> backward(problem);
      attention::AttentionGradient<float> to;
      to.*member = backward.view().*member;
      attention::attend_backward(problem.input(), all.forward.view(), problem.d_output.constant_view(), upstream.view(),
                                 to, 1);
      return backward;
    };
    EXPECT_TRUE(
        same_bits(alone(&attention::AttentionGradient<float>::query).query.packed(), all.backward.query.packed()));
    EXPECT_TRUE(same_bits(alone(&attention::AttentionGradient<float>::key).key.packed(), all.backward.key.packed()));
    EXPECT_TRUE(
        same_bits(alone(&attention::AttentionGradient<float>::value).value.packed(), all.backward.value.packed()));
    EXPECT_TRUE(same_bits(alone(&attention::AttentionGradient<float>::bias).bias.packed(), all.backward.bias.packed()));
  });
}

INSTANTIATE_TEST_SUITE_P(Family, Determinism,
                         ::testing::ValuesIn(reweighting::attention_forms().begin(),
                                             reweighting::attention_forms().end()),
                         form_name);

}  // namespace
}  // namespace polariscope::testing
