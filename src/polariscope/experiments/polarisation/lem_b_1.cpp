#include "polariscope/experiments/polarisation/lem_b_1.h"

#include "polariscope/base/terminal.h"
#include "polariscope/experiments/experiments.h"
#include "polariscope/experiments/polarisation/flow_words.h"
#include "polariscope/experiments/shared/measure.h"
#include "polariscope/experiments/shared/spread_series.h"
#include "polariscope/flow/checks.h"
#include "polariscope/report/charts.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <mutex>
#include <utility>

namespace polariscope::experiments::polarisation::lem_b_1 {
namespace {

constexpr double kNearOne = 0.1;

constexpr std::array<std::string_view, 3> kChecks{"A.lemB.1/bounded", "A.lemB.1/rank-one", "A.lemB.1/rate"};

// Dense where log t is small, then a record every decade, and the milestones.
std::vector<double> recorded_times(const Protocol& protocol) {
  std::vector<double> times = flow::log_times(1e10, 120);
  for (double exponent = 11.0; exponent < 299.0; exponent += 1.0) times.push_back(std::pow(10.0, exponent));
  for (const auto& [t, top] : protocol.milestones) times.push_back(t);
  std::sort(times.begin(), times.end());
  times.erase(std::unique(times.begin(), times.end()), times.end());
  return times;
}

// Mean over i ≠ 1 of σ_i/σ_1, a record each.
std::vector<double> loser_ratios(const flow::Trajectory& t) {
  const int k = t.problem.tokens;
  const int winner = flow::order_of_u(t).front();
  std::vector<double> ratios(t.points());
  for (std::size_t n = 0; n < t.points(); ++n) {
    const double* p = t.sigma.data() + n * k;
    double others = 0.0;
    for (int i = 0; i < k; ++i) others += i == winner ? 0.0 : p[i];
    ratios[n] = others / p[winner] / (k - 1);
  }
  return ratios;
}

// 1 − max σ at a record, from the losers' mean ratio r: (k−1)r / (1 + (k−1)r).
double distance_to_one_hot(double ratio, int k) { return (k - 1) * ratio / (1.0 + (k - 1) * ratio); }

std::string ends_in_words(const std::vector<double>& values) { return in_words(spread_of(values), "flows", 4); }

// The records from `from` on: log t, and what `value` makes of it and of the ratio, for each flow of a size.
struct AgainstLogTime {
  std::vector<double> log_t;
  std::vector<std::vector<double>> flows;
};
template <class Value>
AgainstLogTime against_log_time(const Measured& m, std::size_t size, double from, const Value& value) {
  AgainstLogTime lines;
  lines.flows.resize(m.ratios[size].size());
  for (std::size_t n = 0; n < m.t.size(); ++n) {
    if (m.t[n] < from) continue;
    lines.log_t.push_back(std::log(m.t[n]));
    for (std::size_t i = 0; i < lines.flows.size(); ++i) {
      lines.flows[i].push_back(value(lines.log_t.back(), m.ratios[size][i][n]));
    }
  }
  return lines;
}

double limit_of(double log_t, int k) { return 2.0 / (k * log_t * log_t); }

report::Figure rate_figure(const Protocol& protocol, const Measured& m) {
  const int k = protocol.reduced.sizes[protocol.shown];
  const AgainstLogTime lines = against_log_time(m, protocol.shown, 10.0, [](double, double ratio) { return ratio; });
  report::SeriesChart chart{.x = {.title = "log t", .scale = report::Scale::kLog},
                            .y = {.title = "σ_i/σ_1, mean over i ≠ 1", .scale = report::Scale::kLog},
                            .series = {spread_series("flows: median and range", lines.log_t, lines.flows)},
                            .references = {}};
  report::Series limit;
  limit.name = "2/(k log² t)";
  limit.x = lines.log_t;
  for (const double log_t : lines.log_t) limit.y.push_back(limit_of(log_t, k));
  limit.dashed = true;
  chart.series.push_back(std::move(limit));
  return {.id = "rate",
          .title = fmt::format("The losers' weights against log t (k = {})", k),
          .caption = fmt::format(
              "Both axes are logarithmic and the horizontal one already holds log t: a straight line of slope −2 is a "
              "fall with the square of the logarithm of time. The slope fitted from t = {} on is {}.",
              plain(protocol.fit_from), ends_in_words(m.slopes)),
          .alternative = fmt::format("Ratio of losing to winning weight against log t, and the dashed line 2/(k log² "
                                     "t). They end at {} and {}.",
                                     end_in_words(chart.series[0]), end_in_words(chart.series[1])),
          .spec = report::series_chart(chart),
          .table = report::table_of(chart)};
}

report::Figure constant_figure(const Protocol& protocol, const Measured& m) {
  report::SeriesChart chart{.x = {.title = "log t", .scale = report::Scale::kLog},
                            .y = {.title = "(σ_i/σ_1) · k log² t / 2", .scale = report::Scale::kLog},
                            .series = {},
                            .references = {{"the limit, 1", 1.0}}};
  const std::vector<int>& sizes = protocol.reduced.sizes;
  for (std::size_t s = 0; s < sizes.size(); ++s) {
    const AgainstLogTime lines = against_log_time(
        m, s, 100.0, [k = sizes[s]](double log_t, double ratio) { return ratio / limit_of(log_t, k); });
    chart.series.push_back(spread_series(fmt::format("k = {}", sizes[s]), lines.log_t, lines.flows));
  }
  return {.id = "constant",
          .title = "The constant of the rate",
          .caption = fmt::format(
              "A constant of 1 for every k and start says that the limit remembers k alone. At the end it is {}.",
              ends_in_words(m.constants)),
          .alternative = fmt::format("σ_i/σ_1 divided by 2/(k log² t) against log t for {} numbers of tokens; at the "
                                     "end {}.",
                                     sizes.size(), ends_in_words(m.constants)),
          .spec = report::series_chart(chart),
          .table = report::table_of(chart)};
}

// max σ over the flows of a size at a milestone.
Spread top_at(const Protocol& protocol, const Measured& m, std::size_t size, double t) {
  const auto record = std::find(m.t.begin(), m.t.end(), t) - m.t.begin();
  std::vector<double> tops;
  for (const auto& ratios : m.ratios[size]) {
    tops.push_back(1.0 - distance_to_one_hot(ratios[record], protocol.reduced.sizes[size]));
  }
  return spread_of(std::move(tops));
}

report::Figure milestones_figure(const Protocol& protocol, const Measured& m) {
  report::SeriesChart chart{.x = {.title = "time t", .scale = report::Scale::kLog},
                            .y = {.title = "1 − max σ", .scale = report::Scale::kLog},
                            .series = {},
                            .references = {}};
  const std::vector<int>& all = protocol.reduced.sizes;
  std::vector<double> sizes, times, medians, lows, highs;
  for (std::size_t s = 0; s < all.size(); ++s) {
    std::vector<std::vector<double>> distances;
    for (const auto& ratios : m.ratios[s]) {
      distances.emplace_back();
      for (const double ratio : ratios) distances.back().push_back(distance_to_one_hot(ratio, all[s]));
    }
    chart.series.push_back(spread_series(fmt::format("k = {}", all[s]), m.t, distances));
    for (const auto& [t, printed] : protocol.milestones) {
      const Spread top = top_at(protocol, m, s, t);
      sizes.push_back(all[s]);
      times.push_back(t);
      medians.push_back(top.median);
      lows.push_back(top.low);
      highs.push_back(top.high);
    }
  }
  std::vector<double> milestones;
  for (const auto& [t, top] : protocol.milestones) milestones.push_back(t);
  const std::string until = plain(protocol.flow.until);
  return {
      .id = "one-hot",
      .title = "How far from one-hot, and when",
      .caption = fmt::format(
          "At t = {} 1 − max σ is {} for k = {} and {} for k = {}. The numbers of the table are max σ at t = {}.",
          until, end_in_words(chart.series.front()), all.front(), end_in_words(chart.series.back()), all.back(),
          listed(milestones)),
      .alternative = fmt::format("1 − max σ against time to {} for {} numbers of tokens; for k = {} it ends at {}.",
                                 until, all.size(), all.back(), end_in_words(chart.series.back())),
      .spec = report::series_chart(chart),
      .table = {{{"k", sizes}, {"time t", times}, {"max σ, median", medians}, {"lowest", lows}, {"highest", highs}}}};
}

// max σ of the shown size at the milestones, and whether each is near what is said of it.
struct Tops {
  std::vector<Spread> at;
  bool near = true;
  std::vector<std::string> words;  // as many digits as tell them from 1
};
Tops tops_of(const Protocol& protocol, const Measured& m) {
  Tops tops;
  for (const auto& [t, said] : protocol.milestones) {
    tops.at.push_back(top_at(protocol, m, protocol.shown, t));
    const double distance = 1.0 - said;
    tops.near = tops.near && std::abs(tops.at.back().median - said) <= 0.2 * distance;
    tops.words.push_back(significant(tops.at.back().median, 1 + static_cast<int>(std::ceil(-std::log10(distance)))));
  }
  return tops;
}

// "0.975 at t = 1e5, 0.997 at 1e12 and 0.999996 at 1e299."
std::string at_milestones(const Protocol& protocol, const std::vector<std::string>& tops) {
  std::vector<std::string> words;
  for (std::size_t i = 0; i < tops.size(); ++i) {
    words.push_back(fmt::format("{} at {}{}", tops[i], i == 0 ? "t = " : "", plain(protocol.milestones[i].first)));
  }
  return in_a_row(words);
}

Quantities quantities(const Context& context) {
  const Protocol p = protocol_of(context.preset);
  Quantities rows = start_rows(p.reduced, "reduced; value-softmax for the rank");
  rows.insert(rows.end(), {counted_quantity("flows a size", p.reduced.flows, "flows a size"),
                           {"d = k with V", listed(p.full.sizes)},
                           counted_quantity("flows a size with V", p.full.flows, "with V"),
                           {"integrator", integrator_in_words(p.flow)},
                           {"integrator with V", integrator_in_words(p.full_flow)},
                           {"fit", fmt::format("t from {} to {}", plain(p.fit_from), plain(p.flow.until))},
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
  protocol.reduced.flows = paper ? 500 : 30;
  protocol.full.flows = paper ? 100 : 10;
  protocol.flow = {
      .until = 1e299, .times = recorded_times(protocol), .solver = flow::Solver::kBdf, .events = false, .progress = {}};
  protocol.full_flow = {.until = 1e299, .times = {}, .events = false, .singular_values = true, .progress = {}};
  return protocol;
}

Measured measure(const Context& context, const Protocol& protocol) {
  Measured measured;
  measured.t = protocol.flow.times;
  measured.ratios.assign(protocol.reduced.sizes.size(), std::vector<std::vector<double>>(protocol.reduced.flows));
  std::mutex mutex;  // guards slopes and constants
  CheckedEnsemble ensemble(context, {kChecks.begin(), kChecks.end()},
                           protocol.reduced.all_flows() + protocol.full.all_flows());
  ensemble.integrate(protocol.reduced.reduced(), protocol.reduced.flows, protocol.flow,
                     [&](std::size_t s, std::int64_t i, const flow::Trajectory& trajectory) {
                       measured.ratios[s][i] = loser_ratios(trajectory);
                       const flow::OneHotRate rate = flow::one_hot_rate(trajectory, protocol.fit_from);
                       const std::lock_guard lock(mutex);
                       measured.slopes.push_back(rate.slope);
                       measured.constants.push_back(rate.constant);
                     });
  ensemble.integrate(protocol.full.settings(), protocol.full.flows, protocol.full_flow);
  measured.margins = ensemble.finish();
  return measured;
}

std::vector<report::Claim> judge(const Protocol& protocol, const Measured& m) {
  const Spread constant = spread_of(m.constants);
  const Tops tops = tops_of(protocol, m);
  std::vector<std::string> said;
  for (const auto& [t, top] : protocol.milestones) said.push_back(plain(top));
  return {
      m.margins.claim(kChecks[0], "Lemma B.1 (a)", "margins"),
      m.margins.claim(kChecks[1], "Lemma B.1 (a)", "margins"),
      m.margins.claim(kChecks[2], "Lemma B.1 (b), ours: the exact rate", "rate"),
      claim("A.lemB.1/constant", "σ_i/σ_1 → 2/(k log² t), with the same constant for every i ≠ 1.",
            "Lemma B.1 (b), ours: the exact rate",
            fmt::format("(σ_i/σ_1)·k log² t/2 within {} of 1 at t = {}, every flow", kNearOne,
                        plain(protocol.flow.until)),
            constant, "flows", std::abs(constant.low - 1.0) <= kNearOne && std::abs(constant.high - 1.0) <= kNearOne,
            "constant"),
      claim_in_words(
          "A.lemB.1/one-hot",
          fmt::format("For k = {} max σ is {}.", protocol.reduced.sizes[protocol.shown], at_milestones(protocol, said)),
          "Ours", "median of 1 − max σ within a fifth of these, at each time",
          fmt::format("{} ({} flows)", fmt::join(tops.words, ", "), tops.at.front().runs), tops.at.back(),
          judged(tops.at.front().runs, 1, tops.near), "one-hot"),
  };
}

report::Section describe(const Protocol& p, const Measured& m) {
  const Tops tops = tops_of(p, m);
  report::Section section;
  section.method = fmt::format(
      "The flow, integrated in log t to t = {} from {} random starts for each d = k in {}, V₀ = {}, a₀ = {}, ‖β‖ = 1, "
      "in its reduced form (u, a), and from {} starts for each d = k in {} with V itself. The slope of log σ_i/σ_1 "
      "against log log t is fitted from t = {} on.",
      plain(p.flow.until), p.reduced.flows, set_of(p.reduced.sizes), normal_in_words(p.reduced.scales.front()),
      scores_in_words(p.reduced.like.start), p.full.flows, set_of(p.full.sizes), plain(p.fit_from));
  section.findings = fmt::format(
      "The slope is {} and σ_i/σ_1 · k log² t / 2 at the end {}; weights that fall as 2/(k log² t) would make them −2 "
      "and 1. For k = {} max σ is {}. That the losers' u stay bounded is violated on {} trajectories, that V's second "
      "singular value falls against its first on {}.",
      ends_in_words(m.slopes), ends_in_words(m.constants), p.reduced.sizes[p.shown], at_milestones(p, tops.words),
      counted(m.margins.count(kChecks[0]).violations), counted(m.margins.count(kChecks[1]).violations));
  section.claims = judge(p, m);
  section.figures = {rate_figure(p, m), constant_figure(p, m), milestones_figure(p, m), m.margins.figure("margins")};
  return section;
}

}  // namespace polariscope::experiments::polarisation::lem_b_1

namespace polariscope::experiments {

Experiment a_lem_b_1() {
  return {.id = "A.lemB.1",
          .title = "One-hot comes with the square of the logarithm of time",
          .source = "Polarisation paper, lemma B.1",
          .question = "How fast do the losing weights vanish, and what becomes of V?",
          .protocol = polarisation::lem_b_1::quantities,
          .run = polarisation::lem_b_1::run};
}

}  // namespace polariscope::experiments
