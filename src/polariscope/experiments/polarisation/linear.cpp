#include "polariscope/experiments/polarisation/linear.h"

#include "polariscope/experiments/experiments.h"
#include "polariscope/experiments/polarisation/flow_section.h"
#include "polariscope/experiments/polarisation/flow_words.h"
#include "polariscope/experiments/shared/attention_looks.h"
#include "polariscope/experiments/shared/readings.h"
#include "polariscope/experiments/shared/spread_series.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>

namespace polariscope::experiments::polarisation::linear {
namespace {

constexpr double kRankOne = 0.05;  // of the first singular value
constexpr double kSpread = 0.5;    // of the weight

std::vector<flow::Trajectory> run_all(const Context& context, const Protocol& protocol, flow::Model model,
                                      std::string_view reweighting) {
  std::vector<flow::Start> starts;
  for (int i = 0; i < protocol.seeds; ++i) {
    starts.push_back(flow::random_start(model, flow::Loss::kLogistic, reweighting::find_reweighting(reweighting),
                                        protocol.start, context.seed + i));
  }
  return integrate_all(context, starts, protocol.flow);
}

// The second singular value of V against the first: 0 for rank one.
std::vector<double> second_singular(const flow::Trajectory& trajectory) {
  std::vector<double> result;
  const std::size_t width = std::min(trajectory.problem.outputs, trajectory.problem.tokens);
  for (std::size_t i = 0; i < trajectory.points(); ++i) {
    result.push_back(trajectory.singular_values[i * width + 1] / trajectory.singular_values[i * width]);
  }
  return result;
}

Spread final_ratio(const std::vector<flow::Trajectory>& runs) {
  return spread_over(runs, [](const flow::Trajectory& t) { return last_of(second_singular(t)); });
}

Spread largest_share(const std::vector<flow::Trajectory>& runs) {
  return spread_over(runs, [](const flow::Trajectory& t) { return final_share(t); });
}

// Of log k.
Spread relative_entropy(const std::vector<flow::Trajectory>& runs) {
  return spread_over(runs,
                     [](const flow::Trajectory& t) { return last_of(t.abs_entropy) / std::log(t.problem.tokens); });
}

report::SeriesChart side_by_side(const Measured& runs, report::Axis y,
                                 const std::function<std::vector<double>(const flow::Trajectory&)>& record,
                                 std::vector<report::ReferenceLine> references) {
  report::SeriesChart chart{
      .x = {"time t", report::Scale::kLog},
      .y = std::move(y),
      .series = {line_over("linear, σ(a) = a", runs.linear, record), line_over("softmax", runs.softmax, record)},
      .references = std::move(references)};
  chart.series[0].colour = colour_of("identity");
  chart.series[0].dashed = is_dashed("identity");
  chart.series[1].colour = colour_of("softmax");
  return chart;
}

std::vector<report::Figure> figures_of(const Protocol& protocol, const Measured& runs) {
  const int k = protocol.start.tokens;
  const report::SeriesChart share_chart = side_by_side(runs, {"share max|σ|/Σ|σ|", report::Scale::kLinear}, shares,
                                                       {{fmt::format("uniform 1/{}", k), 1.0 / k}});
  const report::SeriesChart rank_chart = side_by_side(runs, {"s₂/s₁ of V", report::Scale::kLog}, second_singular, {});
  const auto ends = [&](const report::SeriesChart& chart) {
    return fmt::format("At t = {} it is {} in the linear network and {} with softmax.", plain(protocol.flow.until),
                       end_in_words(chart.series[0]), end_in_words(chart.series[1]));
  };
  return {
      chart_figure("share", "Share of the heaviest token against time", ends(share_chart),
                   "Share of the heaviest token against time, linear network and softmax.", share_chart),
      chart_figure("rank", "Second singular value of V against the first", ends(rank_chart),
                   "Ratio of the two largest singular values of V against time, linear network and softmax.",
                   rank_chart),
      coordinate_figure(runs.linear.front(), {.id = "scores",
                                              .title = "Scores a of the linear network against time, first seed",
                                              .record = Coordinate::kScores,
                                              .y = {"score a", report::Scale::kLinear}}),
  };
}

Quantities quantities(const Context& context) {
  const Protocol p = protocol_of(context.preset);
  return {{"models", "linear, value-softmax"},
          {"loss", "logistic"},
          {"re-weighting", "identity, softmax"},
          {"d = k", counted(p.start.tokens)},
          {"V₀", values_in_words(p.start)},
          {"a₀", scores_in_words(p.start)},
          {"integrator", integrator_in_words(p.flow)},
          {"until", fmt::format("t = {}", plain(p.flow.until))},
          seeds_quantity(context.seed, p.seeds)};
}

report::Section run(const Context& context) {
  const Protocol protocol = protocol_of(context.preset);
  return describe(protocol, measure(context, protocol));
}

}  // namespace

Protocol protocol_of(Preset preset) {
  Protocol protocol;
  protocol.seeds = preset == Preset::kPaper ? 200 : 20;
  return protocol;
}

Measured measure(const Context& context, const Protocol& protocol) {
  return {.linear = run_all(context, protocol, flow::Model::kLinear, "identity"),
          .softmax = run_all(context, protocol, flow::Model::kValueSoftmax, "softmax")};
}

std::vector<report::Claim> judge(const Protocol& protocol, const Measured& runs) {
  const std::string until = plain(protocol.flow.until);
  const Spread ratio = final_ratio(runs.linear), share = largest_share(runs.linear);
  return {
      claim("A.linear/rank", "In a linear network V tends to rank one.", "Section 3",
            fmt::format("second singular value of V < {} of the first at t = {}, every seed", kRankOne, until), ratio,
            "seeds", ratio.high < kRankOne, "rank"),
      claim("A.linear/spread", "In a linear network a does not become one-hot.", "Section 3",
            fmt::format("share of the heaviest token, max|a|/Σ|a|, < {} at t = {}, every seed", kSpread, until), share,
            "seeds", share.high < kSpread, "share"),
  };
}

report::Section describe(const Protocol& p, const Measured& runs) {
  const int k = p.start.tokens;
  const Spread at_start =
      spread_over(runs.linear, [](const flow::Trajectory& t) { return first_of(second_singular(t)); });
  report::Section section;
  section.method = fmt::format(
      "The gradient flow of log(1 + exp(−βᵀVa)), the re-weighting function left out, beside softmax from the same "
      "starts: d = k = {}, V₀ = {}, a₀ = {}, ‖β‖ = 1, to t = {}, {} seeds.",
      k, values_in_words(p.start), scores_in_words(p.start), plain(p.flow.until), p.seeds);
  section.findings = fmt::format(
      "In the linear network the second singular value of V goes from {} of the first to {}; the heaviest token holds "
      "{} of Σ|a| at the end and the entropy of |a|/Σ|a| is {} of log {}. Softmax from the same starts ends at {} of "
      "log {}.",
      in_words(at_start, "seeds"), in_words(final_ratio(runs.linear), "seeds"),
      in_words(largest_share(runs.linear), "seeds"), in_words(relative_entropy(runs.linear), "seeds"), k,
      in_words(relative_entropy(runs.softmax), "seeds"), k);
  section.claims = judge(p, runs);
  section.figures = figures_of(p, runs);
  return section;
}

}  // namespace polariscope::experiments::polarisation::linear

namespace polariscope::experiments {

Experiment a_linear() {
  return {.id = "A.linear",
          .title = "A linear network reaches rank one without polarising",
          .source = "Polarisation paper, section 3",
          .question = "Is it the product of V and a that polarises, or the re-weighting function between them?",
          .protocol = polarisation::linear::quantities,
          .run = polarisation::linear::run};
}

}  // namespace polariscope::experiments
