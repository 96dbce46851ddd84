#include "polariscope/experiments/polarisation/lem_d_2.h"

#include "polariscope/base/terminal.h"
#include "polariscope/experiments/experiments.h"
#include "polariscope/experiments/polarisation/flow_words.h"
#include "polariscope/experiments/shared/attention_looks.h"
#include "polariscope/experiments/shared/measure.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <functional>
#include <utility>

namespace polariscope::experiments::polarisation::lem_d_2 {
namespace {

constexpr std::string_view kRate = "A.lemD.2/rate";
constexpr double kAllowed = 1e-3;  // what the check grants its difference quotient

// −dL/dt / (‖σ‖²‖∇L‖²), NaN where the difference quotient drowns in rounding.
std::vector<double> ratios(const flow::Trajectory& t) {
  const int k = t.problem.tokens;
  std::vector<double> result;
  for (std::size_t n = 0; n < t.points(); ++n) {
    double square = 0.0;
    for (int j = 0; j < k; ++j) square += t.sigma[n * k + j] * t.sigma[n * k + j];
    result.push_back(-t.loss_rate[n] / (square * t.gradient_output[n] * t.gradient_output[n]));
  }
  return result;
}

report::Series line_of(std::string_view row, const flow::Trajectory& t) {
  report::Series line;
  line.name = row;
  line.x = t.t;
  line.y = ratios(t);
  line.colour = colour_of(row);
  line.dashed = is_dashed(row);
  return line;
}

Spread ratios_where(const Measured& m, const std::function<bool(const report::Series&)>& wanted) {
  std::vector<double> values;
  for (const auto& [loss, lines] : m.ratios) {
    for (const report::Series& line : lines) {
      if (wanted(line)) values.insert(values.end(), line.y.begin(), line.y.end());
    }
  }
  return spread_of(std::move(values));
}

// "The smallest ratio of any line is 1; with uniform attention the ratio lies between 1 and 1."
std::string ratios_in_words(const Measured& m) {
  const Spread all = ratios_where(m, [](const report::Series&) { return true; });
  const Spread uniform = ratios_where(m, [](const report::Series& line) { return line.name == "uniform"; });
  return fmt::format(
      "The smallest ratio of any line is {}. With uniform attention, which has no scores to learn, the lemma is an "
      "equation: the ratio lies between {} and {}.",
      significant(all.low, 6), significant(uniform.low, 6), significant(uniform.high, 6));
}

report::Figure ratio_figure(const Protocol& protocol, const Measured& m) {
  const report::Axis y{.title = "−dL/dt / (‖σ‖²‖∇L‖²)", .scale = report::Scale::kLog};
  std::vector<report::Panel> charts;
  report::SeriesChart all{.x = {.title = "time t"}, .y = {.title = y.title}, .series = {}, .references = {}};
  for (const flow::Loss loss : protocol.losses) {
    const std::string name(flow::loss_name(loss));
    const std::vector<report::Series>& lines = m.ratios.at(loss);
    charts.push_back({name, report::series_chart({.x = {.title = "time t", .scale = report::Scale::kLog},
                                                  .y = y,
                                                  .series = lines,
                                                  .references = {{"the bound, 1", 1.0}}})});
    for (report::Series line : lines) {
      line.name = fmt::format("{}, {}", name, line.name);
      all.series.push_back(std::move(line));
    }
  }
  return {.id = "ratio",
          .title = "How fast the loss falls, against what the lemma promises",
          .caption = ratios_in_words(m),
          .alternative = fmt::format("{} panels, one a loss, of the measured rate of the loss over the lemma's bound "
                                     "against time, a line for every re-weighting. {}",
                                     charts.size(), ratios_in_words(m)),
          .spec = report::panels(charts, 2),
          .table = report::table_of(all)};
}

std::string losses_in_words(const Protocol& protocol) {
  std::vector<std::string_view> names;
  for (const flow::Loss loss : protocol.losses) names.push_back(flow::loss_name(loss));
  return listed(names);
}

// "0.05, least squares 0.01".
std::string steps_in_words(const Protocol& protocol) {
  return fmt::format("{}, least squares {}", plain(protocol.ensemble.step), plain(protocol.least_squares_step));
}

long long kinds(const Protocol& protocol) {
  return static_cast<long long>(protocol.losses.size() * protocol.rows.size());
}

Quantities quantities(const Context& context) {
  const Protocol p = protocol_of(context.preset);
  const flow::StartOptions zero = p.plan(flow::Loss::kLogistic, "softmax").like.start;
  const flow::StartOptions one = p.plan(flow::Loss::kLogistic, "identity").like.start;
  return {{"model", "value-softmax"},
          {"loss", losses_in_words(p)},
          {"re-weighting", listed(p.rows)},
          sizes_row(p.ensemble),
          values_row(p.ensemble),
          {"a₀", fmt::format("{}, or {} where f(0) = 0; least squares: {}", scores_in_words(zero), scores_in_words(one),
                             scores_in_words(p.plan(flow::Loss::kLeastSquares, "softmax").like.start))},
          descents_row(p.ensemble, kinds(p)),
          {"step", steps_in_words(p)},
          counted_quantity("steps", p.ensemble.steps, "steps"),
          seed_quantity(context.seed)};
}

report::Section run(const Context& context) {
  const Protocol protocol = protocol_of(context.preset);
  return describe(protocol, measure(context, protocol));
}

}  // namespace

double Protocol::step_for(flow::Loss loss) const {
  return loss == flow::Loss::kLeastSquares ? least_squares_step : ensemble.step;
}

EnsemblePlan Protocol::plan(flow::Loss loss, std::string_view row) const {
  EnsemblePlan plan = ensemble;
  plan.like.loss = loss;
  plan.like.reweighting = &reweighting::find_reweighting(row);
  plan.like.start = flow::usual_start(plan.like.model, loss, *plan.like.reweighting);
  plan.step = step_for(loss);
  return plan;
}

Protocol protocol_of(Preset preset) {
  Protocol protocol;
  protocol.ensemble.descents = preset == Preset::kPaper ? 625 : 24;
  return protocol;
}

Measured measure(const Context& context, const Protocol& protocol) {
  Measured measured;
  std::atomic<long long> records = 0, finite = 0;
  CheckedEnsemble ensemble(context, {kRate}, kinds(protocol) * protocol.ensemble.all_descents());
  for (const flow::Loss loss : protocol.losses) {
    for (const std::string_view row : protocol.rows) {
      const EnsemblePlan plan = protocol.plan(loss, row);
      const std::vector<Setting> settings = plan.settings();
      ensemble.descend(settings, plan.descents, {.step = plan.step, .steps = plan.steps, .samples = {}, .progress = {}},
                       [&](std::size_t s, std::int64_t i, const flow::Trajectory& t) {
                         records += static_cast<long long>(t.points());
                         finite += std::ranges::count_if(t.loss_rate, [](double rate) { return std::isfinite(rate); });
                         const flow::StartOptions& start = settings[s].start;
                         const bool shown =
                             i == 0 && start.tokens == protocol.shown_size && start.value_scale == protocol.shown_scale;
                         if (shown) measured.ratios[loss].push_back(line_of(row, t));  // one trajectory: no race
                       });
    }
  }
  measured.margins = ensemble.finish();
  measured.records = records;
  measured.measured = finite;
  return measured;
}

std::vector<report::Claim> judge(const Protocol& /*protocol*/, const Measured& m) {
  return {m.margins.claim(kRate, "Lemma D.2", "ratio")};
}

report::Section describe(const Protocol& p, const Measured& m) {
  const Margins::Count found = m.margins.count(kRate);
  report::Section section;
  section.method = fmt::format(
      "{} random trajectories of gradient descent ({} steps of {}): {} losses, {} differentiable re-weightings, d = k "
      "in {}, V₀ = scale·N(0, 1), scale in {}. At every record dL/dt along the flow is measured by a central "
      "difference "
      "of the loss, so it does not use the gradient it is compared with.",
      counted(kinds(p) * p.ensemble.all_descents()), counted(p.ensemble.steps), steps_in_words(p), p.losses.size(),
      p.rows.size(), set_of(p.ensemble.sizes), set_of(p.ensemble.scales));
  section.findings = fmt::format(
      "{} of {} trajectories have a point above the bound; the worst measured rate is {} of it, where a thousandth is "
      "allowed for the difference quotient. {} of {} records could be measured: the rest are so near the minimum that "
      "the difference drowns in rounding. Re-weightings with a kink (relu, L1, identity/max1) are left out: where the "
      "flow slides along a kink, dL/dt is no derivative.",
      counted(found.violations), counted(found.applied), significant(found.worst - kAllowed + 1.0, 6),
      counted(m.measured), counted(m.records));
  section.claims = judge(p, m);
  section.figures = {ratio_figure(p, m), m.margins.figure("margins")};
  return section;
}

}  // namespace polariscope::experiments::polarisation::lem_d_2

namespace polariscope::experiments {

Experiment a_lem_d_2() {
  return {.id = "A.lemD.2",
          .title = "The loss falls at least as fast as ‖σ‖²‖∇L‖²",
          .source = "Polarisation paper, lemma D.2",
          .question = "Is dL/dt ≤ −‖σ‖²‖∇L‖² at every point, for any loss and any re-weighting?",
          .protocol = polarisation::lem_d_2::quantities,
          .run = polarisation::lem_d_2::run};
}

}  // namespace polariscope::experiments
