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
  for (const AttentionForm& form : attention_forms()) {
    EXPECT_TRUE(names.insert(form.name).second) << form.name;
    if (!form.alias.empty()) {
      EXPECT_TRUE(names.insert(form.alias).second) << form.alias;
    }
    EXPECT_FALSE(form.formula.empty()) << form.name;
  }
}

TEST(AttentionForms, AreFoundByNameAndByAlias) {
  for (const AttentionForm& form : attention_forms()) {
    EXPECT_EQ(&find_attention_form(form.name), &form);
    if (!form.alias.empty()) {
      EXPECT_EQ(&find_attention_form(form.alias), &form);
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
  for (const auto& [paper, ours] : expected) EXPECT_EQ(find_attention_form(paper).name, ours);
}

TEST(AttentionForms, HoldEveryRowOfTheVectorTableWithItsFunctionAndNormaliser) {
  for (const Reweighting& row : reweightings()) {
    const AttentionForm& form = find_attention_form(row.name);
    EXPECT_EQ(form.formula, row.formula);
    EXPECT_EQ(form.rule, RowRule::kElementwise);
    EXPECT_TRUE(form.scaled);
  }
  EXPECT_EQ(find_attention_form("softmax1").normaliser, Normaliser::kSumAndSink);
  EXPECT_EQ(find_attention_form("abs/sum").weight, WeightFunction::kAbs);
}

TEST(AttentionForms, OfAFeatureMapAreNotScaled) {
  for (const AttentionForm& form : attention_forms()) {
    EXPECT_EQ(form.scaled, form.feature == FeatureMap::kNone) << form.name;
  }
}

TEST(AttentionForms, AnUnknownNameIsRefusedWithTheNearestOne) {
  const auto complaint_of = [](std::string_view name) { return complaint([name] { find_attention_form(name); }); };
  EXPECT_NE(complaint_of("entmux").find("did you mean \"entmax\"?"), std::string::npos) << complaint_of("entmux");
  EXPECT_NE(complaint_of("elu1_kernal").find("did you mean \"elu1_kernel\"?"), std::string::npos)
      << complaint_of("elu1_kernal");
  EXPECT_NE(complaint_of("").find("known: "), std::string::npos) << complaint_of("");
}

TEST(AttentionForms, OfTheTableAreValid) {
  for (const AttentionForm& form : attention_forms()) EXPECT_NO_THROW(validate(form)) << form.name;
}

TEST(AttentionForms, AParameterOutOfItsRangeIsRefusedWithWhatWasFound) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const auto refuses = [](std::string_view name, double AttentionForm::*parameter, double value) {
    AttentionForm form = find_attention_form(name);
    form.*parameter = value;
    const std::string sentence = complaint([&] { validate(form); });
    EXPECT_NE(sentence.find(name), std::string::npos) << name << " " << value << ": " << sentence;
    EXPECT_NE(sentence.find("found"), std::string::npos) << name << " " << value << ": " << sentence;
  };
  for (const double bad : {-0.01, nan}) refuses("relu_kernel/sum", &AttentionForm::feature_offset, bad);
  for (const double bad : {0.0, -1.0, nan}) refuses("softcap", &AttentionForm::transform_factor, bad);
  for (const double bad : {-1e-9, nan}) refuses("sigmoid/sum", &AttentionForm::sum_offset, bad);
  for (const double bad : {-1.0, nan}) refuses("relu/count", &AttentionForm::count_power, bad);
  for (const double bad : {0.01, nan}) refuses("clipped", &AttentionForm::gamma, bad);
  for (const double bad : {0.99, nan}) refuses("clipped", &AttentionForm::zeta, bad);
  for (const double bad : {0.0, -1e-8, nan}) refuses("softpick", &AttentionForm::epsilon, bad);
  for (const double bad : {1.0, 0.5, nan}) refuses("entmax", &AttentionForm::alpha, bad);
}

TEST(AttentionForms, AtTheEndsOfTheirRangesAreValid) {
  AttentionForm form = find_attention_form("clipped");
  form.gamma = 0.0;
  form.zeta = 1.0;
  form.count_power = 0.0;
  EXPECT_NO_THROW(validate(form));
}

TEST(AttentionForms, AreSignedOnlyWhereTheScoreItselfIsTheWeight) {
  std::set<std::string_view> found;
  for (const AttentionForm& form : attention_forms()) {
    if (is_signed(form)) found.insert(form.name);
  }
  EXPECT_EQ(found, (std::set<std::string_view>{"identity", "identity/sum", "identity/max1", "mlp", "mlp/max1"}));
}

TEST(AttentionForms, ForPeopleHaveOneLineEach) {
  const auto table = attention_form_table();
  ASSERT_EQ(table.size(), attention_forms().size() + 1);
  for (std::size_t i = 0; i < attention_forms().size(); ++i) {
    const AttentionForm& form = attention_forms()[i];
    EXPECT_EQ(table[i + 1],
              (std::vector<std::string>{std::string(form.name), std::string(form.alias), std::string(form.formula)}));
  }
}

}  // namespace
}  // namespace polariscope::testing
