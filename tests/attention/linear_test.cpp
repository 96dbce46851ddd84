// Attention of kernels in linear time: held to the reference like the kernels of all pairs, and chosen where it may be.
#include "linear_results.h"

namespace polariscope::testing {
namespace {

constexpr std::uint64_t kSeed = 113;

template <class T>
void expect_agreement(Problem<T>& problem, RandomStream& random, int threads) {
  SCOPED_TRACE(fmt::format("seed {}, {}", kSeed, described(problem)));
  const Upstream<T> upstream = linear_upstream(problem, random);
  Judge<T> judge(problem, upstream);
  for_each_simd_target([&] {
    Everything<T> kernel = linear_everything(problem, upstream, threads);
    judge.expect_agreement(kernel);
    EXPECT_EQ(kernel.forward.shift, std::vector<T>(problem.rows(), T(0)));
  });
}

template <std::size_t n>
std::int64_t one_of(const std::array<std::int64_t, n>& choices, RandomStream& random) {
  return choices[random.below(n)];
}

// Sizes around the chunks, of which a piece has sixteen.
attention::AttentionShape random_shape(RandomStream& random) {
  constexpr std::array<std::int64_t, 12> kSizes{1, 2, 7, 17, 31, 63, 64, 65, 97, 128, 130, 257};
  constexpr std::array<std::int64_t, 11> kWidths{1, 3, 4, 5, 16, 31, 32, 33, 59, 64, 80};
  constexpr std::array<std::array<std::int64_t, 2>, 4> kHeads{{{1, 1}, {2, 1}, {4, 2}, {3, 3}}};
  for (;;) {
    const auto [heads, key_heads] = kHeads[random.below(kHeads.size())];
    const attention::AttentionShape shape{.batch = 1 + static_cast<std::int64_t>(random.below(3)),
                                          .heads = heads,
                                          .key_heads = key_heads,
                                          .queries = one_of(kSizes, random),
                                          .keys = one_of(kSizes, random),
                                          .width = one_of(kWidths, random),
                                          .value_width = one_of(kWidths, random)};
    const std::int64_t pairs = shape.batch * shape.heads * shape.queries * shape.keys;
    if (pairs * (shape.width + shape.value_width) <= 600'000) return shape;
  }
}

class LinearTime : public ::testing::TestWithParam<reweighting::AttentionForm> {
 protected:
  template <class T>
  void expect_agreement_under_every_mask() {
    for (std::uint64_t n = 0; n < 16; ++n) {
      RandomStream random(kSeed, stream_of(GetParam()) + 2 * n + (sizeof(T) == 4 ? 0 : 1));
      const Layout layout = random.bits() % 2 == 0 ? Layout::kHeadsFirst : Layout::kRowsFirst;
      Problem<T> problem = random_problem<T>(GetParam(), random_shape(random), random, layout,
                                             static_cast<std::int64_t>(random.below(4)));
      problem.causal = n % 2 == 1;
      if (n % 4 >= 2) add_lengths(problem, random);
      expect_agreement(problem, random, 1 + static_cast<int>(n % 3));
    }
  }
};

TEST_P(LinearTime, AgreesWithTheReferenceInSinglePrecision) { expect_agreement_under_every_mask<float>(); }
TEST_P(LinearTime, AgreesWithTheReferenceInDoublePrecision) { expect_agreement_under_every_mask<double>(); }

TEST_P(LinearTime, AgreesAtEveryTail) {
  for (std::int64_t n = 1; n <= 100; ++n) {
    RandomStream random(kSeed, 4096 + n);
    const attention::AttentionShape shape{
        .queries = n, .keys = 1 + (n * 37) % 101, .width = 1 + n % 9, .value_width = 1 + n % 7};
    Problem<float> problem = random_problem<float>(GetParam(), shape, random, Layout::kHeadsFirst, n % 3);
    problem.causal = n % 2 == 0;
    expect_agreement(problem, random, 1);
  }
}

// Sums of several pieces, more keys than queries and fewer.
TEST_P(LinearTime, AgreesAcrossItsPieces) {
  for (const bool causal : {false, true}) {
    for (const auto& [queries, keys] : {std::pair{1030, 1100}, std::pair{200, 2100}, std::pair{1300, 200}}) {
      RandomStream random(kSeed, 8192 + queries);
      const attention::AttentionShape shape{.queries = queries, .keys = keys, .width = 4, .value_width = 3};
      Problem<float> problem = random_problem<float>(GetParam(), shape, random);
      problem.causal = causal;
      problem.bias_gradient = false;
      expect_agreement(problem, random, causal ? 1 : 2);
    }
  }
}

TEST_P(LinearTime, AgreesForOtherScalesAndParameters) {
  for (const double scale : {0.25, -1.0}) {
    reweighting::AttentionForm form = GetParam();
    form.sum_offset = scale > 0 ? 0.5 : 0.0;
    form.feature_offset = form.feature == reweighting::FeatureMap::kRelu ? 0.5 : 0.0;
    RandomStream random(kSeed, 8448);
    const attention::AttentionShape shape{.heads = 2, .queries = 70, .keys = 90, .width = 8, .value_width = 5};
    Problem<float> problem = random_problem<float>(form, shape, random);
    problem.scale = scale;
    expect_agreement(problem, random, 1);
  }
}

TEST_P(LinearTime, AgreesForOneLargeKeyAndForSmallFeatures) {
  RandomStream random(kSeed, 8449);
  const attention::AttentionShape shape{.queries = 70, .keys = 90, .width = 8, .value_width = 5};
  Problem<float> outlier = random_problem<float>(GetParam(), shape, random);
  for (std::int64_t d = 0; d < shape.width; ++d) outlier.key.row(0, 0, 33)[d] *= 1000;
  expect_agreement(outlier, random, 1);
  Problem<float> small = random_problem<float>(GetParam(), shape, random);
  small.key.for_each([](float& x) { x = -10 + x; });
  small.query.for_each([](float& x) { x = -5 + x; });
  expect_agreement(small, random, 1);
}

template <class T>
void expect_same_bits(Everything<T>& a, Everything<T>& b, const reweighting::AttentionForm& form) {
  const auto first = arrays(a, form), second = arrays(b, form);
  for (std::size_t n = 0; n < first.size(); ++n) {
    EXPECT_TRUE(same_bits(first[n].numbers, second[n].numbers)) << first[n].name;
  }
}

constexpr attention::AttentionShape kLongShape{
    .heads = 2, .key_heads = 1, .queries = 2500, .keys = 3000, .width = 5, .value_width = 6};

TEST_P(LinearTime, HasTheSameBitsOnAnyNumberOfThreads) {
  for (const bool causal : {false, true}) {
    RandomStream random(kSeed, 8450);
    Problem<float> problem = random_problem<float>(GetParam(), kLongShape, random, Layout::kRowsFirst, 1);
    problem.causal = causal;
    problem.bias_gradient = false;
    const Upstream<float> upstream = linear_upstream(problem, random);
    const auto run = [&](int threads) {
      Everything<float> all(problem);
      attention::attend_linear(problem.input(), linear_view(all.forward), threads);
      attention::attend_linear_backward<float>(problem.input(), linear_view(all.forward),
                                               problem.d_output.constant_view(), upstream.view(),
                                               linear_view(all.backward), threads);
      return all;
    };
    for_each_simd_target([&] {
      Everything<float> one = run(1);
      for (const int threads : {1, 2, 3}) {
        SCOPED_TRACE(threads);
        Everything<float> many = run(threads);
        expect_same_bits(one, many, GetParam());
      }
    });
  }
}

// attend() takes it, the sum of squares asked for or not, as it takes all pairs where the entropy is.
TEST_P(LinearTime, IsChosenWhereItServesAndIsFaster) {
  RandomStream random(kSeed, 8451);
  Problem<double> problem = random_problem<double>(GetParam(), kLongShape, random);
  problem.bias_gradient = false;
  problem.causal = true;
  const attention::AttentionInput<double> input = problem.input();
  ASSERT_TRUE(attention::linear_is_faster(problem.shape, true));
  Forward<double> linear(problem), chosen(problem), bare(problem), pairs(problem);
  ASSERT_TRUE(attention::attend_linear(input, linear_view(linear), 2));
  attention::attend(input, linear_view(chosen), 2);
  EXPECT_TRUE(same_bits(chosen.output.packed(), linear.output.packed()));
  EXPECT_TRUE(same_bits(chosen.statistic("sum_of_squares"), linear.statistic("sum_of_squares")));
  attention::AttentionOutput<double> output_alone;
  output_alone.output = bare.output.view();
  attention::attend(input, output_alone, 2);
  EXPECT_TRUE(same_bits(bare.output.packed(), linear.output.packed()));

  attention::attend(input, pairs.view(), 2);
  EXPECT_FALSE(same_bits(pairs.output.packed(), linear.output.packed()));
  const auto expect_close = [](const std::vector<double>& a, const std::vector<double>& b, const char* what) {
    ASSERT_EQ(a.size(), b.size());
    const double largest = largest_size(b);
    for (std::size_t i = 0; i < a.size(); ++i) ASSERT_NEAR(a[i], b[i], 1e-12 * largest) << what << ", number " << i;
  };
  expect_close(linear.output.packed(), pairs.output.packed(), "output");
  for (const char* name : {"sum_of_squares", "first_key", "first_visible_key", "row_sum", "logit_mean"}) {
    expect_close(linear.statistic(name), pairs.statistic(name), name);
  }

  // Either forward pass serves either backward pass.
  const Upstream<double> upstream = linear_upstream(problem, random);
  Upstream<double> with_entropy = upstream;
  static_assert(kDifferentiable<double>[0].name == "entropy");
  with_entropy.arrays[0].assign(problem.rows(), 0.0);
  const auto backward = [&](Forward<double>& forward, const Upstream<double>& from) {
    Backward<double> to(problem);
    attention::attend_backward(input, forward.view(), problem.d_output.constant_view(), from.view(), linear_view(to),
                               2);
    return to;
  };
  Backward<double> of_linear = backward(linear, upstream), of_pairs = backward(pairs, upstream);
  Backward<double> all_pairs = backward(pairs, with_entropy);
  EXPECT_FALSE(same_bits(of_pairs.key.packed(), all_pairs.key.packed()));
  for (Backward<double>* one : {&of_linear, &of_pairs}) {
    expect_close(one->query.packed(), all_pairs.query.packed(), "gradient of queries");
    expect_close(one->key.packed(), all_pairs.key.packed(), "gradient of keys");
    expect_close(one->value.packed(), all_pairs.value.packed(), "gradient of values");
  }
}

INSTANTIATE_TEST_SUITE_P(Kernels, LinearTime, ::testing::ValuesIn(kernel_forms()), form_name);

// Rows of a relu kernel without an offset may have no weight at all.
TEST(LinearTimeOfRelu, AgreesForRowsWithoutWeight) {
  reweighting::AttentionForm form = reweighting::find_attention_form("relu_kernel/sum");
  form.feature_offset = 0.0;
  for (const bool causal : {false, true}) {
    RandomStream random(kSeed, 8452);
    const attention::AttentionShape shape{.heads = 2, .queries = 70, .keys = 90, .width = 2, .value_width = 5};
    Problem<float> problem = random_problem<float>(form, shape, random);
    problem.causal = causal;
    for (std::int64_t j = 0; j < 40; ++j) std::fill_n(problem.key.row(0, 0, j), shape.width, -1.0F);
    const Forward<float> rows = oracle_forward(problem);
    EXPECT_GT(std::count(rows.inverse.begin(), rows.inverse.end(), 0.0F), 10);
    expect_agreement(problem, random, 1);
  }
}

TEST(LinearTimeServes, NeitherMasksOfPairsNorOtherForms) {
  RandomStream random(kSeed, 3);
  Problem<float> problem =
      random_problem<float>(reweighting::find_attention_form("elu1_kernel/sum"), kLongShape, random);
  const attention::AttentionOutput<float> nothing;
  EXPECT_TRUE(attention::linear_serves(problem.input(), nothing));
  Problem<float> windowed = problem, sloped = problem, biased = problem;
  windowed.window = 20;
  add_slopes(sloped);
  add_bias(biased, random);
  for (Problem<float>* one : {&windowed, &sloped, &biased}) {
    EXPECT_FALSE(attention::linear_serves(one->input(), nothing)) << described(*one);
    EXPECT_FALSE(attention::linear_serves<float>(one->input(), {}, {})) << described(*one);
  }
  for (const reweighting::AttentionForm& form : reweighting::attention_forms()) {
    problem.form = form;
    EXPECT_EQ(attention::linear_serves(problem.input(), nothing), form.feature != reweighting::FeatureMap::kNone)
        << form.name;
  }
}

TEST(LinearTimeServes, NoStatisticThatNeedsEveryWeight) {
  RandomStream random(kSeed, 4);
  Problem<float> problem =
      random_problem<float>(reweighting::find_attention_form("elu1_kernel/sum"), kLongShape, random);
  for (std::size_t n = 0; n < kStatistics<float>.size(); ++n) {
    attention::AttentionOutput<float> asked;
    std::vector<float> array(problem.rows());
    asked.statistics.*kStatistics<float>[n].member = array.data();
    EXPECT_EQ(attention::linear_serves(problem.input(), asked), has(kLinearStatistics, kStatistics<float>[n].name))
        << kStatistics<float>[n].name;
  }
  for (const ParameterName<float>& parameter : kParameters<float>) {
    attention::AttentionGradient<float> asked;
    float number = 0;
    asked.parameters.*parameter.gradient = &number;
    EXPECT_FALSE(attention::linear_serves<float>(problem.input(), {}, asked)) << parameter.name;
  }
  for (const StatisticGradientName<float>& statistic : kDifferentiable<float>) {
    attention::RowStatisticsGradient<float> given;
    std::vector<float> array(problem.rows());
    given.*statistic.gradient = array.data();
    EXPECT_EQ(attention::linear_serves<float>(problem.input(), given, {}), has(kLinearGradients, statistic.name))
        << statistic.name;
  }
}

}  // namespace
}  // namespace polariscope::testing
