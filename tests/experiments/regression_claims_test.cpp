// Every claim of the Lipschitz paper's figures and text holds on runs that are as it says, and fails on others.
#include "made_up_regression.h"

#include <functional>
#include <set>
#include <string>
#include <vector>

namespace polariscope::testing {
namespace {

constexpr const char* kIds[] = {"B.fig1",  "B.fig3",  "B.fig4",   "B.fig6",   "B.fig8",
                                "B.fig10", "B.fig11", "B.sec4.1", "B.sec5.3", "B.appD"};

// The paper's four without and with a causal mask, and softmax and the ReLU kernel by Adam and AdamW.
const std::string kGrid = fmt::format(
    "task = \"in-context-regression\"\nsequence_length = {}\nlayers = {}\nsteps = 100\nbatch = 10\n"
    "attention = [\"softmax\", \"relu_kernel/sum\", \"elu1_kernel/sum\"]\nqk_norm = [\"no\", \"layer\"]\n"
    "causal = [false, true]\noptimiser = [\"sgd\", \"adam\", \"adamw\"]\nlearning_rate = [0.7, 0.01]\n"
    "seed = {{ from = 0, to = 4 }}\n"
    "[[skip]]\nattention = [\"relu_kernel/sum\", \"elu1_kernel/sum\"]\nqk_norm = \"layer\"\n"
    "[[skip]]\noptimiser = \"sgd\"\nlearning_rate = 0.01\n"
    "[[skip]]\noptimiser = [\"adam\", \"adamw\"]\nlearning_rate = 0.7\n"
    "[[skip]]\noptimiser = [\"adam\", \"adamw\"]\ncausal = true\n"
    "[[skip]]\noptimiser = [\"adam\", \"adamw\"]\nattention = \"elu1_kernel/sum\"\n"
    "[[skip]]\noptimiser = [\"adam\", \"adamw\"]\nqk_norm = \"layer\"\n",
    kTokens, kLayers);

struct Of {
  std::string attention, optimiser;
  bool causal, normed;

  bool plain() const { return !causal && optimiser == "sgd"; }
  bool softmax() const { return attention == "softmax" && !normed; }
  bool relu() const { return attention == "relu_kernel/sum"; }
  bool elu() const { return attention == "elu1_kernel/sum"; }
};

Course as_the_paper_says(const Of& of) {
  // The gradient follows ‖P‖_F, which in kernels moves by little.
  if (of.attention != "softmax") {
    return {
        .kept = of.relu() ? 0.8 : 0.9, .exponent = of.relu() ? 0.0 : -0.5, .skewness = 2.0, .gradient_follows = 10.0};
  }
  return {.collapses = true,
          .ends = 80,
          .loss = 4.0,
          .loss_fall = 0.01,
          .entropy_factor = of.optimiser == "adam" ? 0.97 : 1.0,
          .variance_rate = 0.1,
          .one_hot = true,
          .gradient_follows = 1.0,
          .gradient_delay = 20};
}

using Spoil = std::function<void(const Of&, Course&)>;
struct Spoilt {
  Spoil spoil;
  std::vector<std::string> fail;  // claims that then fail
};

const std::vector<Spoilt>& spoilt() {
  static const std::vector<Spoilt> kSpoilt{
      // Softmax in every form keeps its entropy and stays finite; its variance is a power of the step, its maps spread.
      {[](const Of& of, Course& c) {
         if (of.attention == "softmax") c = {.variance_power = 3.0, .exponent = 0.5, .skewness = 1.0};
       },
       {"B.fig1/softmax-collapses", "B.fig1/softmax-explodes", "B.fig1/layernorm-collapses",
        "B.fig1/layernorm-explodes", "B.fig1/norm", "B.fig4/softmax-falls", "B.fig4/softmax-theory", "B.fig6/softmax",
        "B.fig6/qk-layernorm", "B.fig8/skewness", "B.fig8/probabilities", "B.fig11/softmax", "B.sec4.1/softmax",
        "B.sec4.1/qk-layernorm"}},
      // It collapses, but not so: the variance rises as a power, least in the later layer; the gradient goes first.
      {[](const Of& of, Course& c) {
         if (of.attention == "softmax") c.variance_power = 3.0;
       },
       {"B.fig3/softmax", "B.fig3/qk-layernorm"}},
      {[](const Of& of, Course& c) {
         if (of.attention == "softmax") c.later = 0.5;
         if (of.attention == "softmax") c.gradient_delay = -20;
         if (of.optimiser == "adam") c.entropy_factor = 1.05;
         if (of.relu()) c.loss = 9.0;
       },
       {"B.fig10/later-layers", "B.sec5.3/order", "B.appD/early", "B.appD/late", "B.fig1/kernel-loss"}},
      {[](const Of&, Course& c) { c.gradient_follows *= -1.0; },
       {"B.sec5.3/softmax", "B.sec5.3/qk-layernorm", "B.sec5.3/relu", "B.sec5.3/elu1"}},
      // The kernels do what softmax does.
      {[](const Of& of, Course& c) {
         if (of.attention != "softmax") {
           c = {
               .collapses = true, .ends = 60, .variance_rate = 0.2, .exponent = -2.0, .skewness = 9.0, .one_hot = true};
         }
       },
       {"B.fig1/relu-keeps", "B.fig1/relu-stable", "B.fig1/elu1-keeps", "B.fig1/elu1-stable", "B.fig3/relu",
        "B.fig3/elu1", "B.fig4/kernels-flat", "B.fig4/relu_kernel/sum-theory", "B.fig4/elu1_kernel/sum-theory",
        "B.fig6/relu", "B.fig6/elu1", "B.fig10/kernels", "B.fig11/relu", "B.sec4.1/relu", "B.sec4.1/elu1",
        "B.appD/relu-sgd", "B.appD/relu-adam", "B.appD/relu-adamw"}},
      {[](const Of& of, Course& c) {
         if (of.optimiser != "sgd") c = {};
         if (of.relu()) c.kept = 0.99;
       },
       {"B.appD/adam", "B.appD/adamw", "B.fig1/relu-below"}}};
  return kSpoilt;
}

MadeUpRuns runs_of(const Spoil& spoil) {
  return MadeUpRuns(kGrid, [spoil](const json& settings) {
    const Of of{settings.at("attention").get<std::string>(), settings.at("optimiser").get<std::string>(),
                settings.at("causal").get<bool>(), settings.at("qk_norm") == "layer"};
    Course course = as_the_paper_says(of);
    spoil(of, course);
    return made_up(course);
  });
}

TEST(RegressionClaims, HoldOnRunsThatAreAsThePaperSaysAndEachCanFail) {
  std::set<std::string> ids, failed;
  const MadeUpRuns good = runs_of([](const Of&, Course&) {});
  for (const char* id : kIds) {
    for (const report::Claim& claim : good.section_of(id).claims) {
      ids.insert(claim.id);
      EXPECT_EQ(claim.verdict, report::Verdict::kHolds) << claim.id << ": " << claim.measured;
    }
  }
  for (const Spoilt& one : spoilt()) {
    const MadeUpRuns runs = runs_of(one.spoil);
    for (const std::string& id : one.fail) {
      failed.insert(id);
      const report::Claim claim = claim_named(runs.section_of(id.substr(0, id.find('/'))), id);
      EXPECT_EQ(claim.verdict, report::Verdict::kFails) << id << ": " << claim.measured;
    }
  }
  EXPECT_EQ(failed, ids) << "a claim that was never seen to fail";
}

TEST(RegressionClaims, OfRowsFindTheExponentThatTheyWereMadeWith) {
  const MadeUpRuns good = runs_of([](const Of&, Course&) {});
  const report::Section four = good.section_of("B.fig4");
  EXPECT_NEAR(claim_named(four, "B.fig4/softmax-theory").value, -1.0, 1e-6);
  EXPECT_NEAR(claim_named(four, "B.fig4/elu1_kernel/sum-theory").value, -0.5, 1e-6);
}

}  // namespace
}  // namespace polariscope::testing
