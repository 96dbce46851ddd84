// The family of attentions: its names, its parameters' ranges, its table for people.
#include "polariscope/reweighting/attention_form.h"

#include "polariscope/base/error.h"

#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace polariscope::testing {
namespace {

std::string complaint(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(AttentionForms, HaveUniqueNamesAndAliases) {
  std::set<std::string_view> names;
  for (const reweighting::AttentionForm& form : reweighting::attention_forms()) {
    EXPECT_TRUE(names.insert(form.name).second) << form.name;
    if (!form.alias.empty()) {
      EXPECT_TRUE(names.insert(form.alias).second) << form.alias;
    }
    EXPECT_FALSE(form.formula.empty()) << form.name;
  }
}

TEST(AttentionForms, AreFoundByNameAndByAlias) {
  for (const reweighting::AttentionForm& form : reweighting::attention_forms()) {
    EXPECT_EQ(&reweighting::find_attention_form(form.name), &form);
    if (!form.alias.empty()) {
      EXPECT_EQ(&reweighting::find_attention_form(form.alias), &form);
    }
  }
}

TEST(AttentionForms, HoldTheTwelveOfThePolarisationPaper) {
  const std::vector<std::pair<std::string_view, std::string_view>> expected{{"softmax", "softmax"},
                                                                            {"sigmoid_norm", "sigmoid/sum"},
                                                                            {"sigmoid_unnorm", "sigmoid"},
                                                                            {"linear", "elu1_kernel/sum"},
                                                                            {"linear_unnorm", "elu1_kernel"},
                                                                            {"coupled_linear_norm", "elu1/sum"},
                                                                            {"coupled_linear_unnorm", "elu1"},
                                                                            {"raw_dotproduct_norm", "identity/max1"},
                                                                            {"raw_dotproduct_unnorm", "identity"},
                                                                            {"mlp_norm", "mlp/max1"},
                                                                            {"mlp_unnorm", "mlp"},
                                                                            {"uniform", "uniform"}};
  for (const auto& [paper, ours] : expected) EXPECT_EQ(reweighting::find_attention_form(paper).name, ours);
}

TEST(AttentionForms, HoldEveryRowOfTheVectorTableWithItsFunctionAndNormaliser) {
  for (const reweighting::Reweighting& row : reweighting::reweightings()) {
    const reweighting::AttentionForm& form = reweighting::find_attention_form(row.name);
    EXPECT_EQ(form.formula, row.formula);
    EXPECT_EQ(form.rule, reweighting::RowRule::kElementwise);
    EXPECT_TRUE(form.scaled);
  }
  EXPECT_EQ(reweighting::find_attention_form("softmax1").normaliser, reweighting::Normaliser::kSumAndSink);
  EXPECT_EQ(reweighting::find_attention_form("abs/sum").weight, reweighting::WeightFunction::kAbs);
}

TEST(AttentionForms, OfAFeatureMapAreNotScaled) {
  for (const reweighting::AttentionForm& form : reweighting::attention_forms()) {
    EXPECT_EQ(form.scaled, form.feature == reweighting::FeatureMap::kNone) << form.name;
  }
}

TEST(AttentionForms, AnUnknownNameIsRefusedWithTheNearestOne) {
  const auto complaint_of = [](std::string_view name) {
    return complaint([name] { reweighting::find_attention_form(name); });
  };
  EXPECT_NE(complaint_of("entmux").find("did you mean \"entmax\"?"), std::string::npos) << complaint_of("entmux");
  EXPECT_NE(complaint_of("elu1_kernal").find("did you mean \"elu1_kernel\"?"), std::string::npos)
      << complaint_of("elu1_kernal");
  EXPECT_NE(complaint_of("").find("known: "), std::string::npos) << complaint_of("");
}

TEST(AttentionForms, OfTheTableAreValid) {
  for (const reweighting::AttentionForm& form : reweighting::attention_forms())
    EXPECT_NO_THROW(reweighting::validate(form)) << form.name;
}

TEST(AttentionForms, AParameterOutOfItsRangeIsRefusedWithWhatWasFound) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const auto refuses = [](std::string_view name, double reweighting::AttentionForm::*parameter, double value) {
    reweighting::AttentionForm form = reweighting::find_attention_form(name);
    form.*parameter = value;
    const std::string sentence = complaint([&] { reweighting::validate(form); });
    EXPECT_NE(sentence.find(name), std::string::npos) << name << " " << value << ": " << sentence;
    EXPECT_NE(sentence.find("found"), std::string::npos) << name << " " << value << ": " << sentence;
  };
  for (const double bad : {-0.01, nan}) refuses("relu_kernel/sum", &reweighting::AttentionForm::feature_offset, bad);
  for (const double bad : {0.0, -1.0, nan}) refuses("softcap", &reweighting::AttentionForm::transform_factor, bad);
  for (const double bad : {-1e-9, nan}) refuses("sigmoid/sum", &reweighting::AttentionForm::sum_offset, bad);
  for (const double bad : {-1.0, nan}) refuses("relu/count", &reweighting::AttentionForm::count_power, bad);
  for (const double bad : {0.01, nan}) refuses("clipped", &reweighting::AttentionForm::gamma, bad);
  for (const double bad : {0.99, nan}) refuses("clipped", &reweighting::AttentionForm::zeta, bad);
  for (const double bad : {0.0, -1e-8, nan}) refuses("softpick", &reweighting::AttentionForm::epsilon, bad);
  for (const double bad : {1.0, 0.5, nan}) refuses("entmax", &reweighting::AttentionForm::alpha, bad);
}

TEST(AttentionForms, AtTheEndsOfTheirRangesAreValid) {
  reweighting::AttentionForm form = reweighting::find_attention_form("clipped");
  form.gamma = 0.0;
  form.zeta = 1.0;
  form.count_power = 0.0;
  EXPECT_NO_THROW(reweighting::validate(form));
}

TEST(AttentionForms, AreSignedOnlyWhereTheScoreItselfIsTheWeight) {
  std::set<std::string_view> found;
  for (const reweighting::AttentionForm& form : reweighting::attention_forms()) {
    if (reweighting::is_signed(form)) found.insert(form.name);
  }
  EXPECT_EQ(found, (std::set<std::string_view>{"identity", "identity/sum", "identity/max1", "mlp", "mlp/max1"}));
}

TEST(AttentionForms, SumOffsetsBelongToSumsOfOtherWeightsThanExponentials) {
  for (const reweighting::AttentionForm& form : reweighting::attention_forms()) {
    EXPECT_EQ(reweighting::has_sum_offset(form), form.name.ends_with("/sum") || form.name == "uniform") << form.name;
  }
}

TEST(AttentionForms, ForPeopleHaveOneLineEach) {
  const auto table = reweighting::attention_form_table();
  ASSERT_EQ(table.size(), reweighting::attention_forms().size() + 1);
  for (std::size_t i = 0; i < reweighting::attention_forms().size(); ++i) {
    const reweighting::AttentionForm& form = reweighting::attention_forms()[i];
    EXPECT_EQ(table[i + 1],
              (std::vector<std::string>{std::string(form.name), std::string(form.alias), std::string(form.formula)}));
  }
}

}  // namespace
}  // namespace polariscope::testing
