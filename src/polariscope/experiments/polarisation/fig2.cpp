#include "polariscope/experiments/polarisation/fig2.h"

#include "polariscope/experiments/experiments.h"
#include "polariscope/experiments/polarisation/flow_section.h"
#include "polariscope/experiments/polarisation/flow_words.h"
#include "polariscope/experiments/shared/readings.h"

#include <fmt/format.h>

namespace polariscope::experiments::polarisation::fig2 {
namespace {

constexpr double kPolarised = 0.95;  // of the weight
constexpr double kOneRank = 2.0;     // an effective rank below it

Spread largest_weight(const Measured& runs) {
  return spread_over(runs, [](const flow::Trajectory& t) { return final_share(t); });
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
  return {.start = {.outputs = 8, .tokens = 8, .value_scale = 0.1},
          .step = 0.1,
          .steps = 1'000'000,
          .seeds = preset == Preset::kPaper ? 20 : 5};
}

Measured measure(const Context& context, const Protocol& protocol) {
  std::vector<Descent> descents = descents_of(context, protocol);
  for (Descent& descent : descents) descent.options.singular_values = true;
  return descend_all(context, descents, largest_share_note);
}

std::vector<report::Claim> judge(const Protocol& /*protocol*/, const Measured& runs) {
  const auto seeds = static_cast<long long>(runs.size());
  const Spread top = largest_weight(runs);
  const Spread rank = spread_over(runs, [](const flow::Trajectory& t) { return t.effective_rank.back(); });
  const long long wins = won_by_u(runs);
  return {
      claim("A.fig2/polarises", "Softmax weights polarise onto one token under logistic loss.", "Figure 2, left",
            fmt::format("max σ(a) > {} at the last step, every seed", kPolarised), top, "seeds", top.low > kPolarised,
            "sigma"),
      claim_of_count("A.fig2/winner", "The winner is the token whose u = Vᵀβ is largest at the start.",
                     "Figure 2; Theorem 3.2", "argmax σ(a) = argmax u₀, every seed", wins, seeds, "seeds",
                     wins == seeds, "u"),
      claim("A.fig2/rank", "V tends to rank one.", "Section 3; Lemma B.1 (a)",
            fmt::format("effective rank of V < {} at the last step, every seed", kOneRank), rank, "seeds",
            rank.high < kOneRank, "u"),
  };
}

report::Section describe(const Protocol& p, const Measured& runs) {
  const int k = p.start.tokens;
  report::Section section;
  section.method = fmt::format(
      "Gradient descent on log(1 + exp(−βᵀVσ(a))) from V₀ = {}, a₀ = {}, ‖β‖ = 1, d = k = {}, step {}, {} steps. The "
      "figures show the first of {} seeds.",
      values_in_words(p.start), scores_in_words(p.start), k, plain(p.step), counted(p.steps), p.seeds);
  section.findings = fmt::format(
      "The weights start at 1/{}; after {} steps max σ is {}. The winner is the token with the largest u at the start "
      "in {} of {} seeds.",
      k, counted(p.steps), in_words(largest_weight(runs), "seeds"), won_by_u(runs), p.seeds);
  section.claims = judge(p, runs);
  section.figures = {
      coordinate_figure(runs.front(), {.id = "sigma",
                                       .title = "Attention weights σ(a) against time",
                                       .record = Coordinate::kSigma,
                                       .y = {.title = "attention weight σ(a)", .scale = report::Scale::kLog},
                                       .references = {{fmt::format("uniform 1/{}", k), 1.0 / k}}}),
      coordinate_figure(runs.front(), {.id = "u",
                                       .title = "Alignments u = Vᵀβ against time",
                                       .record = Coordinate::kU,
                                       .y = {.title = "alignment u = Vᵀβ", .scale = report::Scale::kLinear}}),
  };
  return section;
}

}  // namespace polariscope::experiments::polarisation::fig2

namespace polariscope::experiments {

Experiment a_fig2() {
  return {.id = "A.fig2",
          .title = "Softmax weights polarise under logistic loss",
          .source = "Polarisation paper, figure 2",
          .question = "Do softmax weights trained by gradient descent stay spread out, or does one token take all?",
          .protocol = polarisation::fig2::quantities,
          .run = polarisation::fig2::run};
}

}  // namespace polariscope::experiments
