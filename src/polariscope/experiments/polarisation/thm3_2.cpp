#include "polariscope/experiments/polarisation/thm3_2.h"

#include "polariscope/base/terminal.h"
#include "polariscope/experiments/experiments.h"
#include "polariscope/experiments/polarisation/flow_words.h"
#include "polariscope/experiments/shared/measure.h"
#include "polariscope/flow/checks.h"
#include "polariscope/report/charts.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <limits>

namespace polariscope::experiments::polarisation::thm3_2 {
namespace {

constexpr std::array<std::string_view, 5> kChecks{"A.thm3.2/order", "A.thm3.2/u-differences", "A.thm3.2/a-differences",
                                                  "A.thm3.2/winner-differences", "A.thm3.2/lyapunov"};
constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Dense where differences turn, sparse beyond.
std::vector<double> recorded_times(double dense_until, double last) {
  std::vector<double> times = flow::log_times(dense_until, 200);
  for (double exponent = 2.0 * std::log10(dense_until); exponent < std::log10(last); exponent += 12.0) {
    times.push_back(std::pow(10.0, exponent));
  }
  times.push_back(last);
  return times;
}

// Time of the first record at which some a_i − a_j, neither of them the winner, is smaller than at the
// record before, beyond rounding. Infinity where there is none.
double first_fall(const flow::Trajectory& t, double tolerance) {
  const std::vector<int> order = flow::order_of_u(t);
  const int k = t.problem.tokens;
  for (std::size_t n = 1; n < t.points(); ++n) {
    const auto lead = [&](std::size_t record, std::size_t i, std::size_t j) {
      return t.scores[record * k + order[i]] - t.scores[record * k + order[j]];
    };
    for (std::size_t i = 1; i < order.size(); ++i) {
      for (std::size_t j = i + 1; j < order.size(); ++j) {
        if (lead(n, i, j) < lead(n - 1, i, j) - tolerance * (1.0 + std::abs(lead(n, i, j)))) return t.t[n];
      }
    }
  }
  return kInfinity;
}

// x_i − x_j against time for the pairs named, tokens counted from 1 in falling order of u₀.
report::SeriesChart differences(const flow::Trajectory& t, double until, const std::vector<double>& record,
                                std::string_view symbol, std::initializer_list<std::pair<int, int>> pairs) {
  report::SeriesChart chart{.x = {.title = "time t", .scale = report::Scale::kLog},
                            .y = {.title = fmt::format("{0}_i − {0}_j", symbol), .scale = report::Scale::kLinear},
                            .series = {},
                            .references = {}};
  const std::vector<int> order = flow::order_of_u(t);
  for (const auto& [i, j] : pairs) {
    report::Series series;
    series.name = fmt::format("{0}_{1} − {0}_{2}", symbol, i, j);
    for (std::size_t n = 0; n < t.points() && t.t[n] <= until; ++n) {
      const double* x = record.data() + n * t.problem.tokens;
      series.x.push_back(t.t[n]);
      series.y.push_back(x[order[i - 1]] - x[order[j - 1]]);
    }
    chart.series.push_back(std::move(series));
  }
  return chart;
}

// How far any of them falls from one record to the next.
double largest_fall(const report::SeriesChart& chart) {
  double largest = 0.0;
  for (const report::Series& series : chart.series) {
    for (std::size_t n = 1; n < series.y.size(); ++n) largest = std::max(largest, series.y[n - 1] - series.y[n]);
  }
  return largest;
}

double smallest_end(const report::SeriesChart& chart) {
  double smallest = kInfinity;
  for (const report::Series& series : chart.series) smallest = std::min(smallest, series.y.back());
  return smallest;
}

report::Figure u_figure(const Protocol& protocol, const flow::Trajectory& shown) {
  const report::SeriesChart chart =
      differences(shown, protocol.shown_until, shown.u, "u", {{1, 2}, {1, 3}, {1, 4}, {2, 3}, {2, 4}, {3, 4}});
  const std::string fall = significant(largest_fall(chart), 2);
  return {.id = "u-differences",
          .title = "Differences of alignments u_i − u_j, i before j",
          .caption = "The largest fall of any of them from one record to the next is " + fall + ".",
          .alternative = "Six differences of alignments of a flow with four tokens; the largest fall is " + fall + ".",
          .spec = report::series_chart(chart),
          .table = report::table_of(chart)};
}

report::Figure a_figure(const Protocol& protocol, const flow::Trajectory& shown) {
  const double until = protocol.shown_until;
  const report::SeriesChart winner = differences(shown, until, shown.scores, "a", {{1, 2}, {1, 3}, {1, 4}});
  const report::SeriesChart losers = differences(shown, until, shown.scores, "a", {{2, 3}, {2, 4}, {3, 4}});
  const std::string falls = fmt::format(
      "The largest fall from one record to the next is {} with the winner and {} between losers, whose smallest "
      "difference at t = {:g} is {}.",
      significant(largest_fall(winner), 2), significant(largest_fall(losers), 2), until,
      significant(smallest_end(losers), 2));
  const std::array<report::Panel, 2> both{report::Panel{"with the winner", report::series_chart(winner)},
                                          report::Panel{"between losers", report::series_chart(losers)}};
  return {.id = "a-differences",
          .title = "Differences of scores a_i − a_j, i before j",
          .caption = fmt::format("The theorem as printed says that none ever falls. {}", falls),
          .alternative = fmt::format("Six differences of scores of a flow with four tokens. {}", falls),
          .spec = report::panels(both, 2),
          .table = report::table_of(
              differences(shown, until, shown.scores, "a", {{1, 2}, {1, 3}, {1, 4}, {2, 3}, {2, 4}, {3, 4}}))};
}

report::Figure fall_figure(const Protocol& protocol, const Measured& measured) {
  const double until = protocol.shown_until;
  report::SeriesChart chart{.x = {.title = "time t", .scale = report::Scale::kLog},
                            .y = {.title = "share of flows with a falling a_i − a_j", .scale = report::Scale::kLinear},
                            .series = {},
                            .references = {}};
  std::vector<std::string> ends;
  for (std::size_t s = 0; s < measured.falls.size(); ++s) {
    std::vector<double> times = measured.falls[s];
    std::sort(times.begin(), times.end());
    report::Series series;
    series.name = fmt::format("k = {}", protocol.ensemble.sizes[s]);
    for (const double t : flow::log_times(until, 200)) {
      if (t < 0.1) continue;
      const auto fallen = std::upper_bound(times.begin(), times.end(), t) - times.begin();
      series.x.push_back(t);
      series.y.push_back(static_cast<double>(fallen) / static_cast<double>(times.size()));
    }
    ends.push_back(fmt::format("{:.0f} % for k = {}", 100.0 * series.y.back(), protocol.ensemble.sizes[s]));
    chart.series.push_back(std::move(series));
  }
  return {.id = "first-fall",
          .title = "When the first difference between losers falls",
          .caption =
              fmt::format("Flows in which some difference has fallen by t = {:g}: {}. Two tokens have no two losers.",
                          until, fmt::join(ends, ", ")),
          .alternative =
              "Share of flows in which some difference of losers' scores has fallen, against time, a line "
              "for every number of tokens.",
          .spec = report::series_chart(chart),
          .table = report::table_of(chart)};
}

// Of the flows with two losers, which are those with three tokens or more: how many there are, and when a difference
// first falls on those where one does.
struct Falls {
  long long able = 0;
  Spread when;
};
Falls falls_of_losers(const Protocol& protocol, const Measured& measured) {
  std::vector<double> times;
  for (std::size_t s = 0; s < measured.falls.size(); ++s) {
    if (protocol.ensemble.sizes[s] < 3) continue;
    times.insert(times.end(), measured.falls[s].begin(), measured.falls[s].end());
  }
  const auto able = static_cast<long long>(times.size());
  return {able, spread_of(std::move(times))};
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
  protocol.ensemble.descents = paper ? 6'667 : 400;
  protocol.ensemble.flows = paper ? 200 : 16;
  protocol.flow = {.until = 1e299,
                   .times = recorded_times(protocol.shown_until, 1e299),
                   .solver = flow::Solver::kBdf,
                   .events = false,
                   .progress = {}};
  return protocol;
}

Measured measure(const Context& context, const Protocol& protocol) {
  const EnsemblePlan& plan = protocol.ensemble;
  const auto flows_a_size = static_cast<std::size_t>(plan.flows) * plan.scales.size();
  Measured measured;
  measured.falls.assign(plan.sizes.size(), std::vector<double>(flows_a_size));
  std::atomic<long long> fallen = 0;
  CheckedEnsemble ensemble(context, {kChecks.begin(), kChecks.end()}, plan.all_descents() + plan.all_flows());
  ensemble.descend(plan.settings(), plan.descents,
                   {.step = plan.step, .steps = plan.steps, .samples = {}, .progress = {}},
                   [&](std::size_t, std::int64_t, const flow::Trajectory& trajectory) {
                     if (first_fall(trajectory, 1e-10) < kInfinity) ++fallen;
                   });
  ensemble.integrate(plan.reduced(), plan.flows, protocol.flow,
                     [&](std::size_t s, std::int64_t i, const flow::Trajectory& trajectory) {
                       const std::size_t scale = s % plan.scales.size();
                       measured.falls[s / plan.scales.size()][scale * plan.flows + i] =
                           first_fall(trajectory, 100.0 * protocol.flow.rtol);
                     });
  measured.margins = ensemble.finish();
  measured.fallen_descents = fallen;

  const std::array<int, 1> size{protocol.shown_size};
  const std::array<double, 1> scale{protocol.shown_scale};
  const flow::Start start = settings_of({.model = flow::Model::kReduced}, size, scale).front().draw(context.seed, 0);
  measured.shown = flow::integrate(start.problem, start.state, protocol.flow);
  return measured;
}

std::vector<report::Claim> judge(const Protocol& /*protocol*/, const Measured& measured) {
  const Margins& margins = measured.margins;
  return {
      margins.claim(kChecks[0], "Theorem 3.2", "margins"),
      margins.claim(kChecks[1], "Theorem 3.2", "u-differences"),
      margins.claim(kChecks[2], "Theorem 3.2, as printed", "a-differences"),
      margins.claim(kChecks[3], "Theorem 3.2, for i = 1", "a-differences"),
      margins.claim(kChecks[4], "Theorem 3.2, Lyapunov function", "margins"),
  };
}

report::Section describe(const Protocol& p, const Measured& measured) {
  const EnsemblePlan& plan = p.ensemble;
  const Falls falls = falls_of_losers(p, measured);
  const auto violations = [&](std::string_view check) { return counted(measured.margins.count(check).violations); };
  const long long sizes_with_losers = std::ranges::count_if(plan.sizes, [](int size) { return size >= 3; });
  report::Section section;
  section.method = fmt::format(
      "Random starts V₀ = scale·N(0, 1), a₀ = {}, ‖β‖ = 1, d = k in {}, scale in {}: {} trajectories of gradient "
      "descent ({} steps of {}, at which descent follows the flow) and {} of the flow itself to t = {}. Every check "
      "runs over every record of every trajectory.",
      scores_in_words(plan.like.start), set_of(plan.sizes), set_of(plan.scales), counted(plan.all_descents()),
      counted(plan.steps), plain(plan.step), counted(plan.all_flows()), plain(p.flow.until));
  section.findings = fmt::format(
      "The order of a and u, the growth of every u_i − u_j, the growth of the winner's lead a_1 − a_j and the Lyapunov "
      "sign are violated {}, {}, {} and {} times. The printed statement that every a_i − a_j grows speaks of losers as "
      "well: with three tokens or more the difference of two of them falls in {} of {} descents to t = {:g} and in {} "
      "of {} flows, for the first time at t = {}. Theory says that it must: σ_i/σ_1 tends to 2/(k log² t) for "
      "every loser alike, so a_i − a_j → 0 between losers; the pair turns back once e^(a_i − a_j) exceeds "
      "(ū − u_j)/(ū − u_i), where ū = Σσu.",
      violations(kChecks[0]), violations(kChecks[1]), violations(kChecks[3]), violations(kChecks[4]),
      counted(measured.fallen_descents),
      counted(sizes_with_losers * static_cast<long long>(plan.scales.size()) * plan.descents),
      plan.step * static_cast<double>(plan.steps), counted(falls.when.runs), counted(falls.able),
      in_words(falls.when, "flows", 2));
  section.claims = judge(p, measured);
  const std::array<std::string_view, 4> kept{kChecks[0], kChecks[1], kChecks[3], kChecks[4]};
  section.figures = {a_figure(p, measured.shown), fall_figure(p, measured), u_figure(p, measured.shown),
                     measured.margins.figure("margins", kept)};
  return section;
}

}  // namespace polariscope::experiments::polarisation::thm3_2

namespace polariscope::experiments {

Experiment a_thm3_2() {
  return {.id = "A.thm3.2",
          .title = "Order and differences along the logistic flow",
          .source = "Polarisation paper, theorem 3.2",
          .question = "Does the flow keep the order of scores and alignments, and do their differences only grow?",
          .protocol = polarisation::thm3_2::quantities,
          .run = polarisation::thm3_2::run};
}

}  // namespace polariscope::experiments
