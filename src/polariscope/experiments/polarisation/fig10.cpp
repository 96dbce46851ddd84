#include "polariscope/experiments/polarisation/fig10.h"

#include "polariscope/experiments/experiments.h"
#include "polariscope/experiments/polarisation/flow_section.h"
#include "polariscope/experiments/polarisation/flow_words.h"
#include "polariscope/experiments/shared/readings.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace polariscope::experiments::polarisation::fig10 {
namespace {

constexpr double kPolarised = 0.9;  // of the weight
constexpr double kLearnt = 1e-6;    // nats from the target

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

Spread largest_weight(const Measured& runs) {
  return spread_over(runs, [](const flow::Trajectory& t) { return final_share(t); });
}

Spread final_divergence(const Measured& runs) {
  return spread_over(runs, [](const flow::Trajectory& t) { return divergence(t).back(); });
}

long long won_by_u(const Measured& runs) {
  return count_of(runs, [](const flow::Trajectory& t) { return final_winner(t) == leader_of_u(t); });
}

Quantities quantities(const Context& context) {
  const Protocol p = protocol_of(context.preset);
  return {{"model", std::string(flow::model_name(p.model))},
          {"loss", std::string(flow::loss_name(p.loss))},
          {"re-weighting", std::string(p.reweighting)},
          {"d = k", counted(p.start.tokens)},
          {"p*", "softmax(10·U(0, 1))"},
          {"V₀", values_in_words(p.start)},
          {"a₀", scores_in_words(p.start)},
          {"step", plain(p.step)},
          counted_quantity("steps", p.steps, "steps"),
          seeds_quantity(context.seed, p.seeds)};
}

report::Section run(const Context& context) {
  const Protocol protocol = protocol_of(context.preset);
  return describe(protocol, measure(context, protocol));
}

}  // namespace

Protocol protocol_of(Preset preset) {
  const bool paper = preset == Preset::kPaper;
  return {.loss = flow::Loss::kKl,
          .start = {.outputs = 10, .tokens = 10, .value_scale = 0.1},
          .step = 0.1,
          .steps = paper ? 10'000'000 : 1'000'000,
          .seeds = paper ? 20 : 5};
}

Measured measure(const Context& context, const Protocol& protocol) {
  return descend_all(context, descents_of(context, protocol), largest_share_note);
}

std::vector<report::Claim> judge(const Protocol& /*protocol*/, const Measured& runs) {
  const auto seeds = static_cast<long long>(runs.size());
  const Spread top = largest_weight(runs), kl = final_divergence(runs);
  const long long right = won_by_u(runs);
  return {
      claim("A.fig10/polarises", "Softmax weights polarise under the KL loss too.", "Figure 10",
            fmt::format("max σ(a) > {} at the last step, every seed", kPolarised), top, "seeds", top.low > kPolarised,
            "sigma"),
      claim_of_count("A.fig10/winner", "The winner is the token whose values point most towards p* at the start.",
                     "Figure 10", "argmax σ(a) = argmax of V₀ᵀ(p* − 1/d), every seed", right, seeds, "seeds",
                     right == seeds, "u"),
      claim("A.fig10/loss", "The model learns p*: KL goes to zero.", "Figure 10",
            fmt::format("KL < {} at the last step, every seed", plain(kLearnt)), kl, "seeds", kl.high < kLearnt, "kl"),
  };
}

report::Section describe(const Protocol& p, const Measured& runs) {
  const int k = p.start.tokens;
  const Spread kl = final_divergence(runs);
  const Spread late = spread_over(runs, [](const flow::Trajectory& t) {
    const auto half = std::ranges::lower_bound(t.t, 0.5 * t.t.back()) - t.t.begin();
    return std::abs(shares(t).back() - shares(t)[half]);
  });
  report::Section section;
  section.method = fmt::format(
      "Gradient descent on −Σ p* log softmax(Vᵀσ(a)) with softmax weights, d = k = {}, p* = softmax(10·U(0, 1)), "
      "V₀ = {}, a₀ = {}, step {}, {} steps, {} seeds; p* is drawn anew with each seed. KL is the loss less the entropy "
      "of p*.",
      k, values_in_words(p.start), scores_in_words(p.start), plain(p.step), counted(p.steps), p.seeds);
  section.findings = fmt::format(
      "After {} steps max σ is {} and KL is {}. The winner is the token that u = Vᵀ(p* − 1/d) favours at the start in "
      "{} of {} seeds. In the second half of the time max σ moves by {}.",
      counted(p.steps), in_words(largest_weight(runs), "seeds"), in_words(kl, "seeds"), won_by_u(runs), p.seeds,
      in_words(late, "seeds", 2));
  section.claims = judge(p, runs);
  section.figures = {
      coordinate_figure(runs.front(), {.id = "sigma",
                                       .title = "Attention weights σ(a) against time, first seed",
                                       .record = Coordinate::kSigma,
                                       .y = {"attention weight σ(a)", report::Scale::kLog},
                                       .references = {{fmt::format("uniform 1/{}", k), 1.0 / k}}}),
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
  return section;
}

}  // namespace polariscope::experiments::polarisation::fig10

namespace polariscope::experiments {

Experiment a_fig10() {
  return {.id = "A.fig10",
          .title = "Weights polarise under a KL loss to a target distribution",
          .source = "Polarisation paper, figure 10",
          .question = "Does polarisation need the logistic loss, or does cross-entropy to a distribution do as well?",
          .protocol = polarisation::fig10::quantities,
          .run = polarisation::fig10::run};
}

}  // namespace polariscope::experiments
