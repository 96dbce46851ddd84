// The table of attentions over the C interface, and what the library says of itself.
#include "polariscope/base/version.h"
#include "polariscope/c_api.h"
#include "polariscope/reweighting/attention_form.h"

#include <gtest/gtest.h>

#include <string>

namespace polariscope::testing {
namespace {

TEST(CForms, AreTheTable) {
  const auto forms = reweighting::attention_forms();
  ASSERT_EQ(polariscope_form_count(), static_cast<int>(forms.size()));
  for (int i = 0; i < polariscope_form_count(); ++i) {
    polariscope_form form{};
    form.size = sizeof form;
    ASSERT_EQ(polariscope_describe_form(i, &form), 0) << polariscope_last_error();
    EXPECT_EQ(form.name, forms[i].name);
    EXPECT_EQ(form.alias, forms[i].alias);
    EXPECT_EQ(form.formula, forms[i].formula);
    EXPECT_EQ(form.scaled != 0, forms[i].scaled);
    EXPECT_EQ(form.kind, static_cast<int>(reweighting::kind_of(forms[i])));
    const std::string statistics = form.statistics;
    EXPECT_TRUE(statistics.starts_with("entropy,")) << statistics;
    EXPECT_NE(statistics.find(",first_visible_key"), std::string::npos) << statistics;
    EXPECT_EQ(
        statistics.find("log_sum_exp") != std::string::npos,
        forms[i].weight == reweighting::WeightFunction::kExp && forms[i].rule == reweighting::RowRule::kElementwise);
    EXPECT_EQ(polariscope_find_form(form.name), i);
    if (*form.alias != '\0') {
      EXPECT_EQ(polariscope_find_form(form.alias), i);
    }
  }
}

TEST(CForms, HaveTheirParameters) {
  const auto parameters = [](const char* name) {
    polariscope_form form{};
    form.size = sizeof form;
    EXPECT_EQ(polariscope_describe_form(polariscope_find_form(name), &form), 0);
    return std::string(form.parameters);
  };
  EXPECT_EQ(parameters("softmax"), "");
  EXPECT_EQ(parameters("clipped"), "gamma,zeta");
  EXPECT_EQ(parameters("entmax"), "alpha");
}

TEST(CForms, ThatAreUnknownAreRefused) {
  EXPECT_EQ(polariscope_find_form("softmaks"), -1);
  EXPECT_NE(std::string(polariscope_last_error()).find("softmax"), std::string::npos);
  EXPECT_EQ(polariscope_find_form(nullptr), -1);
  polariscope_form form{};
  form.size = sizeof form;
  EXPECT_EQ(polariscope_describe_form(-1, &form), 1);
  EXPECT_EQ(polariscope_describe_form(1000, &form), 1);
  EXPECT_EQ(polariscope_describe_form(0, nullptr), 1);
}

TEST(CLibrary, SaysItsVersions) {
  EXPECT_EQ(polariscope_api_version(), POLARISCOPE_API_VERSION);
  EXPECT_EQ(polariscope_version(), version());
}

}  // namespace
}  // namespace polariscope::testing
