#include "polariscope/experiments/polarisation/lem_d_4.h"

#include "polariscope/base/terminal.h"
#include "polariscope/experiments/experiments.h"
#include "polariscope/experiments/polarisation/flow_section.h"
#include "polariscope/experiments/polarisation/flow_words.h"
#include "polariscope/experiments/shared/measure.h"
#include "polariscope/flow/checks.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <limits>
#include <utility>

namespace polariscope::experiments::polarisation::lem_d_4 {
namespace {

constexpr std::string_view kOrder = "A.lemD.4/order";
constexpr double kRounding = 1e-10;  // of a lead

// Smallest lead of a over the next token in order of sign·u₀, over all records but the first.
double smallest_lead(const flow::Trajectory& t, double sign) {
  const std::vector<int> order = flow::order_of_u(t);
  const int k = t.problem.tokens;
  double smallest = std::numeric_limits<double>::infinity();
  for (std::size_t n = 1; n < t.points(); ++n) {
    for (int i = 0; i + 1 < k; ++i) {
      smallest = std::min(smallest, sign * (t.scores[n * k + order[i]] - t.scores[n * k + order[i + 1]]));
    }
  }
  return smallest;
}

bool overshoots(const flow::Trajectory& t) {
  double score = 0.0;
  for (int i = 0; i < t.problem.tokens; ++i) score += t.u[i] * t.sigma[i];
  return t.problem.loss == flow::Loss::kSquare && score >= 1.0;  // ‖β‖ = 1
}

flow::Trajectory shown_descent(const Context& context, const Protocol& protocol, std::string_view row) {
  const std::array<int, 1> size{protocol.shown_size};
  const std::array<double, 1> scale{protocol.shown_scale};
  const EnsemblePlan plan = protocol.plan(flow::Loss::kLogistic, row);
  const flow::Start start = settings_of(plan.like, size, scale).front().draw(context.seed, 0);
  return flow::descend(start.problem, start.state,
                       {.step = plan.step, .steps = protocol.shown_steps, .samples = {}, .progress = {}});
}

// One panel; its numbers join `table`, all panels having the same records.
report::Panel panel_of(const flow::Trajectory& shown, Coordinate record, std::string symbol, report::Table* table) {
  const std::string_view row = shown.problem.reweighting->name;
  const std::string title = fmt::format("{}: {}", row, symbol);
  report::Figure figure = coordinate_figure(shown, {.id = {},
                                                    .title = {},
                                                    .caption = {},
                                                    .record = record,
                                                    .y = {.title = std::move(symbol), .scale = report::Scale::kLinear},
                                                    .references = {}});
  for (report::Column& column : figure.table.columns) {
    const bool is_time = &column == &figure.table.columns.front();
    if (is_time && !table->columns.empty()) continue;
    if (!is_time) column.name = fmt::format("{}, {}", title, column.name);
    table->columns.push_back(std::move(column));
  }
  return {title, std::move(figure.spec)};
}

report::Figure order_figure(const Protocol& protocol, const Measured& m) {
  std::vector<report::Panel> charts;
  report::Table table;
  std::vector<std::string> leads;
  for (std::size_t row = 0; row < protocol.rows.size(); ++row) {
    charts.push_back(panel_of(m.shown[row], Coordinate::kScores, "score a", &table));
    leads.push_back(fmt::format("{} under {}", significant(smallest_lead(m.shown[row], 1.0), 2), protocol.rows[row]));
  }
  const flow::Trajectory& with_sign = m.shown.back();
  charts.push_back(panel_of(with_sign, Coordinate::kSigma, "weight σ", &table));
  const std::string seen = fmt::format(
      "The smallest lead of a score over the next, in the order of u₀, is {}: below 0 they have crossed. The smallest "
      "weight under {} is {}.",
      fmt::join(leads, ", "), protocol.signed_row, significant(std::ranges::min(with_sign.sigma), 2));
  return {.id = "order",
          .title = fmt::format("Scores under {} re-weightings, and weights under one more", protocol.rows.size()),
          .caption = seen,
          .alternative = fmt::format("Panels against time: scores under {} re-weightings, weights under one more. {}",
                                     protocol.rows.size(), seen),
          .spec = report::panels(charts, 2),
          .table = std::move(table)};
}

// Losses and re-weightings, the signed one among them.
long long kinds(const Protocol& protocol) {
  return static_cast<long long>(protocol.losses.size() * (protocol.rows.size() + 1));
}

Quantities quantities(const Context& context) {
  const Protocol p = protocol_of(context.preset);
  return {
      {"model", "value-softmax"},
      {"loss", "logistic, square"},
      {"re-weighting", fmt::format("{}; {} apart", listed(p.rows), p.signed_row)},
      sizes_row(p.ensemble),
      values_row(p.ensemble),
      {"a₀", fmt::format("{}; {}: {}", scores_in_words(p.ensemble.like.start), p.signed_row, plain(p.signed_offset))},
      descents_row(p.ensemble, kinds(p)),
      steps_row(p.ensemble),
      seed_quantity(context.seed)};
}

report::Section run(const Context& context) {
  const Protocol protocol = protocol_of(context.preset);
  return describe(protocol, measure(context, protocol));
}

}  // namespace

EnsemblePlan Protocol::plan(flow::Loss loss, std::string_view row) const {
  EnsemblePlan plan = ensemble;
  plan.like.loss = loss;
  plan.like.reweighting = &reweighting::find_reweighting(row);
  plan.like.along_beta = loss == flow::Loss::kSquare;  // otherwise the part across β draws the scores as well
  if (row == signed_row) plan.like.start.score_offset = signed_offset;
  return plan;
}

Protocol protocol_of(Preset preset) {
  Protocol protocol;
  protocol.ensemble.descents = preset == Preset::kPaper ? 1'389 : 50;
  return protocol;
}

Measured measure(const Context& context, const Protocol& protocol) {
  std::atomic<long long> overshot = 0, mirrored = 0, with_sign = 0, negative = 0, in_order = 0;
  const auto beyond_beta = [&](std::size_t, std::int64_t, const flow::Trajectory& t) {
    if (!overshoots(t)) return;
    ++overshot;
    mirrored += smallest_lead(t, -1.0) >= -kRounding ? 1 : 0;
  };
  const auto signs = [&](std::size_t, std::int64_t, const flow::Trajectory& t) {
    ++with_sign;
    negative += std::ranges::min(t.sigma) < 0.0 ? 1 : 0;
    in_order += smallest_lead(t, 1.0) >= -kRounding ? 1 : 0;
  };
  CheckedEnsemble ensemble(context, {kOrder}, kinds(protocol) * protocol.ensemble.all_descents());
  const auto descend = [&](flow::Loss loss, std::string_view row, const CheckedEnsemble::Visit& visit) {
    const EnsemblePlan plan = protocol.plan(loss, row);
    ensemble.descend(plan.settings(), plan.descents,
                     {.step = plan.step, .steps = plan.steps, .samples = {}, .progress = {}}, visit);
  };
  for (const flow::Loss loss : protocol.losses) {
    for (const std::string_view row : protocol.rows) descend(loss, row, beyond_beta);
    descend(loss, protocol.signed_row, signs);
  }
  Measured measured{.margins = ensemble.finish(),
                    .overshot = overshot,
                    .mirrored = mirrored,
                    .with_sign = with_sign,
                    .negative = negative,
                    .in_order = in_order,
                    .shown = {}};
  for (const std::string_view row : protocol.rows) measured.shown.push_back(shown_descent(context, protocol, row));
  measured.shown.push_back(shown_descent(context, protocol, protocol.signed_row));
  return measured;
}

std::vector<report::Claim> judge(const Protocol& protocol, const Measured& m) {
  const double share = static_cast<double>(m.negative) / static_cast<double>(m.with_sign);
  return {
      m.margins.claim(kOrder, "Lemma D.4", "margins"),
      claim_in_words("A.lemD.4/positivity",
                     fmt::format("f' > 0 is not enough for attention: {}, with f' = 1, turns weights negative.",
                                 protocol.signed_row),
                     "Ours, on Lemma D.4", "at least one trajectory with a negative weight",
                     fmt::format("{} of {} trajectories", counted(m.negative), counted(m.with_sign)),
                     {share, share, share, m.with_sign}, judged(m.with_sign, 1, m.negative > 0), "order"),
  };
}

report::Section describe(const Protocol& p, const Measured& m) {
  const Margins::Count found = m.margins.count(kOrder);
  std::vector<std::string> rows(p.rows.begin(), p.rows.end());
  report::Section section;
  section.method = fmt::format(
      "The re-weightings {} from a₀ = {}, {} from a₀ = {}, d = k in {}, V₀ = scale·N(0, 1) with scale in {} (under "
      "square loss along β): {} gradient descents of {} steps of {}, at which descent follows the flow.",
      in_a_row(rows), scores_in_words(p.ensemble.like.start), p.signed_row, plain(p.signed_offset),
      set_of(p.ensemble.sizes), set_of(p.ensemble.scales), counted(kinds(p) * p.ensemble.all_descents()),
      counted(p.ensemble.steps), plain(p.ensemble.step));
  section.findings = fmt::format(
      "Where the precondition holds the order is violated on {} of {} trajectories. Under square loss it takes a start "
      "short of β: of {} starts with βᵀVσ > ‖β‖², which the loss pushes back, {} keep the mirrored order throughout. "
      "{} has f' = 1 but no positivity: {} of {} trajectories get negative weights, {} keep the order.",
      counted(found.violations), counted(found.applied), counted(m.overshot), counted(m.mirrored), p.signed_row,
      counted(m.negative), counted(m.with_sign), counted(m.in_order));
  section.claims = judge(p, m);
  section.figures = {order_figure(p, m), m.margins.figure("margins")};
  return section;
}

}  // namespace polariscope::experiments::polarisation::lem_d_4

namespace polariscope::experiments {

Experiment a_lem_d_4() {
  return {.id = "A.lemD.4",
          .title = "Rising f over its sum keeps the order of the scores",
          .source = "Polarisation paper, lemma D.4",
          .question = "Do re-weightings other than softmax keep the order of the scores?",
          .protocol = polarisation::lem_d_4::quantities,
          .run = polarisation::lem_d_4::run};
}

}  // namespace polariscope::experiments
