// Experiments judged on measurements that are made up, so that what must come out is known.
#pragma once

#include "polariscope/flow/trajectory.h"
#include "polariscope/report/claim.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <set>
#include <string>
#include <vector>

namespace polariscope::testing {

// What makes a claim fail, and nothing but what the claim is about.
template <class Measured>
struct Plant {
  std::string claim;  // its id
  std::function<void(Measured&)> spoil;
};

// Every claim holds on `good`, each plant makes its claim fail, and no claim is without one. On `none`, where nothing
// was measured, every claim is inconclusive.
template <class Protocol, class Measured>
void expect_each_claim_can_fail(std::vector<report::Claim> (*judge)(const Protocol&, const Measured&),
                                const Protocol& protocol, const Measured& good, const Measured& none,
                                const std::vector<Plant<Measured>>& plants) {
  std::set<std::string> ids, planted;
  for (const report::Claim& claim : judge(protocol, good)) {
    EXPECT_TRUE(ids.insert(claim.id).second) << claim.id << " is there twice";
    EXPECT_EQ(claim.verdict, report::Verdict::kHolds) << claim.id << ": " << claim.measured;
  }
  for (const Plant<Measured>& plant : plants) {
    planted.insert(plant.claim);
    Measured spoilt = good;
    plant.spoil(spoilt);
    const std::vector<report::Claim> claims = judge(protocol, spoilt);
    const auto found = std::ranges::find(claims, plant.claim, &report::Claim::id);
    ASSERT_NE(found, claims.end()) << "no claim " << plant.claim;
    EXPECT_EQ(found->verdict, report::Verdict::kFails) << plant.claim << ": " << found->measured;
  }
  EXPECT_EQ(planted, ids) << "a claim without a plant has never been seen to fail";
  for (const report::Claim& claim : judge(protocol, none)) {
    EXPECT_EQ(claim.verdict, report::Verdict::kInconclusive) << claim.id << ": " << claim.measured;
  }
}

// Of one row of scores, three records at t = 0, 1/2 and 1: from uniform weights to `share` on `winner`, which a, u and
// β favour from the start. The loss falls by way of 1e-4 to 1e-13, V to rank one.
inline flow::Trajectory polarised(double share, int tokens = 4, int winner = 1) {
  flow::Trajectory t;
  t.problem.outputs = t.problem.tokens = tokens;
  t.problem.beta.assign(tokens, 0.0);
  t.problem.target.assign(tokens, 0.0);
  t.problem.beta[winner] = t.problem.target[winner] = 1.0;
  t.t = {0.0, 0.5, 1.0};
  t.loss = {1.0, 1e-4, 1e-13};
  for (const double weight : {1.0 / tokens, 0.5 * (share + 1.0 / tokens), share}) {
    const double rest = (1.0 - weight) / (tokens - 1);
    double entropy = 0.0;
    for (int i = 0; i < tokens; ++i) {
      const double p = i == winner ? weight : rest;
      t.sigma.push_back(p);
      entropy -= p > 0.0 ? p * std::log(p) : 0.0;
      t.u.push_back(i == winner ? 2.0 : 1.0 / (i + 1));
      t.scores.push_back(i == winner ? 2.0 : 1.0 / (i + 1));
    }
    t.entropy.push_back(entropy);
    t.abs_entropy.push_back(entropy);
    t.winner.push_back(winner);
    const double second = t.singular_values.empty() ? 0.5 : 0.01;
    t.effective_rank.push_back(1.0 + second);
    for (int i = 0; i < tokens; ++i) t.singular_values.push_back(i == 0 ? 1.0 : i == 1 ? second : 0.0);
  }
  return t;
}

}  // namespace polariscope::testing
