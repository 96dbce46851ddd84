// Figure 2 of the polarisation paper: logistic loss, softmax; σ(a) and u against time.
#include "polariscope/experiments/experiments.h"
#include "polariscope/experiments/polarisation/descents.h"
#include "polariscope/experiments/polarisation/flow_section.h"
#include "polariscope/experiments/shared/readings.h"

#include <fmt/format.h>

namespace polariscope::experiments {
namespace {

constexpr int kDim = 8;
constexpr double kStep = 0.1;
constexpr std::int64_t kSteps = 1'000'000;

report::Section run(const Context& context) {
  const int seeds = context.paper() ? 20 : 5;
  const reweighting::Reweighting& softmax = reweighting::find_reweighting("softmax");
  flow::StartOptions options = flow::usual_start(flow::Model::kValueSoftmax, flow::Loss::kLogistic, softmax);
  options.outputs = options.tokens = kDim;
  std::vector<Descent> descents;
  for (int i = 0; i < seeds; ++i) {
    descents.push_back(
        {flow::random_start(flow::Model::kValueSoftmax, flow::Loss::kLogistic, softmax, options, context.seed + i),
         {.step = kStep, .steps = kSteps, .samples = {}, .singular_values = true, .progress = {}}});
  }
  const std::vector<flow::Trajectory> runs = descend_all(context, descents, largest_share_note);
  const Spread top = spread_over(runs, [](const flow::Trajectory& t) { return final_share(t); });
  const Spread rank = spread_over(runs, [](const flow::Trajectory& t) { return t.effective_rank.back(); });
  const auto wins = count_of(runs, [](const flow::Trajectory& t) { return final_winner(t) == leader_of_u(t); });

  report::Section section;
  section.method = fmt::format(
      "Gradient descent on log(1 + exp(−βᵀVσ(a))) from V₀ = 0.1·N(0, 1), a₀ = 0, ‖β‖ = 1, d = k = {}, step {}, {} "
      "steps. The figures show the first of {} seeds.",
      kDim, kStep, kSteps, seeds);
  section.findings = fmt::format(
      "The weights start at 1/{}; after {} steps max σ is {}. The winner is the token with the largest u at the start "
      "in {} of {} seeds.",
      kDim, kSteps, in_words(top, "seeds"), wins, seeds);
  section.claims = {
      claim("A.fig2/polarises", "Softmax weights polarise onto one token under logistic loss.", "Figure 2, left",
            "max σ(a) > 0.95 at the last step, every seed", top, "seeds", top.low > 0.95, "sigma"),
      claim_of_count("A.fig2/winner", "The winner is the token whose u = Vᵀβ is largest at the start.",
                     "Figure 2; Theorem 3.2", "argmax σ(a) = argmax u₀, every seed", wins, seeds, "seeds",
                     wins == seeds, "u"),
      claim("A.fig2/rank", "V tends to rank one.", "Section 3; Lemma B.1 (a)",
            "effective rank of V < 2 at the last step, every seed", rank, "seeds", rank.high < 2.0, "u"),
  };
  const flow::Trajectory& shown = runs.front();
  section.figures = {
      coordinate_figure(shown, {.id = "sigma",
                                .title = "Attention weights σ(a) against time",
                                .record = Coordinate::kSigma,
                                .y = {.title = "attention weight σ(a)", .scale = report::Scale::kLog},
                                .references = {{fmt::format("uniform 1/{}", kDim), 1.0 / kDim}}}),
      coordinate_figure(shown, {.id = "u",
                                .title = "Alignments u = Vᵀβ against time",
                                .record = Coordinate::kU,
                                .y = {.title = "alignment u = Vᵀβ", .scale = report::Scale::kLinear},
                                .references = {}}),
  };
  section.configuration = {{"model", "value-softmax"},
                           {"loss", "logistic"},
                           {"re-weighting", "softmax"},
                           {"d = k", fmt::format("{}", kDim)},
                           {"V₀", "0.1·N(0, 1)"},
                           {"a₀", "0"},
                           {"step", fmt::format("{}", kStep)},
                           {"steps", fmt::format("{}", kSteps)},
                           {"seeds", fmt::format("{} to {}", context.seed, context.seed + seeds - 1)}};
  if (!context.paper()) section.differences = "5 seeds where the paper preset takes 20.";
  return section;
}

}  // namespace

Experiment a_fig2() {
  return {.id = "A.fig2",
          .title = "Softmax weights polarise under logistic loss",
          .source = "Polarisation paper, figure 2",
          .question = "Do softmax weights trained by gradient descent stay spread out, or does one token take all?",
          .run = run};
}

}  // namespace polariscope::experiments
