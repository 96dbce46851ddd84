// The C interface gives the bits of the calls that it hands on, and each instruction set the reference's numbers.
#include "attention/agreement.h"

#include "c_arrays.h"

#include <sstream>

namespace polariscope::testing {
namespace {

constexpr std::uint64_t kSeed = 95;

template <class T>
Everything<T> over_c(Problem<T>& problem, const Upstream<T>& upstream) {
  Everything<T> all(problem);
  CProblem<T> c(problem, all.forward, upstream, all.backward);
  EXPECT_EQ(polariscope_attend(&c.attention, &c.rows), 0) << polariscope_last_error();
  EXPECT_EQ(polariscope_attend_columns(&c.attention, &c.rows, all.columns.data()), 0) << polariscope_last_error();
  EXPECT_EQ(polariscope_attend_backward(&c.attention, &c.rows, &c.incoming, &c.gradient), 0)
      << polariscope_last_error();
  const std::int64_t keys = problem.shape.keys, matrix = problem.shape.queries * keys;
  const polariscope_heads weights{all.weights.data(), problem.shape.heads * matrix, matrix, keys};
  EXPECT_EQ(polariscope_attention_weights(&c.attention, &weights), 0) << polariscope_last_error();
  return all;
}

template <class T>
Problem<T> drawn(const reweighting::AttentionForm& form, bool masks) {
  RandomStream random(kSeed, stream_of(form));
  const attention::AttentionShape shape{
      .batch = 2, .heads = 4, .key_heads = 2, .queries = 67, .keys = 71, .width = 12, .value_width = 9};
  Problem<T> problem = random_problem<T>(form, shape, random, Layout::kRowsFirst, 3);
  if (masks) {
    problem.causal = true;
    problem.window = 40;
    add_lengths(problem, random);
    add_slopes(problem);
    add_bias(problem, random);
  }
  return problem;
}

template <class T>
void expect_the_bits_of_attend(const reweighting::AttentionForm& form, bool masks) {
  Problem<T> problem = drawn<T>(form, masks);
  RandomStream random(kSeed, 1);
  const Upstream<T> upstream = random_upstream(problem, random);
  SCOPED_TRACE(described(problem));
  Everything<T> expected = kernel_everything(problem, upstream, 1), found = over_c(problem, upstream);
  const auto theirs = arrays(expected, form), ours = arrays(found, form);
  for (std::size_t n = 0; n < ours.size(); ++n) {
    EXPECT_TRUE(std::equal(ours[n].numbers.begin(), ours[n].numbers.end(), theirs[n].numbers.begin(), [](T a, T b) {
      return a == b || (std::isnan(a) && std::isnan(b));
    })) << ours[n].name;
  }
  EXPECT_EQ(found.forward.argmax, expected.forward.argmax);
  EXPECT_EQ(found.forward.visible, expected.forward.visible);
  EXPECT_EQ(found.forward.non_finite, expected.forward.non_finite);
}

class CInterface : public ::testing::TestWithParam<reweighting::AttentionForm> {};

TEST_P(CInterface, GivesTheBitsOfAttend) {
  expect_the_bits_of_attend<float>(GetParam(), false);
  expect_the_bits_of_attend<double>(GetParam(), true);
}

TEST_P(CInterface, AgreesWithTheReferenceOnEveryInstructionSet) {
  Problem<float> problem = drawn<float>(GetParam(), true);
  RandomStream random(kSeed, 2);
  const Upstream<float> upstream = random_upstream(problem, random);
  Judge<float> judge(problem, upstream);
  std::istringstream names(polariscope_instruction_sets());
  int sets = 0;
  for (std::string name; std::getline(names, name, ',');) {
    SCOPED_TRACE(name);
    ASSERT_EQ(polariscope_use_instruction_set(name.c_str()), 0) << polariscope_last_error();
    Everything<float> found = over_c(problem, upstream);
    judge.expect_agreement(found);
    ++sets;
  }
  EXPECT_EQ(polariscope_use_instruction_set(nullptr), 0);
  EXPECT_GE(sets, 1);
}

INSTANTIATE_TEST_SUITE_P(Family, CInterface,
                         ::testing::ValuesIn(reweighting::attention_forms().begin(),
                                             reweighting::attention_forms().end()),
                         form_name);

TEST(CInterface, WritesWeightsWithStridesAndLeavesWhatIsBetween) {
  Problem<float> problem = drawn<float>(reweighting::find_attention_form("softmax"), true);
  const Upstream<float> upstream;
  Everything<float> all = over_c(problem, upstream);
  const attention::AttentionShape& s = problem.shape;
  Tensor<float> weights(s.batch, s.heads, s.queries, s.keys, Layout::kRowsFirst, 5);
  CProblem<float> c(problem, all.forward, upstream, all.backward);
  const polariscope_heads to = c_heads(weights.view());
  ASSERT_EQ(polariscope_attention_weights(&c.attention, &to), 0) << polariscope_last_error();
  EXPECT_EQ(weights.packed(), all.weights);
  EXPECT_TRUE(weights.gaps_are_untouched());
}

TEST(CInterface, TakesNoGradientOfTheOutputForZero) {
  Problem<double> problem = drawn<double>(reweighting::find_attention_form("softmax"), true);
  RandomStream random(kSeed, 3);
  const Upstream<double> upstream = random_upstream(problem, random);
  Everything<double> all(problem), zero(problem);
  CProblem<double> c(problem, all.forward, upstream, all.backward);
  ASSERT_EQ(polariscope_attend(&c.attention, &c.rows), 0);
  c.incoming.output = {};
  ASSERT_EQ(polariscope_attend_backward(&c.attention, &c.rows, &c.incoming, &c.gradient), 0)
      << polariscope_last_error();
  problem.d_output.for_each([](double& x) { x = 0; });
  attention::attend_backward(problem.input(), all.forward.view(), problem.d_output.constant_view(), upstream.view(),
                             zero.backward.view(), 1);
  EXPECT_EQ(all.backward.query.packed(), zero.backward.query.packed());
  EXPECT_EQ(all.backward.key.packed(), zero.backward.key.packed());
}

TEST(CInterface, SetsParametersByName) {
  Problem<double> problem = drawn<double>(reweighting::find_attention_form("entmax"), false);
  problem.form.alpha = 1.25;
  const Upstream<double> upstream;
  Everything<double> expected = kernel_everything(problem, upstream, 1), found(problem);
  CProblem<double> c(problem, found.forward, upstream, found.backward);
  const char* names[] = {"alpha"};
  const double values[] = {1.25};
  c.attention.parameter_count = 1;
  c.attention.parameter_names = names;
  c.attention.parameter_values = values;
  c.attention.scale = problem.scale;
  ASSERT_EQ(polariscope_attend(&c.attention, &c.rows), 0) << polariscope_last_error();
  EXPECT_EQ(found.forward.output.packed(), expected.forward.output.packed());
}

}  // namespace
}  // namespace polariscope::testing
