// Every form of the family, on every instruction set, in both types, under every mask, over odd shapes.
#include "agreement.h"
#include "support/simd_targets.h"

#include <array>

namespace polariscope::testing {
namespace {

constexpr std::uint64_t kSeed = 81;

enum class Kind { kFull, kCausal, kWindow, kRagged, kAllMasks, kBias, kSlopes, kTiny, kTinyMasks };
constexpr std::array kKinds{Kind::kFull, Kind::kCausal, Kind::kWindow, Kind::kRagged,   Kind::kAllMasks,
                            Kind::kBias, Kind::kSlopes, Kind::kTiny,   Kind::kTinyMasks};

template <std::size_t n>
std::int64_t one_of(const std::array<std::int64_t, n>& choices, RandomStream& random) {
  return choices[random.below(n)];
}

// Sizes around the kernels' blocks of lanes and keys, at most `most` products of numbers.
attention::AttentionShape random_shape(RandomStream& random, std::int64_t most) {
  constexpr std::array<std::int64_t, 10> kSizes{1, 2, 15, 17, 31, 48, 49, 97, 130, 257};
  constexpr std::array<std::int64_t, 11> kWidths{1, 3, 4, 5, 16, 32, 59, 64, 80, 111, 128};
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
    if (pairs * (shape.width + shape.value_width) <= most && pairs <= most / 32) return shape;
  }
}

// The in-context regression's and the induction task's: many short sequences.
attention::AttentionShape tiny_shape(RandomStream& random) {
  const std::int64_t width = random.bits() % 2 == 0 ? 3 : 32;
  const std::int64_t tokens = width == 3 ? 20 : 12;
  const std::int64_t heads = 1 + static_cast<std::int64_t>(random.below(2));
  return {.batch = 35,
          .heads = heads,
          .key_heads = random.bits() % 4 == 0 ? 1 : heads,
          .queries = tokens,
          .keys = tokens,
          .width = width,
          .value_width = width};
}

template <class T>
Problem<T> drawn(const reweighting::AttentionForm& form, Kind kind, RandomStream& random) {
  const bool tiny = kind == Kind::kTiny || kind == Kind::kTinyMasks;
  const attention::AttentionShape shape = tiny ? tiny_shape(random) : random_shape(random, 600'000);
  const Layout layout = random.bits() % 2 == 0 ? Layout::kHeadsFirst : Layout::kRowsFirst;
  Problem<T> problem = random_problem<T>(form, shape, random, layout, static_cast<std::int64_t>(random.below(4)));
  const bool all_masks = kind == Kind::kAllMasks || kind == Kind::kTinyMasks;
  problem.causal = kind == Kind::kCausal || all_masks || (kind == Kind::kTiny && random.bits() % 2 == 0);
  if (kind == Kind::kWindow || all_masks) problem.window = 1 + static_cast<std::int64_t>(random.below(shape.keys));
  if (kind == Kind::kRagged || all_masks) add_lengths(problem, random);
  if (kind == Kind::kBias) add_bias(problem, random);
  problem.bias_gradient = !tiny;  // which takes short sequences off their path
  if (kind == Kind::kSlopes) add_slopes(problem);
  return problem;
}

template <class T>
void expect_conformance(Problem<T>& problem, RandomStream& random, int threads) {
  SCOPED_TRACE(fmt::format("seed {}, {}", kSeed, described(problem)));
  const Upstream<T> upstream = random_upstream(problem, random);
  Judge<T> judge(problem, upstream);
  for_each_simd_target([&] {
    Everything<T> kernel = kernel_everything(problem, upstream, threads);
    judge.expect_agreement(kernel);
  });
}

class KernelsOfForm : public ::testing::TestWithParam<reweighting::AttentionForm> {
 protected:
  template <class T>
  void expect_conformance_under_every_mask() {
    for (std::size_t kind = 0; kind < kKinds.size(); ++kind) {
      RandomStream random(kSeed, stream_of(GetParam()) + 2 * kind + (sizeof(T) == 4 ? 0 : 1));
      Problem<T> problem = drawn<T>(GetParam(), kKinds[kind], random);
      expect_conformance(problem, random, 1 + static_cast<int>(kind % 3));
    }
  }
};

TEST_P(KernelsOfForm, AgreeWithTheReferenceInSinglePrecision) { expect_conformance_under_every_mask<float>(); }
TEST_P(KernelsOfForm, AgreeWithTheReferenceInDoublePrecision) { expect_conformance_under_every_mask<double>(); }

INSTANTIATE_TEST_SUITE_P(Family, KernelsOfForm,
                         ::testing::ValuesIn(reweighting::attention_forms().begin(),
                                             reweighting::attention_forms().end()),
                         form_name);

// Every tail of a block of lanes and of a block of keys, for the three kinds of row.
template <class T>
void expect_every_tail(std::string_view name) {
  for (std::int64_t n = 1; n <= 100; ++n) {
    RandomStream random(kSeed, 4096 + n);
    const attention::AttentionShape shape{
        .queries = n, .keys = 1 + (n * 37) % 101, .width = 1 + n % 9, .value_width = 1 + n % 7};
    Problem<T> problem =
        random_problem<T>(reweighting::find_attention_form(name), shape, random, Layout::kHeadsFirst, n % 3);
    problem.causal = n % 2 == 0;
    expect_conformance(problem, random, 1);
  }
}

TEST(Kernels, OfSoftmaxAgreeAtEveryTail) {
  expect_every_tail<float>("softmax");
  expect_every_tail<double>("softmax");
}
TEST(Kernels, OfTheLinearAttentionAgreeAtEveryTail) { expect_every_tail<float>("elu1_kernel/sum"); }
TEST(Kernels, OfEntmaxAgreeAtEveryTail) { expect_every_tail<float>("entmax"); }

TEST(Kernels, AgreeOverAThousandKeys) {
  std::uint64_t stream = 8192;
  for (const std::string_view name : {"softmax", "sigmoid/sum", "sparsemax"}) {
    RandomStream random(kSeed, stream++);
    const attention::AttentionShape shape{
        .queries = name == "softmax" ? 1025 : 49, .keys = 1025, .width = 16, .value_width = 32};
    Problem<float> problem = random_problem<float>(reweighting::find_attention_form(name), shape, random);
    problem.causal = true;
    expect_conformance(problem, random, 2);
  }
}

TEST(Kernels, AgreeForOtherParametersOfTheForms) {
  std::uint64_t stream = 8448;
  const auto expect_agreement = [&](std::string_view name, double reweighting::AttentionForm::*parameter,
                                    double value) {
    reweighting::AttentionForm form = reweighting::find_attention_form(name);
    form.*parameter = value;
    RandomStream random(kSeed, stream++);
    const attention::AttentionShape shape{.heads = 2, .queries = 33, .keys = 50, .width = 8, .value_width = 5};
    Problem<float> problem = random_problem<float>(form, shape, random);
    SCOPED_TRACE(value);
    expect_conformance(problem, random, 1);
  };
  expect_agreement("softcap", &reweighting::AttentionForm::transform_factor, 1.5);
  expect_agreement("ssmax", &reweighting::AttentionForm::transform_factor, 0.4);
  expect_agreement("relu/count", &reweighting::AttentionForm::count_power, 0.5);
  expect_agreement("sigmoid/sum", &reweighting::AttentionForm::sum_offset, 0.5);
  expect_agreement("relu_kernel/sum", &reweighting::AttentionForm::feature_offset, 0.5);
  expect_agreement("clipped", &reweighting::AttentionForm::gamma, -0.5);
  expect_agreement("clipped", &reweighting::AttentionForm::zeta, 20.0);
  expect_agreement("softpick", &reweighting::AttentionForm::epsilon, 1.0);
  expect_agreement("entmax", &reweighting::AttentionForm::alpha, 1.25);
  expect_agreement("entmax", &reweighting::AttentionForm::alpha, 1.9);
  expect_agreement("entmax", &reweighting::AttentionForm::alpha, 2.0);
}

}  // namespace
}  // namespace polariscope::testing
