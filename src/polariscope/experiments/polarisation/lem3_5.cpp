#include "polariscope/experiments/polarisation/lem3_5.h"

#include "polariscope/base/parallel.h"
#include "polariscope/base/terminal.h"
#include "polariscope/experiments/experiments.h"
#include "polariscope/experiments/polarisation/flow_words.h"
#include "polariscope/experiments/shared/readings.h"
#include "polariscope/experiments/shared/spread_series.h"
#include "polariscope/report/charts.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <mutex>
#include <utility>

namespace polariscope::experiments::polarisation::lem3_5 {
namespace {

constexpr std::string_view kAlong = "A.lem3.5/along-beta";

// Largest growth of ‖V − βuᵀ/‖β‖²‖ from one record to the next, against its start.
double orthogonal_growth(const flow::Trajectory& t) {
  double growth = -std::numeric_limits<double>::infinity();
  for (std::size_t n = 1; n < t.points(); ++n) growth = std::max(growth, t.orthogonal[n] - t.orthogonal[n - 1]);
  return growth / t.orthogonal.front();
}

double disagreement(const flow::Trajectory& full, const flow::Trajectory& reduced) {
  return std::max({largest_difference(full.scores, reduced.scores), largest_difference(full.u, reduced.u),
                   largest_difference(full.sigma, reduced.sigma)});
}

flow::Start reduced_from(const flow::Start& start) {
  flow::Start small = start;
  small.problem.model = flow::Model::kReduced;
  small.state = flow::reduced(start.problem, start.state);
  return small;
}

// The same start, full and reduced.
double descent_disagreement(const Protocol& protocol, const flow::Start& start) {
  const flow::DescentOptions options{
      .step = protocol.zero.step, .steps = protocol.zero.steps, .samples = {}, .progress = {}};
  const flow::Start small = reduced_from(start);
  return disagreement(flow::descend(start.problem, start.state, options),
                      flow::descend(small.problem, small.state, options));
}

double flow_disagreement(const Protocol& protocol, const flow::Start& start) {
  flow::FlowOptions options = protocol.flow;
  options.rtol = protocol.compared_rtol;
  const flow::Start small = reduced_from(start);
  return disagreement(flow::integrate(start.problem, start.state, options),
                      flow::integrate(small.problem, small.state, options));
}

std::vector<double> disagreements(const Context& context, const Protocol& protocol,
                                  double (*of)(const Protocol&, const flow::Start&)) {
  const std::vector<Setting> settings = protocol.compared_settings();
  std::vector<double> differences(settings.size() * protocol.compared);
  parallel_for(static_cast<std::int64_t>(differences.size()), context.threads, [&](std::int64_t i) {
    differences[i] = of(protocol, settings[i / protocol.compared].draw(context.seed, i));
  });
  return differences;
}

report::Figure orthogonal_figure(const Protocol& protocol, const Measured& m) {
  const report::SeriesChart chart{
      .x = {.title = "time t", .scale = report::Scale::kLog},
      .y = {.title = "‖V − βuᵀ/‖β‖²‖ against its start", .scale = report::Scale::kLinear},
      .series = {spread_series(fmt::format("V₀ = {}: median and range", normal_in_words(protocol.shown_scale)), m.t,
                               m.shown)},
      .references = {{"never above its start", 1.0}}};
  return {.id = "orthogonal",
          .title = "What of V does not lie along β",
          .caption = fmt::format("At the end {} of it is left. Its largest growth from one record to the next, on any "
                                 "trajectory, is {} of its start.",
                                 end_in_words(chart.series[0]), significant(spread_of(m.growth).high, 2)),
          .alternative = fmt::format("Norm of the part of V orthogonal to β, relative to its start, against time; it "
                                     "ends at {}.",
                                     end_in_words(chart.series[0])),
          .spec = report::series_chart(chart),
          .table = report::table_of(chart)};
}

report::Figure agreement_figure(const Protocol& protocol, const Measured& m) {
  const auto panel = [&](std::string title, const std::vector<double>& differences) -> report::Panel {
    return {std::move(title), report::histogram({.x = {.title = "largest difference", .scale = report::Scale::kLog},
                                                 .values = differences,
                                                 .marks = {{plain(protocol.agreement), protocol.agreement}}})};
  };
  const std::array<report::Panel, 2> both{panel("gradient descent", m.by_descent), panel("the flow", m.by_flow)};
  return {.id = "agreement",
          .title = "Full against reduced system",
          .caption = fmt::format(
              "The largest difference in a, u and σ over all records, held to {}, is {} by descent and {} by the flow.",
              plain(protocol.agreement), significant(spread_of(m.by_descent).high, 2),
              significant(spread_of(m.by_flow).high, 2)),
          .alternative = "Histograms of the largest difference between the full and the reduced system.",
          .spec = report::panels(both, 2),
          .table = {{{"largest difference, descent", m.by_descent}, {"largest difference, flow", m.by_flow}}}};
}

long long all_descents(const Protocol& p) { return p.zero.all_descents() + p.noise.all_descents(); }
long long all_flows(const Protocol& p) { return p.zero.all_flows() + p.noise.all_flows(); }

Quantities quantities(const Context& context) {
  const Protocol p = protocol_of(context.preset);
  const long long settings = p.zero.count() + p.noise.count();
  return {{"model", "value-softmax, reduced"},
          {"loss", "square; logistic in the comparison"},
          {"re-weighting", "softmax"},
          sizes_row(p.zero),
          {"V₀", fmt::format("0; scale·N(0, 1), scale {}", listed(p.noise.scales))},
          {"a₀", scores_in_words(p.zero.like.start)},
          counted_quantity("descents a setting", p.zero.descents, "descents", settings),
          steps_row(p.zero),
          counted_quantity("flows a setting", p.zero.flows, "flows", settings),
          {"flows until", fmt::format("t = {}", plain(p.flow.until))},
          {"d = k compared", listed(p.compared_sizes)},
          counted_quantity("starts compared a setting", p.compared, "starts compared a setting"),
          {"relative tolerance", fmt::format("{}; {} in the comparison", plain(p.flow.rtol), plain(p.compared_rtol))},
          seed_quantity(context.seed)};
}

report::Section run(const Context& context) {
  const Protocol protocol = protocol_of(context.preset);
  return describe(protocol, measure(context, protocol));
}

}  // namespace

std::vector<Setting> Protocol::compared_settings() const {
  Setting logistic = noise.like;
  logistic.loss = flow::Loss::kLogistic;
  std::vector<Setting> settings = settings_of(zero.like, compared_sizes, zero.scales);
  for (const Setting& setting : settings_of(logistic, compared_sizes, noise.scales)) settings.push_back(setting);
  return settings;
}

Protocol protocol_of(Preset preset) {
  const bool paper = preset == Preset::kPaper;
  Protocol protocol;
  EnsemblePlan& zero = protocol.zero;
  zero.like.loss = flow::Loss::kSquare;
  zero.like.start.score_scale = 1.0;  // from a = c·1 and V = 0 all tokens would stay alike
  zero.sizes = {2, 4, 8, 16};
  zero.scales = {0.0};
  zero.step = 0.05;
  zero.steps = 2'000;
  zero.descents = paper ? 12'500 : 500;
  zero.flows = paper ? 50 : 4;
  protocol.noise = zero;
  protocol.noise.scales = {0.1, 1.0};
  protocol.flow = {.until = zero.step * static_cast<double>(zero.steps), .times = {}, .events = false, .progress = {}};
  protocol.compared = paper ? 100 : 6;
  return protocol;
}

Measured measure(const Context& context, const Protocol& protocol) {
  const EnsemblePlan &zero = protocol.zero, &noise = protocol.noise;
  const flow::DescentOptions descent{.step = zero.step, .steps = zero.steps, .samples = {}, .progress = {}};
  Measured measured;
  measured.t = flow::log_times(protocol.flow.until, 200);
  std::mutex mutex;  // guards measured
  const auto keep_growth = [&](std::size_t, std::int64_t, const flow::Trajectory& t) {
    const std::lock_guard lock(mutex);
    measured.growth.push_back(orthogonal_growth(t));
  };
  const std::vector<Setting> noisy = noise.settings();
  CheckedEnsemble ensemble(context, {kAlong}, all_descents(protocol) + all_flows(protocol));
  ensemble.descend(zero.settings(), zero.descents, descent);
  ensemble.integrate(zero.settings(), zero.flows, protocol.flow);
  ensemble.descend(noisy, noise.descents, descent, keep_growth);
  ensemble.integrate(noisy, noise.flows, protocol.flow, [&](std::size_t s, std::int64_t i, const flow::Trajectory& t) {
    keep_growth(s, i, t);
    const flow::StartOptions& start = noisy[s].start;
    if (start.tokens != protocol.shown_size || start.value_scale != protocol.shown_scale) return;
    std::vector<double> left = t.orthogonal;
    for (double& x : left) x /= t.orthogonal.front();
    const std::lock_guard lock(mutex);
    measured.shown.push_back(std::move(left));
  });
  measured.margins = ensemble.finish();
  measured.by_descent = disagreements(context, protocol, descent_disagreement);
  measured.by_flow = disagreements(context, protocol, flow_disagreement);
  return measured;
}

std::vector<report::Claim> judge(const Protocol& protocol, const Measured& m) {
  const Spread grown = spread_of(m.growth), by_descent = spread_of(m.by_descent), by_flow = spread_of(m.by_flow);
  const std::string agree =
      fmt::format("largest difference in a, u, σ at most {}, every start", plain(protocol.agreement));
  return {
      m.margins.claim(kAlong, "Lemma 3.5", "margins"),
      claim("A.lem3.5/orthogonal-decays", "Whatever of V is orthogonal to β at the start only decays.",
            "Lemma 3.5, ours",
            fmt::format("‖V − βuᵀ/‖β‖²‖ grows by less than {} of its start between any two records, every trajectory",
                        plain(protocol.most_growth)),
            grown, "trajectories", all_within(m.growth, protocol.most_growth), "orthogonal"),
      claim("A.lem3.5/reduced-descent", "Gradient descent of the reduced system is that of the full one.", "Lemma 3.5",
            agree, by_descent, "starts", all_within(m.by_descent, protocol.agreement), "agreement"),
      claim("A.lem3.5/reduced-flow", "The flow of the reduced system is that of the full one.", "Lemma 3.5", agree,
            by_flow, "starts", all_within(m.by_flow, protocol.agreement), "agreement"),
  };
}

report::Section describe(const Protocol& p, const Measured& m) {
  const Margins::Count along = m.margins.count(kAlong);
  report::Section section;
  section.method = fmt::format(
      "Square loss ½‖β − Vσ(a)‖², a₀ = {}, d = k in {}; V₀ = 0 and V₀ = scale·N(0, 1), scale in {}: {} gradient "
      "descents ({} steps of {}) and {} flows to t = {}. The full system is compared with the reduced one (u, a) from "
      "the same starts, under square loss from V₀ = 0 and under logistic loss from any V₀.",
      scores_in_words(p.zero.like.start), set_of(p.zero.sizes), set_of(p.noise.scales), counted(all_descents(p)),
      counted(p.zero.steps), plain(p.zero.step), counted(all_flows(p)), plain(p.flow.until));
  section.findings = fmt::format(
      "From V₀ = 0 something orthogonal to β appears on {} of {} trajectories. From V₀ ≠ 0 the largest change of the "
      "orthogonal part between records, relative to its start, is {}. Full and reduced system differ by at most {} "
      "under descent and {} under the flow.",
      counted(along.violations), counted(along.applied), significant(spread_of(m.growth).high, 2),
      significant(spread_of(m.by_descent).high, 2), significant(spread_of(m.by_flow).high, 2));
  section.claims = judge(p, m);
  section.figures = {orthogonal_figure(p, m), agreement_figure(p, m), m.margins.figure("margins")};
  return section;
}

}  // namespace polariscope::experiments::polarisation::lem3_5

namespace polariscope::experiments {

Experiment a_lem3_5() {
  return {.id = "A.lem3.5",
          .title = "Under square loss V stays along β",
          .source = "Polarisation paper, lemma 3.5",
          .question = "Does anything orthogonal to β grow, and do u and a alone tell the whole flow?",
          .protocol = polarisation::lem3_5::quantities,
          .run = polarisation::lem3_5::run};
}

}  // namespace polariscope::experiments
