#include "polariscope/experiments/polarisation/c1.h"

#include "polariscope/base/terminal.h"
#include "polariscope/experiments/experiments.h"
#include "polariscope/experiments/polarisation/flow_words.h"
#include "polariscope/experiments/shared/measure.h"
#include "polariscope/experiments/shared/spread_series.h"
#include "polariscope/report/charts.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <mutex>
#include <utility>

namespace polariscope::experiments::polarisation::c1 {
namespace {

constexpr double kNearRate = 0.98;  // of the bound

constexpr std::array<std::string_view, 2> kChecks{"A.c1/strength", "A.c1/not-one-hot"};

// −d log L/dt by least squares over the records between the two levels of L/L(0), and how straight it is.
struct Decay {
  double rate, r_square;
};
Decay decay_of(const Protocol& protocol, const flow::Trajectory& t) {
  double points = 0.0, x_mean = 0.0, y_mean = 0.0, xx = 0.0, xy = 0.0, yy = 0.0;
  for (std::size_t n = 0; n < t.points(); ++n) {
    const double level = t.loss[n] / t.loss.front();
    if (level > protocol.fit_from || level < protocol.fit_to) continue;
    points += 1.0;
    const double dx = t.t[n] - x_mean;
    const double dy = std::log(level) - y_mean;
    x_mean += dx / points;
    y_mean += dy / points;
    xx += dx * (t.t[n] - x_mean);
    xy += dx * (std::log(level) - y_mean);
    yy += dy * (std::log(level) - y_mean);
  }
  return {-xy / xx, xy * xy / (xx * yy)};
}

// Smallest log(L(0)/L(t)) / (2t/k) over the records before rounding: at least 1 where L(t) ≤ L(0) exp(−2t/k), which
// is lemma D.2 with ‖σ‖² ≥ 1/k, integrated. A straight log L would ask for more than the paper says: a loss is
// the sum of several exponentials, and bends where a fast one hands over to a slow one.
double decay_against_bound(const Protocol& protocol, const flow::Trajectory& t) {
  double smallest = std::numeric_limits<double>::infinity();
  for (std::size_t n = 1; n < t.points() && t.loss[n] >= protocol.fit_to * t.loss.front(); ++n) {
    smallest = std::min(smallest, std::log(t.loss.front() / t.loss[n]) * t.problem.tokens / (2.0 * t.t[n]));
  }
  return smallest;
}

// As many records where the loss falls as where it has fallen.
std::vector<std::int64_t> sampled_steps(std::int64_t last) {
  std::vector<std::int64_t> steps{0};
  for (std::int64_t step = 4; step <= last; step += step < 400 ? 4 : 40) steps.push_back(step);
  return steps;
}

// max σ at every record.
std::vector<double> largest_weights(const flow::Trajectory& t) {
  const int k = t.problem.tokens;
  std::vector<double> top;
  for (std::size_t n = 0; n < t.points(); ++n) {
    top.push_back(*std::max_element(t.sigma.begin() + n * k, t.sigma.begin() + (n + 1) * k));
  }
  return top;
}

report::Figure limits(const Protocol& protocol, const Measured& m) {
  const int k = protocol.shown_size;
  const report::Axis time{.title = "time t", .scale = report::Scale::kLinear};
  report::SeriesChart loss{
      .x = time, .y = {.title = "loss", .scale = report::Scale::kLog}, .series = {}, .references = {}};
  report::SeriesChart strength{
      .x = time, .y = {.title = "∫‖∇L‖ dt", .scale = report::Scale::kLinear}, .series = {}, .references = {}};
  report::SeriesChart top{.x = time,
                          .y = {.title = "max σ", .scale = report::Scale::kLinear},
                          .series = {},
                          .references = {{"one-hot", 1.0}, {"uniform", 1.0 / k}}};
  loss.series.push_back(spread_series("loss", m.t, m.shown_loss));
  strength.series.push_back(spread_series("∫‖∇L‖ dt", m.t, m.shown_strength));
  top.series.push_back(spread_series("max σ", m.t, m.shown_top));
  report::SeriesChart all = loss;
  all.series = {loss.series[0], strength.series[0], top.series[0]};
  const std::string ends =
      fmt::format("At the end the loss is {}, ∫‖∇L‖ dt {} and max σ {}.", end_in_words(loss.series[0]),
                  end_in_words(strength.series[0]), end_in_words(top.series[0]));
  const std::array<report::Panel, 3> three{report::Panel{"loss", report::series_chart(loss)},
                                           report::Panel{"cumulative strength", report::series_chart(strength)},
                                           report::Panel{"largest weight", report::series_chart(top)}};
  return {.id = "limits",
          .title = fmt::format("Loss, strength and largest weight under square loss (k = {})", k),
          .caption = "Medians and ranges over starts. " + ends,
          .alternative =
              "Three panels against time: the loss, the integral of the gradient's norm and the largest "
              "weight. " +
              ends,
          .spec = report::panels(three, 3, true),
          .table = report::table_of(all)};
}

report::Figure rates(const Measured& m) {
  const std::string measured = in_words(spread_of(m.against_bound), "trajectories");
  const report::Histogram chart{.x = {.title = "rate of decay · k/2", .scale = report::Scale::kLog},
                                .values = m.against_bound,
                                .marks = {{"the bound, 1", 1.0}}};
  return {.id = "rates",
          .title = "Rates of decay against the bound 2/k",
          .caption = fmt::format("The fitted rate is {} times the bound.", measured),
          .alternative = fmt::format("Histogram of the fitted rate of decay divided by 2/k: {}.", measured),
          .spec = report::histogram(chart),
          .table = report::table_of(chart)};
}

Quantities quantities(const Context& context) {
  const Protocol p = protocol_of(context.preset);
  Quantities rows = start_rows(p.ensemble, "value-softmax");
  rows.insert(rows.end(), {descents_row(p.ensemble), steps_row(p.ensemble), seed_quantity(context.seed)});
  return rows;
}

report::Section run(const Context& context) {
  const Protocol protocol = protocol_of(context.preset);
  return describe(protocol, measure(context, protocol));
}

}  // namespace

Protocol protocol_of(Preset preset) {
  Protocol protocol;
  protocol.ensemble.descents = preset == Preset::kPaper ? 8'334 : 400;
  return protocol;
}

void Measured::add(const Protocol& protocol, const flow::Trajectory& descent) {
  const Decay decay = decay_of(protocol, descent);
  rate.push_back(decay.rate);
  against_bound.push_back(decay.rate * descent.problem.tokens / 2.0);
  straightness.push_back(decay.r_square);
  under.push_back(decay_against_bound(protocol, descent));
  top.push_back(largest_weights(descent).back());
  strength.push_back(descent.strength.back());
}

Measured measure(const Context& context, const Protocol& protocol) {
  const EnsemblePlan& plan = protocol.ensemble;
  const std::vector<Setting> settings = plan.settings();
  Measured measured;
  std::mutex mutex;  // guards measured
  CheckedEnsemble ensemble(context, {kChecks.begin(), kChecks.end()}, plan.all_descents());
  ensemble.descend(settings, plan.descents,
                   {.step = plan.step, .steps = plan.steps, .samples = sampled_steps(plan.steps), .progress = {}},
                   [&](std::size_t s, std::int64_t, const flow::Trajectory& t) {
                     const std::lock_guard lock(mutex);
                     measured.add(protocol, t);
                     const flow::StartOptions& start = settings[s].start;
                     if (start.tokens != protocol.shown_size || start.value_scale != protocol.shown_scale) return;
                     measured.t = t.t;
                     measured.shown_loss.push_back(t.loss);
                     measured.shown_strength.push_back(t.strength);
                     measured.shown_top.push_back(largest_weights(t));
                   });
  measured.margins = ensemble.finish();
  return measured;
}

std::vector<report::Claim> judge(const Protocol& protocol, const Measured& m) {
  const Spread envelope = spread_of(m.under), bound = spread_of(m.against_bound);
  return {
      m.margins.claim(kChecks[0], "Appendix C.1", "limits"),
      claim("A.c1/exponential", "The loss decays exponentially: L(t) ≤ L(0)·exp(−2t/k).",
            "Appendix C.1; Lemma D.2 with ‖σ‖² ≥ 1/k, integrated",
            fmt::format("log(L(0)/L(t))·k/(2t) at least 1 at every record down to {} of the start, every trajectory",
                        plain(protocol.fit_to)),
            envelope, "trajectories", envelope.low >= 1.0, "limits"),
      claim("A.c1/rate", "The loss decays at least as fast as exp(−2t/k).", "Lemma D.2 with ‖σ‖² ≥ 1/k",
            fmt::format(
                "fitted rate · k/2 at least {} (descent is slower than the flow by up to the step) on every trajectory",
                kNearRate),
            bound, "trajectories", bound.low >= kNearRate, "rates"),
      m.margins.claim(kChecks[1], "Appendix C.1", "limits"),
  };
}

report::Section describe(const Protocol& p, const Measured& m) {
  const EnsemblePlan& plan = p.ensemble;
  const auto bent = std::ranges::count_if(m.straightness, [](double r) { return !(r > 0.99); });
  report::Section section;
  section.method = fmt::format(
      "Square loss ½‖β − Vσ(a)‖², softmax, V₀ = scale·N(0, 1), a₀ = {}, ‖β‖ = 1, d = k in {}, scale in {}: {} gradient "
      "descents, {} steps of {}. The rate is fitted where the loss lies between {} and {} of its start.",
      scores_in_words(plan.like.start), set_of(plan.sizes), set_of(plan.scales), counted(plan.all_descents()),
      counted(plan.steps), plain(plan.step), plain(p.fit_from), plain(p.fit_to));
  section.findings = fmt::format(
      "The loss is under L(0)·exp(−2t/k) where log(L(0)/L)·k/2t is above 1: its smallest value at any record is {}. "
      "The rate fitted to it is {}. It need not be one exponential: on {} trajectories a straight line through log L "
      "has R² below 0.99 (smallest {}). ∫‖∇L‖ dt ends at {} and max σ at {}.",
      significant(spread_of(m.under).low, 5), in_words(spread_of(m.rate), "trajectories"), counted(bent),
      significant(spread_of(m.straightness).low, 4), in_words(spread_of(m.strength), "trajectories"),
      in_words(spread_of(m.top), "trajectories"));
  section.claims = judge(p, m);
  section.figures = {limits(p, m), rates(m), m.margins.figure("margins")};
  return section;
}

}  // namespace polariscope::experiments::polarisation::c1

namespace polariscope::experiments {

Experiment a_c1() {
  return {.id = "A.c1",
          .title = "Under square loss the weights stop short of one-hot",
          .source = "Polarisation paper, appendix C.1",
          .question = "Does attention polarise when the loss can be fitted exactly?",
          .protocol = polarisation::c1::quantities,
          .run = polarisation::c1::run};
}

}  // namespace polariscope::experiments
