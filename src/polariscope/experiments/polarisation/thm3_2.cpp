// Theorem 3.2 of the polarisation paper: what stays in order along the logistic flow, and what does not.
#include "polariscope/base/terminal.h"
#include "polariscope/experiments/experiments.h"
#include "polariscope/experiments/polarisation/ensemble_checks.h"
#include "polariscope/experiments/shared/measure.h"
#include "polariscope/report/charts.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <limits>

namespace polariscope::experiments {
namespace {

constexpr std::array<std::string_view, 5> kChecks{"A.thm3.2/order", "A.thm3.2/u-differences", "A.thm3.2/a-differences",
                                                  "A.thm3.2/winner-differences", "A.thm3.2/lyapunov"};
constexpr std::array<int, 5> kSizes{2, 3, 4, 8, 16};
constexpr std::array<double, 3> kScales{0.01, 0.1, 1.0};
// Small enough that descent follows the flow, whose statements these are.
constexpr double kStep = 0.1;
constexpr std::int64_t kSteps = 10'000;
constexpr double kShownUntil = 1e12;
constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Dense where differences turn, sparse beyond.
std::vector<double> recorded_times() {
  std::vector<double> times = flow::log_times(kShownUntil, 200);
  for (double exponent = 24.0; exponent < 299.0; exponent += 12.0) times.push_back(std::pow(10.0, exponent));
  times.push_back(1e299);
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
report::SeriesChart differences(const flow::Trajectory& t, const std::vector<double>& record, std::string_view symbol,
                                std::initializer_list<std::pair<int, int>> pairs) {
  report::SeriesChart chart{.x = {.title = "time t", .scale = report::Scale::kLog},
                            .y = {.title = fmt::format("{0}_i − {0}_j", symbol), .scale = report::Scale::kLinear},
                            .series = {},
                            .references = {}};
  const std::vector<int> order = flow::order_of_u(t);
  for (const auto& [i, j] : pairs) {
    report::Series series;
    series.name = fmt::format("{0}_{1} − {0}_{2}", symbol, i, j);
    for (std::size_t n = 0; n < t.points() && t.t[n] <= kShownUntil; ++n) {
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

report::Figure u_figure(const flow::Trajectory& shown) {
  const report::SeriesChart chart = differences(shown, shown.u, "u", {{1, 2}, {1, 3}, {1, 4}, {2, 3}, {2, 4}, {3, 4}});
  const std::string fall = significant(largest_fall(chart), 2);
  return {.id = "u-differences",
          .title = "Differences of alignments u_i − u_j, i before j",
          .caption = "The largest fall of any of them from one record to the next is " + fall + ".",
          .alternative = "Six differences of alignments of a flow with four tokens; the largest fall is " + fall + ".",
          .spec = report::series_chart(chart),
          .table = report::table_of(chart)};
}

report::Figure a_figure(const flow::Trajectory& shown) {
  const report::SeriesChart winner = differences(shown, shown.scores, "a", {{1, 2}, {1, 3}, {1, 4}});
  const report::SeriesChart losers = differences(shown, shown.scores, "a", {{2, 3}, {2, 4}, {3, 4}});
  const std::string falls = fmt::format(
      "The largest fall from one record to the next is {} with the winner and {} between losers, whose smallest "
      "difference at t = {:g} is {}.",
      significant(largest_fall(winner), 2), significant(largest_fall(losers), 2), kShownUntil,
      significant(smallest_end(losers), 2));
  const std::array<report::Panel, 2> both{report::Panel{"with the winner", report::series_chart(winner)},
                                          report::Panel{"between losers", report::series_chart(losers)}};
  return {.id = "a-differences",
          .title = "Differences of scores a_i − a_j, i before j",
          .caption = fmt::format("The theorem as printed says that none ever falls. {}", falls),
          .alternative = fmt::format("Six differences of scores of a flow with four tokens. {}", falls),
          .spec = report::panels(both, 2),
          .table = report::table_of(
              differences(shown, shown.scores, "a", {{1, 2}, {1, 3}, {1, 4}, {2, 3}, {2, 4}, {3, 4}}))};
}

// falls: first times of falling, by setting of the flows.
report::Figure fall_figure(std::span<const Setting> settings, const std::vector<std::vector<double>>& falls) {
  report::SeriesChart chart{.x = {.title = "time t", .scale = report::Scale::kLog},
                            .y = {.title = "share of flows with a falling a_i − a_j", .scale = report::Scale::kLinear},
                            .series = {},
                            .references = {}};
  std::vector<std::string> ends;
  for (const int size : kSizes) {
    std::vector<double> times;
    for (std::size_t s = 0; s < settings.size(); ++s) {
      if (settings[s].start.tokens == size) times.insert(times.end(), falls[s].begin(), falls[s].end());
    }
    std::sort(times.begin(), times.end());
    report::Series series;
    series.name = fmt::format("k = {}", size);
    for (const double t : flow::log_times(kShownUntil, 200)) {
      if (t < 0.1) continue;
      const auto fallen = std::upper_bound(times.begin(), times.end(), t) - times.begin();
      series.x.push_back(t);
      series.y.push_back(static_cast<double>(fallen) / static_cast<double>(times.size()));
    }
    ends.push_back(fmt::format("{:.0f} % for k = {}", 100.0 * series.y.back(), size));
    chart.series.push_back(std::move(series));
  }
  return {.id = "first-fall",
          .title = "When the first difference between losers falls",
          .caption =
              fmt::format("Flows in which some difference has fallen by t = {:g}: {}. Two tokens have no two losers.",
                          kShownUntil, fmt::join(ends, ", ")),
          .alternative =
              "Share of flows in which some difference of losers' scores has fallen, against time, a line "
              "for every number of tokens.",
          .spec = report::series_chart(chart),
          .table = report::table_of(chart)};
}

report::Section run(const Context& context) {
  const std::int64_t each = context.paper() ? 6'667 : 400;
  const std::int64_t flows = context.paper() ? 200 : 16;
  const std::vector<Setting> settings = settings_of(Setting{}, kSizes, kScales);
  // The reduced system is exact under logistic loss, and small enough for the stiff solver.
  const std::vector<Setting> reduced = settings_of({.model = flow::Model::kReduced}, kSizes, kScales);
  const flow::FlowOptions flow{
      .until = 1e299, .times = recorded_times(), .solver = flow::Solver::kBdf, .events = false, .progress = {}};

  CheckedEnsemble ensemble(context, {kChecks.begin(), kChecks.end()},
                           static_cast<std::int64_t>(settings.size()) * (each + flows));
  std::atomic<long long> fallen_descents = 0;
  ensemble.descend(settings, each, {.step = kStep, .steps = kSteps, .samples = {}, .progress = {}},
                   [&](std::size_t, std::int64_t, const flow::Trajectory& trajectory) {
                     if (first_fall(trajectory, 1e-10) < kInfinity) ++fallen_descents;
                   });
  std::vector<std::vector<double>> falls(settings.size(), std::vector<double>(flows));
  ensemble.integrate(reduced, flows, flow, [&](std::size_t s, std::int64_t i, const flow::Trajectory& trajectory) {
    falls[s][i] = first_fall(trajectory, 100.0 * flow.rtol);
  });
  ensemble.finish();

  std::vector<double> when;
  long long able = 0;  // flows and descents with two losers are those with three tokens or more
  long long able_flows = 0;
  for (std::size_t s = 0; s < settings.size(); ++s) {
    if (settings[s].start.tokens < 3) continue;
    able += each;
    able_flows += flows;
    when.insert(when.end(), falls[s].begin(), falls[s].end());
  }
  const Spread fall = spread_of(when);
  const auto violations = [&](std::string_view check) { return counted(ensemble.count(check).violations); };

  report::Section section;
  section.method = fmt::format(
      "Random starts V₀ = scale·N(0, 1), a₀ = 0, ‖β‖ = 1, d = k in {{2, 3, 4, 8, 16}}, scale in {{0.01, 0.1, 1}}: {} "
      "trajectories of gradient descent ({} steps of {}, at which descent follows the flow) and {} of the flow itself "
      "to t = 1e299. Every check runs over every record of every trajectory.",
      counted(each * static_cast<long long>(settings.size())), counted(kSteps), kStep,
      counted(flows * static_cast<long long>(settings.size())));
  section.findings = fmt::format(
      "The order of a and u, the growth of every u_i − u_j, the growth of the winner's lead a_1 − a_j and the Lyapunov "
      "sign are violated {}, {}, {} and {} times. The printed statement that every a_i − a_j grows speaks of losers as "
      "well: with three tokens or more the difference of two of them falls in {} of {} descents to t = {:g} and in {} "
      "of {} flows, for the first time at t = {}. Theory says that it must: σ_i/σ_1 tends to 2/(k log² t) for "
      "every loser alike, so a_i − a_j → 0 between losers; the pair turns back once e^(a_i − a_j) exceeds "
      "(ū − u_j)/(ū − u_i), where ū = Σσu.",
      violations(kChecks[0]), violations(kChecks[1]), violations(kChecks[3]), violations(kChecks[4]),
      counted(fallen_descents), counted(able), kStep * kSteps, counted(fall.runs), counted(able_flows),
      in_words(fall, "flows", 2));
  section.claims = {
      ensemble.claim(kChecks[0], "Theorem 3.2", "margins"),
      ensemble.claim(kChecks[1], "Theorem 3.2", "u-differences"),
      ensemble.claim(kChecks[2], "Theorem 3.2, as printed", "a-differences"),
      ensemble.claim(kChecks[3], "Theorem 3.2, for i = 1", "a-differences"),
      ensemble.claim(kChecks[4], "Theorem 3.2, Lyapunov function", "margins"),
  };

  const std::array<int, 1> shown_size{4};
  const std::array<double, 1> shown_scale{0.1};
  const flow::Start start =
      settings_of({.model = flow::Model::kReduced}, shown_size, shown_scale).front().draw(context.seed, 0);
  const flow::Trajectory shown = flow::integrate(start.problem, start.state, flow);
  const std::array<std::string_view, 4> kept{kChecks[0], kChecks[1], kChecks[3], kChecks[4]};
  section.figures = {a_figure(shown), fall_figure(settings, falls), u_figure(shown), ensemble.figure("margins", kept)};
  section.configuration = {{"model", "value-softmax; the flows by its reduced form"},
                           {"loss", "logistic"},
                           {"re-weighting", "softmax"},
                           {"d = k", "2, 3, 4, 8, 16"},
                           {"V₀", "scale·N(0, 1), scale 0.01, 0.1, 1"},
                           {"a₀", "0"},
                           {"descents a setting", counted(each)},
                           {"step, steps", fmt::format("{}, {}", kStep, kSteps)},
                           {"flows a setting", counted(flows)},
                           {"integrator", fmt::format("CVODE, BDF in log t, relative tolerance {}", flow.rtol)},
                           {"seed", fmt::format("{}", context.seed)}};
  if (!context.paper())
    section.differences = "6 000 descents and 240 flows where the paper preset takes 100 005 and 3 000.";
  return section;
}

}  // namespace

Experiment a_thm3_2() {
  return {.id = "A.thm3.2",
          .title = "Order and differences along the logistic flow",
          .source = "Polarisation paper, theorem 3.2",
          .question = "Does the flow keep the order of scores and alignments, and do their differences only grow?",
          .run = run};
}

}  // namespace polariscope::experiments
