#include "polariscope/experiments/polarisation/thm3_3.h"

#include "polariscope/experiments/experiments.h"
#include "polariscope/experiments/polarisation/flow_words.h"
#include "polariscope/experiments/shared/measure.h"
#include "polariscope/experiments/shared/spread_series.h"
#include "polariscope/report/charts.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <mutex>
#include <utility>

namespace polariscope::experiments::polarisation::thm3_3 {
namespace {

constexpr std::array<std::string_view, 3> kChecks{"A.thm3.3/one-hot", "A.thm3.3/strength", "A.thm3.3/loss"};

// 1 − max σ at every record, without the cancellation.
std::vector<double> rest_of(const flow::Trajectory& t) {
  const int k = t.problem.tokens;
  std::vector<double> rest(t.points(), 0.0);
  for (std::size_t n = 0; n < t.points(); ++n) {
    for (int j = 0; j < k; ++j) {
      if (j != static_cast<int>(t.winner[n])) rest[n] += t.sigma[n * k + j];
    }
  }
  return rest;
}

report::Panel panel(std::string title, std::string axis, report::Scale scale, const Measured& measured,
                    const std::vector<std::vector<double>>& runs, report::SeriesChart* table) {
  const report::Series series = spread_series(axis, measured.t, runs);
  table->series.push_back(series);
  return {std::move(title), report::series_chart({.x = {.title = "time t", .scale = report::Scale::kLog},
                                                  .y = {.title = std::move(axis), .scale = scale},
                                                  .series = {series},
                                                  .references = {}})};
}

report::Figure limits(const Protocol& protocol, const Measured& m) {
  report::SeriesChart all{.x = {.title = "time t"}, .y = {.title = "value"}, .series = {}, .references = {}};
  const std::array<report::Panel, 3> three{
      panel("not one-hot yet", "1 − max σ", report::Scale::kLog, m, m.shown_spread, &all),
      panel("cumulative strength", "∫ s dt", report::Scale::kLinear, m, m.shown_strength, &all),
      panel("loss", "loss", report::Scale::kLog, m, m.shown_loss, &all)};
  const int k = protocol.shown_size;
  const double log_t = std::log(m.t.back());
  const std::string ends = fmt::format(
      "At t = {:g} the loss is {} where 1/t is {:g}, ∫ s dt is {} where log t is {:.1f}, and 1 − max σ is {} where "
      "2(k − 1)/(k log² t) is {:.2g}.",
      m.t.back(), end_in_words(all.series[2]), 1.0 / m.t.back(), end_in_words(all.series[1], 4), log_t,
      end_in_words(all.series[0]), 2.0 * (k - 1) / (k * log_t * log_t));
  return {.id = "limits",
          .title = fmt::format("One-hot weights, divergent strength, vanishing loss (k = {})", k),
          .caption = ends,
          .alternative =
              fmt::format("Three panels against time to {}: 1 − max σ, the integral of s and the loss. Lines are "
                          "medians over random starts, bands their range. {}",
                          plain(protocol.flow.until), ends),
          .spec = report::panels(three, 3, true),
          .table = report::table_of(all)};
}

Quantities quantities(const Context& context) {
  const Protocol p = protocol_of(context.preset);
  Quantities rows = start_rows(p.ensemble, "value-softmax; the flows by its reduced form");
  rows.insert(rows.end(), {descents_row(p.ensemble),
                           steps_row(p.ensemble),
                           flows_row(p.ensemble),
                           {"integrator", integrator_in_words(p.flow)},
                           seed_quantity(context.seed)});
  return rows;
}

report::Section run(const Context& context) {
  const Protocol protocol = protocol_of(context.preset);
  return describe(protocol, measure(context, protocol));
}

}  // namespace

Protocol protocol_of(Preset preset) {
  const bool paper = preset == Preset::kPaper;
  Protocol protocol;
  protocol.ensemble.descents = paper ? 8'334 : 200;
  protocol.ensemble.flows = paper ? 200 : 20;
  return protocol;
}

Measured measure(const Context& context, const Protocol& protocol) {
  const EnsemblePlan& plan = protocol.ensemble;
  Measured measured;
  measured.t = flow::log_times(protocol.flow.until, 200);
  std::mutex mutex;  // guards measured
  CheckedEnsemble ensemble(context, {kChecks.begin(), kChecks.end()}, plan.all_descents() + plan.all_flows());
  ensemble.descend(plan.settings(), plan.descents,
                   {.step = plan.step, .steps = plan.steps, .samples = {}, .progress = {}});
  ensemble.integrate(plan.reduced(), plan.flows, protocol.flow,
                     [&](std::size_t, std::int64_t, const flow::Trajectory& t) {
                       std::vector<double> rest = rest_of(t);
                       const std::lock_guard lock(mutex);
                       measured.top.push_back(1.0 - rest.back());
                       measured.strength.push_back(t.strength.back());
                       measured.loss.push_back(t.loss.back());
                       if (t.problem.tokens != protocol.shown_size) return;
                       measured.shown_spread.push_back(std::move(rest));
                       measured.shown_strength.push_back(t.strength);
                       measured.shown_loss.push_back(t.loss);
                     });
  measured.margins = ensemble.finish();
  return measured;
}

std::vector<report::Claim> judge(const Protocol& /*protocol*/, const Measured& measured) {
  std::vector<report::Claim> claims;
  for (const std::string_view check : kChecks) claims.push_back(measured.margins.claim(check, "Theorem 3.3", "limits"));
  return claims;
}

report::Section describe(const Protocol& p, const Measured& m) {
  const std::string until = plain(p.flow.until);
  report::Section section;
  section.method = fmt::format(
      "Random starts V₀ = scale·N(0, 1), a₀ = {}, ‖β‖ = 1, d = k in {}, scale in {}: {} flows integrated in log t to "
      "t = {}, and {} gradient descents of {} steps of {}. The checks compare the second half of log t with the first; "
      "those of the two limits beside the loss need t beyond 1e100, where only the flow goes.",
      scores_in_words(p.ensemble.like.start), set_of(p.ensemble.sizes), set_of(p.ensemble.scales),
      counted(p.ensemble.all_flows()), until, counted(p.ensemble.all_descents()), counted(p.ensemble.steps),
      plain(p.ensemble.step));
  section.findings = fmt::format(
      "At t = {} max σ is {}, ∫ s dt is {} (log t is {:.0f}) and the loss {}. That one-hot weights, a strength without "
      "bound and a loss of zero are approached is violated on {}, {} and {} trajectories.",
      until, in_words(spread_of(m.top), "flows", 7), in_words(spread_of(m.strength), "flows", 4),
      std::log(p.flow.until), in_words(spread_of(m.loss), "flows", 3), counted(m.margins.count(kChecks[0]).violations),
      counted(m.margins.count(kChecks[1]).violations), counted(m.margins.count(kChecks[2]).violations));
  section.claims = judge(p, m);
  section.figures = {limits(p, m), m.margins.figure("margins")};
  return section;
}

}  // namespace polariscope::experiments::polarisation::thm3_3

namespace polariscope::experiments {

Experiment a_thm3_3() {
  return {.id = "A.thm3.3",
          .title = "The logistic flow tends to one-hot weights and zero loss",
          .source = "Polarisation paper, theorem 3.3",
          .question = "Do softmax weights become one-hot in the limit, and how far is the limit?",
          .protocol = polarisation::thm3_3::quantities,
          .run = polarisation::thm3_3::run};
}

}  // namespace polariscope::experiments
