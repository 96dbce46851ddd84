// Figure 10 of the polarisation paper: cross-entropy to a target distribution.
#include "polariscope/experiments/experiments.h"
#include "polariscope/experiments/polarisation/descents.h"
#include "polariscope/experiments/polarisation/flow_section.h"
#include "polariscope/experiments/shared/readings.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace polariscope::experiments {
namespace {

constexpr int kDim = 10;
constexpr double kStep = 0.1;
constexpr std::int64_t kPaperSteps = 10'000'000;
constexpr std::int64_t kQuickSteps = 1'000'000;
constexpr int kPaperSeeds = 20;
constexpr int kQuickSeeds = 5;
constexpr double kRounding = 1e-16;

double entropy_of_target(const flow::Problem& problem) {
  double entropy = 0.0;
  for (const double p : problem.target) entropy -= p > 0.0 ? p * std::log(p) : 0.0;
  return entropy;
}

// The cross-entropy less the entropy of p*, as far as it can be told from zero: rounding may leave it below.
std::vector<double> divergence(const flow::Trajectory& trajectory) {
  std::vector<double> result = trajectory.loss;
  for (double& value : result) value = std::max(value - entropy_of_target(trajectory.problem), kRounding);
  return result;
}

report::Section run(const Context& context) {
  const int seeds = context.paper() ? kPaperSeeds : kQuickSeeds;
  const std::int64_t steps = context.paper() ? kPaperSteps : kQuickSteps;
  const reweighting::Reweighting& softmax = reweighting::find_reweighting("softmax");
  flow::StartOptions options = flow::usual_start(flow::Model::kValueSoftmax, flow::Loss::kKl, softmax);
  options.outputs = options.tokens = kDim;
  std::vector<Descent> descents;
  for (int i = 0; i < seeds; ++i) {
    descents.push_back(
        {flow::random_start(flow::Model::kValueSoftmax, flow::Loss::kKl, softmax, options, context.seed + i),
         {.step = kStep, .steps = steps, .samples = {}, .singular_values = false, .progress = {}}});
  }
  const std::vector<flow::Trajectory> runs = descend_all(context, descents, largest_share_note);

  const Spread top = spread_over(runs, [](const flow::Trajectory& t) { return final_share(t); });
  const Spread kl = spread_over(runs, [](const flow::Trajectory& t) { return divergence(t).back(); });
  const Spread late = spread_over(runs, [](const flow::Trajectory& t) {
    const auto half = std::ranges::lower_bound(t.t, 0.5 * t.t.back()) - t.t.begin();
    return std::abs(shares(t).back() - shares(t)[half]);
  });
  const auto right = count_of(runs, [](const flow::Trajectory& t) { return final_winner(t) == leader_of_u(t); });

  report::Section section;
  section.method = fmt::format(
      "Gradient descent on −Σ p* log softmax(Vᵀσ(a)) with softmax weights, d = k = {}, p* = softmax(10·U(0, 1)), "
      "V₀ = 0.1·N(0, 1), a₀ = 0, step {}, {} steps, {} seeds; p* is drawn anew with each seed. KL is the loss less the "
      "entropy of p*.",
      kDim, kStep, steps, seeds);
  section.findings = fmt::format(
      "After {} steps max σ is {} and KL is {}. The winner is the token that u = Vᵀ(p* − 1/d) favours at the start in "
      "{} of {} seeds. In the second half of the time max σ moves by {}.",
      steps, in_words(top, "seeds"), in_words(kl, "seeds"), right, seeds, in_words(late, "seeds", 2));
  section.claims = {
      claim("A.fig10/polarises", "Softmax weights polarise under the KL loss too.", "Figure 10",
            "max σ(a) > 0.9 at the last step, every seed", top, "seeds", top.low > 0.9, "sigma"),
      claim_of_count("A.fig10/winner", "The winner is the token whose values point most towards p* at the start.",
                     "Figure 10", "argmax σ(a) = argmax of V₀ᵀ(p* − 1/d), every seed", right, seeds, "seeds",
                     right == seeds, "u"),
      claim("A.fig10/loss", "The model learns p*: KL goes to zero.", "Figure 10",
            "KL < 1e-6 at the last step, every seed", kl, "seeds", kl.high < 1e-6, "kl"),
  };
  section.figures = {
      coordinate_figure(runs.front(), {.id = "sigma",
                                       .title = "Attention weights σ(a) against time, first seed",
                                       .record = Coordinate::kSigma,
                                       .y = {"attention weight σ(a)", report::Scale::kLog},
                                       .references = {{fmt::format("uniform 1/{}", kDim), 1.0 / kDim}}}),
      coordinate_figure(runs.front(), {.id = "u",
                                       .title = "Alignments u = Vᵀ(p* − 1/d) against time, first seed",
                                       .record = Coordinate::kU,
                                       .y = {"alignment u", report::Scale::kLinear}}),
      chart_figure("kl", "KL to the target against time",
                   fmt::format("Median and range over seeds; it ends at {}.", in_words(kl, "seeds")),
                   "KL divergence against time, log–log, median and range over seeds.",
                   {.x = {"time t", report::Scale::kLog},
                    .y = {"KL(p* ‖ softmax(Vᵀσ)) (nats)", report::Scale::kLog},
                    .series = {line_over("KL", runs, divergence)},
                    .references = {}}),
  };
  section.configuration = {{"model", "value-softmax"},
                           {"loss", "kl"},
                           {"re-weighting", "softmax"},
                           {"d = k", fmt::format("{}", kDim)},
                           {"p*", "softmax(10·U(0, 1))"},
                           {"V₀", "0.1·N(0, 1)"},
                           {"a₀", "0"},
                           {"step", fmt::format("{}", kStep)},
                           {"steps", fmt::format("{}", steps)},
                           {"seeds", fmt::format("{} to {}", context.seed, context.seed + seeds - 1)}};
  if (!context.paper()) {
    section.differences = fmt::format("{} steps where the paper takes {}; {} seeds where the paper preset takes {}.",
                                      steps, kPaperSteps, seeds, kPaperSeeds);
  }
  return section;
}

}  // namespace

Experiment a_fig10() {
  return {.id = "A.fig10",
          .title = "Weights polarise under a KL loss to a target distribution",
          .source = "Polarisation paper, figure 10",
          .question = "Does polarisation need the logistic loss, or does cross-entropy to a distribution do as well?",
          .run = run};
}

}  // namespace polariscope::experiments
