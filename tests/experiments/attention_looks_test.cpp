// How the table's attentions are drawn.
#include "polariscope/experiments/shared/attention_looks.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace polariscope::testing {
namespace {

TEST(AttentionLooks, EveryColourOfTheTableIsOneOfTheReports) {
  for (const reweighting::AttentionForm& form : reweighting::attention_forms()) {
    EXPECT_NO_THROW(EXPECT_EQ(experiments::colour_of(form.name).empty(), form.colour.empty())) << form.name;
  }
}

TEST(AttentionLooks, OfTheFlowsTableHaveAColourEachAndDashTellsSiblingsApart) {
  std::set<std::pair<std::string, bool>> looks;
  for (const reweighting::Reweighting& row : reweighting::reweightings()) {
    EXPECT_FALSE(experiments::colour_of(row.name).empty()) << row.name;
    EXPECT_TRUE(looks.emplace(experiments::colour_of(row.name), experiments::is_dashed(row.name)).second) << row.name;
  }
}

TEST(AttentionLooks, DashesMeanThatNothingDividesTheWeights) {
  for (const char* name : {"sigmoid", "relu", "elu1", "identity", "mlp", "elu1_kernel", "sigmoid_log"}) {
    EXPECT_TRUE(experiments::is_dashed(name)) << name;
  }
  for (const char* name : {"softmax", "sigmoid/sum", "identity/max1", "softmax1", "relu/count", "clipped", "entmax"}) {
    EXPECT_FALSE(experiments::is_dashed(name)) << name;
  }
}

TEST(AttentionLooks, AreFoundByThePolarisationPapersNamesToo) {
  EXPECT_EQ(experiments::colour_of("linear"), experiments::colour_of("elu1_kernel/sum"));
  EXPECT_TRUE(experiments::is_dashed("mlp_unnorm"));
  EXPECT_EQ(experiments::kind_of("raw_dotproduct_norm"), reweighting::WeightKind::kSigned);
}

}  // namespace
}  // namespace polariscope::testing
