#include "polariscope/experiments/polarisation/lem_d_1.h"

#include "polariscope/base/parallel.h"
#include "polariscope/base/terminal.h"
#include "polariscope/experiments/experiments.h"
#include "polariscope/experiments/polarisation/flow_words.h"
#include "polariscope/experiments/shared/attention_looks.h"
#include "polariscope/experiments/shared/readings.h"
#include "polariscope/experiments/shared/spread_series.h"
#include "polariscope/report/charts.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <mutex>
#include <utility>

namespace polariscope::experiments::polarisation::lem_d_1 {
namespace {

constexpr std::string_view kSum = "A.lemD.1/sum";
// Drawn for no change at all, which has no place on a logarithmic axis.
constexpr double kNothing = 1e-17;

flow::DescentOptions descent_of(const EnsemblePlan& plan) {
  return {.step = plan.step, .steps = plan.steps, .samples = {}, .progress = {}};
}

// Largest difference in σ, u and V between a descent and the one from a₀ + c·1.
double effect_of_shift(const Protocol& protocol, const flow::Start& start, const flow::Trajectory& base, double shift) {
  flow::Start shifted = start;
  for (double& a : shifted.state.scores) a += shift;
  const flow::Trajectory moved = flow::descend(shifted.problem, shifted.state, descent_of(protocol.ensemble));
  return std::max({largest_difference(base.sigma, moved.sigma), largest_difference(base.u, moved.u),
                   largest_difference(base.final_state.values, moved.final_state.values)});
}

Effects effects_on(const Context& context, const Protocol& protocol, std::string_view row) {
  const std::vector<std::vector<double>> none(protocol.shifts.size(), std::vector<double>(protocol.starts));
  Effects effects{none, none};
  parallel_for(protocol.starts, context.threads, [&](std::int64_t i) {
    Setting setting = protocol.shifted;
    setting.loss = protocol.losses[i % protocol.losses.size()];
    setting.reweighting = &reweighting::find_reweighting(row);
    const flow::Start start = setting.draw(context.seed, i);
    const flow::Trajectory base = flow::descend(start.problem, start.state, descent_of(protocol.ensemble));
    for (std::size_t c = 0; c < protocol.shifts.size(); ++c) {
      effects.up[c][i] = effect_of_shift(protocol, start, base, protocol.shifts[c]);
      effects.down[c][i] = effect_of_shift(protocol, start, base, -protocol.shifts[c]);
    }
  });
  return effects;
}

// How far single scores travel, and how far their sum has drifted at each record.
struct Travel {
  double furthest = 0.0;
  std::vector<double> drift;
};
Travel travel_of(const flow::Trajectory& t) {
  const int k = t.problem.tokens;
  Travel travel;
  for (std::size_t n = 0; n < t.points(); ++n) {
    double sum = 0.0;
    for (int j = 0; j < k; ++j) {
      const double moved = t.scores[n * k + j] - t.scores[j];
      sum += moved;
      travel.furthest = std::max(travel.furthest, std::abs(moved));
    }
    travel.drift.push_back(std::max(std::abs(sum), travel.drift.empty() ? kNothing : travel.drift.back()));
  }
  return travel;
}

report::Figure shift_figure(const Protocol& protocol, const Measured& m) {
  report::SeriesChart chart{.x = {.title = "size of the shift |c|", .scale = report::Scale::kLog},
                            .y = {.title = "largest change of σ, u, V", .scale = report::Scale::kLog},
                            .series = {},
                            .references = {}};
  std::vector<std::string> ends;
  for (const std::string_view row : protocol.rows) {
    std::vector<std::vector<double>> runs;
    for (const auto* sign : {&m.effects.at(row).up, &m.effects.at(row).down}) {
      for (std::size_t i = 0; i < sign->front().size(); ++i) {
        std::vector<double>& run = runs.emplace_back();
        for (const std::vector<double>& at_shift : *sign) run.push_back(std::max(at_shift[i], kNothing));
      }
    }
    chart.series.push_back(spread_series(std::string(row), protocol.shifts, runs));
    chart.series.back().colour = colour_of(row);
    ends.push_back(fmt::format("{} for {}", end_in_words(chart.series.back(), 2), row));
  }
  const std::string seen =
      fmt::format("With |c| = {:g} the change is {}.", protocol.shifts.back(), fmt::join(ends, ", "));
  return {.id = "shift",
          .title = "What adding c·1 to the scores changes",
          .caption = seen,
          .alternative = "Largest change of weights, alignments and values against the size of the shift. " + seen,
          .spec = report::series_chart(chart),
          .table = report::table_of(chart)};
}

report::Figure drift_figure(const Protocol& protocol, const Measured& m) {
  report::SeriesChart chart{.x = {.title = "time t", .scale = report::Scale::kLog},
                            .y = {.title = "largest |1ᵀa − 1ᵀa₀| so far", .scale = report::Scale::kLog},
                            .series = {},
                            .references = {}};
  double furthest = 0.0;
  for (const flow::Loss loss : protocol.losses) {
    chart.series.push_back(spread_series(std::string(flow::loss_name(loss)), m.t, m.drift.at(loss)));
    furthest = std::max(furthest, chart.series.back().high.back());
  }
  return {.id = "drift",
          .title = "The sum of the scores",
          .caption = fmt::format("It has drifted by at most {} at the end, while single scores travel by up to {}.",
                                 significant(furthest, 2), significant(spread_of(m.travelled).high, 2)),
          .alternative = fmt::format("Absolute drift of the sum of scores against time for {} losses: at most {}.",
                                     protocol.losses.size(), significant(furthest, 2)),
          .spec = report::series_chart(chart),
          .table = report::table_of(chart)};
}

// Of all shifts and both signs.
std::vector<double> all_of(const Effects& effects) {
  std::vector<double> all;
  for (const auto* sign : {&effects.up, &effects.down}) {
    for (const std::vector<double>& at_shift : *sign) all.insert(all.end(), at_shift.begin(), at_shift.end());
  }
  return all;
}

std::string losses_in_words(const Protocol& protocol) {
  std::vector<std::string_view> names;
  for (const flow::Loss loss : protocol.losses) names.push_back(flow::loss_name(loss));
  return listed(names);
}

long long kinds(const Protocol& protocol) { return static_cast<long long>(protocol.losses.size()); }

Quantities quantities(const Context& context) {
  const Protocol p = protocol_of(context.preset);
  const std::vector<std::string_view> rivals(p.rows.begin() + 1, p.rows.end());
  return {{"model", "value-softmax"},
          {"loss", losses_in_words(p)},
          {"re-weighting", fmt::format("{}; {} for contrast", p.rows.front(), listed(rivals))},
          sizes_row(p.ensemble),
          values_row(p.ensemble),
          {"a₀", scores_in_words(p.ensemble.like.start)},
          descents_row(p.ensemble, kinds(p)),
          steps_row(p.ensemble),
          flows_row(p.ensemble, kinds(p)),
          {"flows until", fmt::format("t = {}", plain(p.flow.until))},
          counted_quantity("shifted starts", p.starts, "shifted starts"),
          {"shifts of a₀", "±" + listed(p.shifts)},
          {"d = k, V₀ shifted", fmt::format("{}, {}", p.shifted.start.tokens, values_in_words(p.shifted.start))},
          seed_quantity(context.seed)};
}

report::Section run(const Context& context) {
  const Protocol protocol = protocol_of(context.preset);
  return describe(protocol, measure(context, protocol));
}

}  // namespace

Protocol protocol_of(Preset preset) {
  const bool paper = preset == Preset::kPaper;
  Protocol protocol;
  protocol.ensemble.like.start.score_scale = 1.0;
  protocol.ensemble.descents = paper ? 4'167 : 200;
  protocol.ensemble.flows = paper ? 20 : 2;
  protocol.shifted.start.score_scale = 1.0;
  protocol.starts = paper ? 400 : 24;
  return protocol;
}

Measured measure(const Context& context, const Protocol& protocol) {
  Measured measured;
  std::mutex mutex;  // guards measured
  CheckedEnsemble ensemble(context, {kSum},
                           kinds(protocol) * (protocol.ensemble.all_descents() + protocol.ensemble.all_flows()));
  for (const flow::Loss loss : protocol.losses) {
    EnsemblePlan plan = protocol.ensemble;
    plan.like.loss = loss;
    ensemble.descend(plan.settings(), plan.descents, descent_of(plan),
                     [&](std::size_t, std::int64_t i, const flow::Trajectory& t) {
                       if (i >= protocol.drawn) return;
                       Travel travel = travel_of(t);
                       const std::lock_guard lock(mutex);
                       measured.t = t.t;
                       measured.drift[loss].push_back(std::move(travel.drift));
                       measured.travelled.push_back(travel.furthest);
                     });
    ensemble.integrate(plan.settings(), plan.flows, protocol.flow);
  }
  measured.margins = ensemble.finish();
  for (const std::string_view row : protocol.rows) measured.effects[row] = effects_on(context, protocol, row);
  return measured;
}

std::vector<report::Claim> judge(const Protocol& protocol, const Measured& m) {
  const std::vector<double> softmax = all_of(m.effects.at(protocol.rows.front()));
  return {
      claim("A.lemD.1/shift", "Adding c·1 to a changes nothing.", "Lemma D.1",
            fmt::format("σ, u and V change by less than {} for every start, loss and c up to {:g} (rounding of a + c)",
                        plain(protocol.unchanged), protocol.shifts.back()),
            spread_of(softmax), "descents", all_within(softmax, protocol.unchanged), "shift"),
      m.margins.claim(kSum, "Lemma D.1", "drift"),
  };
}

report::Section describe(const Protocol& p, const Measured& m) {
  std::vector<std::string> rivals;
  for (std::size_t row = 1; row < p.rows.size(); ++row) {
    const Spread effect = spread_of(m.effects.at(p.rows[row]).up.front());
    rivals.push_back(fmt::format("{} under {}", in_words(effect, "starts", 2), p.rows[row]));
  }
  report::Section section;
  section.method = fmt::format(
      "Softmax with {} losses, a₀ = {}, d = k in {}, V₀ = scale·N(0, 1), scale in {}: {} gradient descents of {} steps "
      "of {}, and {} flows. For the shift {} starts (d = k = {}) are descended again from a₀ + c·1, |c| from {:g} to "
      "{:g}, also with re-weightings that are not shift-invariant.",
      p.losses.size(), scores_in_words(p.ensemble.like.start), set_of(p.ensemble.sizes), set_of(p.ensemble.scales),
      counted(kinds(p) * p.ensemble.all_descents()), counted(p.ensemble.steps), plain(p.ensemble.step),
      counted(kinds(p) * p.ensemble.all_flows()), p.starts, p.shifted.start.tokens, p.shifts.front(), p.shifts.back());
  section.findings = fmt::format(
      "1ᵀa is conserved with {} violations, while single scores move by up to {}. Adding c·1 changes σ, u and V by at "
      "most {} under softmax, whatever the loss; the same with c = {:g} changes them by {}.",
      counted(m.margins.count(kSum).violations), significant(spread_of(m.travelled).high, 2),
      significant(spread_of(all_of(m.effects.at(p.rows.front()))).high, 2), p.shifts.front(), in_a_row(rivals));
  section.claims = judge(p, m);
  section.figures = {shift_figure(p, m), drift_figure(p, m), m.margins.figure("margins")};
  return section;
}

}  // namespace polariscope::experiments::polarisation::lem_d_1

namespace polariscope::experiments {

Experiment a_lem_d_1() {
  return {.id = "A.lemD.1",
          .title = "Softmax flows do not see a constant, and conserve the sum of scores",
          .source = "Polarisation paper, lemma D.1",
          .question = "Does adding a constant to the scores change anything, and is their sum conserved?",
          .protocol = polarisation::lem_d_1::quantities,
          .run = polarisation::lem_d_1::run};
}

}  // namespace polariscope::experiments
