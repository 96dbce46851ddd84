// The parts of the Lipschitz paper that need no training, run at their quick sizes: what is known for certain must come
// out, whatever the seed.
#include "polariscope/base/progress.h"
#include "polariscope/experiments/shared/report_parts.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

namespace polariscope {
namespace {

report::Section run(std::string_view id, std::uint64_t seed) {
  experiments::Context context{.preset = experiments::Preset::kQuick, .seed = seed, .threads = 2, .progress = {}};
  context.progress = [](std::uint64_t, const std::string&) { return Progress(); };
  return experiments::named_section(experiments::find_experiment(id), context);
}

std::map<std::string, report::Verdict> verdicts_of(const report::Section& section) {
  std::map<std::string, report::Verdict> verdicts;
  for (const report::Claim& claim : section.claims) verdicts[claim.id] = claim.verdict;
  return verdicts;
}

constexpr std::string_view kIds[] = {"B.fig2", "B.fig9", "B.prop5.2", "B.bound9", "B.eq20"};

TEST(LipschitzPaper, EverySectionIsComplete) {
  for (const std::string_view id : kIds) {
    SCOPED_TRACE(id);
    const report::Section section = run(id, 0);
    EXPECT_FALSE(section.method.empty());
    EXPECT_FALSE(section.findings.empty());
    EXPECT_FALSE(section.configuration.empty());
    EXPECT_NE(section.differences.find("where the paper preset takes"), std::string::npos) << section.differences;
    std::set<std::string> figures, claims;
    for (const report::Figure& figure : section.figures) {
      figures.insert(figure.id);
      EXPECT_FALSE(figure.caption.empty());
      EXPECT_FALSE(figure.alternative.empty());
      EXPECT_GT(figure.table.rows(), 0U) << figure.id;
    }
    for (const report::Claim& claim : section.claims) {
      EXPECT_TRUE(claims.insert(claim.id).second) << claim.id << " is there twice";
      EXPECT_TRUE(claim.id.starts_with(std::string(id) + "/")) << claim.id;
      EXPECT_TRUE(figures.contains(claim.evidence)) << claim.id << " has no figure " << claim.evidence;
      EXPECT_NE(claim.verdict, report::Verdict::kInconclusive) << claim.id;
      EXPECT_FALSE(claim.criterion.empty()) << claim.id;
    }
  }
}

TEST(LipschitzPaper, WhatIsATheoremHoldsOnOtherSeeds) {
  for (const std::uint64_t seed : {11U, 12U}) {
    SCOPED_TRACE(seed);
    auto norms = verdicts_of(run("B.prop5.2", seed));
    EXPECT_EQ(norms["B.prop5.2/range"], report::Verdict::kHolds);
    EXPECT_EQ(norms["B.prop5.2/entropy"], report::Verdict::kHolds);
    EXPECT_EQ(norms["B.prop5.2/causal"], report::Verdict::kHolds);
    auto rows = verdicts_of(run("B.fig9", seed));
    EXPECT_EQ(rows["B.fig9/floor"], report::Verdict::kHolds);
    auto bound = verdicts_of(run("B.bound9", seed));
    EXPECT_EQ(bound["B.bound9/printed"], report::Verdict::kHolds);
    EXPECT_EQ(bound["B.bound9/provable"], report::Verdict::kHolds);
    // ½ log(2πeσ²) rises with σ: it cannot fall with attention entropy.
    auto entropies = verdicts_of(run("B.eq20", seed));
    EXPECT_EQ(entropies["B.eq20/same-way"], report::Verdict::kFails);
    EXPECT_EQ(entropies["B.eq20/attention"], report::Verdict::kHolds);
  }
}

TEST(LipschitzPaper, TheSameSeedGivesTheSameNumbersOnAnyNumberOfThreads) {
  for (const std::string_view id : {"B.fig9", "B.prop5.2"}) {
    experiments::Context context{.preset = experiments::Preset::kQuick, .seed = 4, .threads = 1, .progress = {}};
    context.progress = [](std::uint64_t, const std::string&) { return Progress(); };
    const report::Section one = experiments::find_experiment(id).run(context);
    context.threads = 3;
    const report::Section three = experiments::find_experiment(id).run(context);
    ASSERT_EQ(one.claims.size(), three.claims.size());
    for (std::size_t i = 0; i < one.claims.size(); ++i) EXPECT_EQ(one.claims[i].measured, three.claims[i].measured);
  }
}

}  // namespace
}  // namespace polariscope
