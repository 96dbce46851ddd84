// Figure 2 of the polarisation paper: logistic loss, softmax; σ(a) and u against time.
#include "polariscope/experiments/experiments.h"
#include "polariscope/experiments/flow_section.h"
#include "polariscope/experiments/measure.h"
#include "polariscope/flow/descent.h"
#include "polariscope/flow/start.h"

#include <fmt/format.h>

#include <algorithm>

namespace polariscope {
namespace {

constexpr int kDim = 8;
constexpr double kStep = 0.1;
constexpr std::int64_t kSteps = 1'000'000;

Trajectory run_one(std::uint64_t seed, const std::function<void(std::int64_t, const Trajectory&)>& progress) {
  const Reweighting& softmax = find_reweighting("softmax");
  StartOptions options = usual_start(Model::kValueSoftmax, Loss::kLogistic, softmax);
  options.outputs = options.tokens = kDim;
  const Start start = random_start(Model::kValueSoftmax, Loss::kLogistic, softmax, options, seed);
  return descend(start.problem, start.state,
                 {.step = kStep, .steps = kSteps, .samples = {}, .singular_values = true, .progress = progress});
}

Section run(const Context& context) {
  const int seeds = context.paper() ? 20 : 5;
  Progress progress = context.progress(static_cast<std::uint64_t>(seeds) * kSteps, "steps");
  std::vector<Trajectory> trajectories;
  for (int i = 0; i < seeds; ++i) {
    trajectories.push_back(run_one(context.seed + i, [&](std::int64_t done, const Trajectory& t) {
      progress.update(static_cast<std::uint64_t>(i) * kSteps + done,
                      fmt::format("max σ {:.4f}", *std::max_element(t.sigma.end() - kDim, t.sigma.end())));
    }));
  }
  progress.finish();

  std::vector<double> top, right, rank;
  for (const Trajectory& t : trajectories) {
    const auto last = t.sigma.end() - kDim;
    top.push_back(*std::max_element(last, t.sigma.end()));
    const auto winner_of_u = std::max_element(t.u.begin(), t.u.begin() + kDim) - t.u.begin();
    right.push_back(t.winner.back() == static_cast<double>(winner_of_u) ? 1.0 : 0.0);
    rank.push_back(t.effective_rank.back());
  }
  const Spread top_spread = spread_of(top);
  const Spread right_spread = spread_of(right);
  const Spread rank_spread = spread_of(rank);

  Section section;
  section.method = fmt::format(
      "Gradient descent on log(1 + exp(−βᵀVσ(a))) from V₀ = 0.1·N(0, 1), a₀ = 0, ‖β‖ = 1, d = k = {}, step {}, {} "
      "steps. The figures show the first of {} seeds.",
      kDim, kStep, kSteps, seeds);
  section.findings = fmt::format(
      "The weights leave 1/{} and one of them takes over: after {} steps max σ is {}. The winner is the token with "
      "the largest u at the start in {} of {} seeds.",
      kDim, kSteps, in_words(top_spread, "seeds"), std::count(right.begin(), right.end(), 1.0), seeds);
  section.claims = {
      claim("A.fig2/polarises", "Softmax weights polarise onto one token under logistic loss.", "Figure 2, left",
            "max σ(a) > 0.95 at the last step, every seed", top_spread, "seeds", top_spread.low > 0.95, "sigma"),
      claim("A.fig2/winner", "The winner is the token whose u = Vᵀβ is largest at the start.", "Figure 2; Theorem 3.2",
            "argmax σ(a) = argmax u₀, every seed", right_spread, "seeds", right_spread.low == 1.0, "u"),
      claim("A.fig2/rank", "V tends to rank one.", "Section 3; Lemma B.1 (a)",
            "effective rank of V < 2 at the last step, every seed", rank_spread, "seeds", rank_spread.high < 2.0, "u"),
  };
  const Trajectory& shown = trajectories.front();
  section.figures = {
      coordinate_figure(shown, {.id = "sigma",
                                .title = "Attention weights σ(a) against time",
                                .caption = "One weight rises to one; all others fall together, and stay in order.",
                                .record = Coordinate::kSigma,
                                .y = {.title = "attention weight σ(a)", .scale = Scale::kLog},
                                .references = {{fmt::format("uniform 1/{}", kDim), 1.0 / kDim}}}),
      coordinate_figure(shown, {.id = "u",
                                .title = "Alignments u = Vᵀβ against time",
                                .caption = "The winner's alignment grows like log t; the others stop.",
                                .record = Coordinate::kU,
                                .y = {.title = "alignment u = Vᵀβ", .scale = Scale::kLinear},
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

}  // namespace polariscope
