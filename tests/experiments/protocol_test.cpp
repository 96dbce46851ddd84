#include "polariscope/experiments/shared/protocol.h"

#include "polariscope/experiments/shared/experiment.h"

#include <gtest/gtest.h>

#include <set>

namespace polariscope::testing {
namespace {

using experiments::Quantities;

TEST(Protocol, SaysWhatTheQuickPresetCuts) {
  const Quantities quick{{"model", "tied"},
                         experiments::counted_quantity("descents a setting", 500, "descents", 12),
                         experiments::counted_quantity("flows a setting", 4, "flows", 12),
                         experiments::seeds_quantity(3, 5)};
  Quantities paper = quick;
  EXPECT_EQ(experiments::cuts(quick, paper), "");
  paper[1] = experiments::counted_quantity("descents a setting", 12'500, "descents", 12);
  EXPECT_EQ(experiments::cuts(quick, paper), "6\u202f000 descents where the paper preset takes 150\u202f000.");
  paper[2] = experiments::counted_quantity("flows a setting", 50, "flows", 12);
  paper[3] = experiments::seeds_quantity(3, 20);
  EXPECT_EQ(experiments::cuts(quick, paper),
            "6\u202f000 descents, 48 flows and 5 seeds where the paper preset takes 150\u202f000, 600 and 20.");
  EXPECT_EQ(experiments::configuration_of(quick).back(), (std::pair<std::string, std::string>("seeds", "3 to 7")));
}

TEST(Protocol, WritesNumbersAsAPersonDoes) {
  EXPECT_EQ(experiments::plain(0.1), "0.1");
  EXPECT_EQ(experiments::plain(1.0), "1");
  EXPECT_EQ(experiments::plain(0.001), "0.001");
  EXPECT_EQ(experiments::plain(1e-5), "1e-5");
  EXPECT_EQ(experiments::plain(-2.5e-20), "-2.5e-20");
  EXPECT_EQ(experiments::plain(99'999.0), "99999");
  EXPECT_EQ(experiments::plain(1e5), "1e5");
  EXPECT_EQ(experiments::plain(1e12), "1e12");
  EXPECT_EQ(experiments::plain(1e299), "1e299");
  EXPECT_EQ(experiments::counted(999), "999");
  EXPECT_EQ(experiments::counted(1'234'567), "1\u202f234\u202f567");
  EXPECT_EQ(experiments::set_of(std::vector{2, 4, 8}), "{2, 4, 8}");
  EXPECT_EQ(experiments::listed(std::vector{1e-5, 0.1, 1.0}), "1e-5, 0.1, 1");
  EXPECT_EQ(experiments::in_a_row({"a", "b", "c"}), "a, b and c");
}

// The whole catalogue: a preset may change no row without saying by how much, and what changes nothing is no cut.
TEST(Protocol, OfEveryExperimentNamesEachRowThatThePresetsChange) {
  for (const experiments::Experiment& experiment : experiments::catalogue()) {
    SCOPED_TRACE(experiment.id);
    EXPECT_EQ(experiment.protocol == nullptr, !experiment.trainings.empty());
    if (experiment.protocol == nullptr) continue;
    const Quantities quick = experiment.protocol({.preset = experiments::Preset::kQuick, .seed = 7, .progress = {}});
    const Quantities paper = experiment.protocol({.preset = experiments::Preset::kPaper, .seed = 7, .progress = {}});
    ASSERT_EQ(quick.size(), paper.size());
    std::set<std::string> names;
    for (std::size_t i = 0; i < quick.size(); ++i) {
      EXPECT_EQ(quick[i].name, paper[i].name);
      EXPECT_TRUE(names.insert(quick[i].name).second) << quick[i].name << " is there twice";
      EXPECT_FALSE(quick[i].value.empty()) << quick[i].name;
      EXPECT_EQ(quick[i].value == paper[i].value, quick[i].amount == paper[i].amount) << quick[i].name;
      EXPECT_EQ(quick[i].amount.empty(), quick[i].of.empty()) << quick[i].name;
    }
    EXPECT_NE(experiments::cuts(quick, paper), "") << "the quick preset is the paper's";
  }
}

}  // namespace
}  // namespace polariscope::testing
