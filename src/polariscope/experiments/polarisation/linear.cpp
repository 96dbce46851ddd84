// The linear network beside softmax: V tends to rank one, the scores do not become one-hot.
#include "polariscope/experiments/experiments.h"
#include "polariscope/experiments/polarisation/descents.h"
#include "polariscope/experiments/polarisation/flow_section.h"
#include "polariscope/experiments/polarisation/long_flows.h"
#include "polariscope/experiments/shared/attention_looks.h"
#include "polariscope/experiments/shared/readings.h"
#include "polariscope/experiments/shared/spread_series.h"

#include <fmt/format.h>

#include <array>
#include <cmath>

namespace polariscope::experiments {
namespace {

constexpr int kDim = 8;

enum : int { kLinear, kSoftmax };

std::vector<flow::Trajectory> run_all(const Context& context, int seeds) {
  const flow::StartOptions options{
      .outputs = kDim, .tokens = kDim, .value_scale = 0.1, .score_scale = 0.1, .score_offset = 1.0};
  std::vector<flow::Start> starts;
  for (const int which : {kLinear, kSoftmax}) {
    const flow::Model model = which == kLinear ? flow::Model::kLinear : flow::Model::kValueSoftmax;
    const reweighting::Reweighting& reweighting =
        reweighting::find_reweighting(which == kLinear ? "identity" : "softmax");
    for (int i = 0; i < seeds; ++i) {
      starts.push_back(flow::random_start(model, flow::Loss::kLogistic, reweighting, options, context.seed + i));
    }
  }
  return integrate_all(context, starts,
                       {.until = kForever, .times = {}, .events = false, .singular_values = true, .progress = {}});
}

// The second singular value of V against the first: 0 for rank one.
std::vector<double> second_singular(const flow::Trajectory& trajectory) {
  std::vector<double> result;
  const std::size_t width = trajectory.singular_values.size() / trajectory.points();
  for (std::size_t i = 0; i < trajectory.points(); ++i) {
    result.push_back(trajectory.singular_values[i * width + 1] / trajectory.singular_values[i * width]);
  }
  return result;
}

report::SeriesChart side_by_side(const std::vector<flow::Trajectory>& runs, int seeds, report::Axis y,
                                 const std::function<std::vector<double>(const flow::Trajectory&)>& record,
                                 std::vector<report::ReferenceLine> references) {
  report::SeriesChart chart{.x = {"time t", report::Scale::kLog},
                            .y = std::move(y),
                            .series = {line_over("linear, σ(a) = a", group_of(runs, seeds, kLinear), record),
                                       line_over("softmax", group_of(runs, seeds, kSoftmax), record)},
                            .references = std::move(references)};
  chart.series[0].colour = colour_of("identity");
  chart.series[0].dashed = is_dashed("identity");
  chart.series[1].colour = colour_of("softmax");
  return chart;
}

report::Section run(const Context& context) {
  const int seeds = context.paper() ? 200 : 20;
  const std::vector<flow::Trajectory> runs = run_all(context, seeds);
  const auto linear = group_of(runs, seeds, kLinear);
  const auto softmax = group_of(runs, seeds, kSoftmax);
  const auto final_ratio = [](const flow::Trajectory& t) { return second_singular(t).back(); };
  const auto final_entropy = [](const flow::Trajectory& t) { return t.abs_entropy.back() / std::log(kDim); };
  const Spread ratio = spread_over(linear, final_ratio);
  const Spread ratio_start = spread_over(linear, [](const flow::Trajectory& t) { return second_singular(t).front(); });
  const Spread share = spread_over(linear, [](const flow::Trajectory& t) { return final_share(t); });
  const Spread entropy = spread_over(linear, final_entropy);
  const Spread softmax_entropy = spread_over(softmax, final_entropy);

  report::Section section;
  section.method = fmt::format(
      "The gradient flow of log(1 + exp(−βᵀVa)), the re-weighting function left out, beside softmax from the same "
      "starts: d = k = {}, V₀ = 0.1·N(0, 1), a₀ = 1 + 0.1·N(0, 1), ‖β‖ = 1, to t = 1e299, {} seeds.",
      kDim, seeds);
  section.findings = fmt::format(
      "In the linear network the second singular value of V goes from {} of the first to {}; the heaviest token holds "
      "{} of Σ|a| at the end and the entropy of |a|/Σ|a| is {} of log {}. Softmax from the same starts ends at {} of "
      "log {}.",
      in_words(ratio_start, "seeds"), in_words(ratio, "seeds"), in_words(share, "seeds"), in_words(entropy, "seeds"),
      kDim, in_words(softmax_entropy, "seeds"), kDim);
  section.claims = {
      claim("A.linear/rank", "In a linear network V tends to rank one.", "Section 3",
            "second singular value of V < 0.05 of the first at t = 1e299, every seed", ratio, "seeds",
            ratio.high < 0.05, "rank"),
      claim("A.linear/spread", "In a linear network a does not become one-hot.", "Section 3",
            "share of the heaviest token, max|a|/Σ|a|, < 0.5 at t = 1e299, every seed", share, "seeds",
            share.high < 0.5, "share"),
  };
  const report::SeriesChart share_chart = side_by_side(runs, seeds, {"share max|σ|/Σ|σ|", report::Scale::kLinear},
                                                       shares, {{fmt::format("uniform 1/{}", kDim), 1.0 / kDim}});
  const report::SeriesChart rank_chart =
      side_by_side(runs, seeds, {"s₂/s₁ of V", report::Scale::kLog}, second_singular, {});
  const auto ends = [](const report::SeriesChart& chart) {
    return fmt::format("At t = 1e299 it is {} in the linear network and {} with softmax.",
                       end_in_words(chart.series[kLinear]), end_in_words(chart.series[kSoftmax]));
  };
  section.figures = {
      chart_figure("share", "Share of the heaviest token against time", ends(share_chart),
                   "Share of the heaviest token against time, linear network and softmax.", share_chart),
      chart_figure("rank", "Second singular value of V against the first", ends(rank_chart),
                   "Ratio of the two largest singular values of V against time, linear network and softmax.",
                   rank_chart),
      coordinate_figure(linear.front(), {.id = "scores",
                                         .title = "Scores a of the linear network against time, first seed",
                                         .record = Coordinate::kScores,
                                         .y = {"score a", report::Scale::kLinear}}),
  };
  section.configuration = {{"models", "linear, value-softmax"},
                           {"loss", "logistic"},
                           {"re-weighting", "identity, softmax"},
                           {"d = k", fmt::format("{}", kDim)},
                           {"V₀", "0.1·N(0, 1)"},
                           {"a₀", "1 + 0.1·N(0, 1)"},
                           {"integrator", "CVODE in log t, relative tolerance 1e-9"},
                           {"until", "t = 1e299"},
                           {"seeds", fmt::format("{} to {}", context.seed, context.seed + seeds - 1)}};
  if (!context.paper()) section.differences = "20 seeds where the paper preset takes 200.";
  return section;
}

}  // namespace

Experiment a_linear() {
  return {.id = "A.linear",
          .title = "A linear network reaches rank one without polarising",
          .source = "Polarisation paper, section 3",
          .question = "Is it the product of V and a that polarises, or the re-weighting function between them?",
          .run = run};
}

}  // namespace polariscope::experiments
