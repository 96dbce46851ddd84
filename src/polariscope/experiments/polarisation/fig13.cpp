#include "polariscope/experiments/polarisation/fig13.h"

#include "polariscope/base/terminal.h"
#include "polariscope/experiments/experiments.h"
#include "polariscope/experiments/polarisation/flow_section.h"
#include "polariscope/experiments/polarisation/flow_words.h"
#include "polariscope/experiments/polarisation/long_flows.h"
#include "polariscope/experiments/shared/attention_looks.h"
#include "polariscope/experiments/shared/multiples.h"
#include "polariscope/experiments/shared/readings.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <span>

namespace polariscope::experiments::polarisation::fig13 {
namespace {

constexpr double kOneHot = 0.95;     // of the weight: by the end of the paper's run
constexpr double kInTheEnd = 0.999;  // of the flow
constexpr double kSpread = 0.5;      // below it nothing has polarised

double share(const flow::Trajectory& trajectory) { return final_share(trajectory); }

double smallest_weight(const flow::Trajectory& trajectory) { return std::ranges::min(final_sigma(trajectory)); }

// What the paper calls it, with the table's name where that is another.
std::string called(std::string_view name) {
  const std::string_view alias = reweighting::find_reweighting(name).alias;
  const bool same = alias.size() == name.size();  // but for the capital
  return alias.empty() || same ? std::string(name) : fmt::format("{} ({})", alias, name);
}

// "Above 0.95 in every seed: softmax, relu/sum. Below 0.5 in every seed: sigmoid." of the shares at the end.
std::string sorted_by_share(std::span<const std::string_view> names, const BySeed& runs, double high) {
  std::vector<std::string_view> above, below;
  for (const std::string_view name : names) {
    const Spread ends = spread_over(runs.at(name), share);
    if (ends.low > high) above.push_back(name);
    if (ends.high < kSpread) below.push_back(name);
  }
  const auto or_none = [](const std::vector<std::string_view>& list) { return list.empty() ? "none" : listed(list); };
  return fmt::format("At the end above {} in every seed: {}; below {} in every seed: {}.", high, or_none(above),
                     kSpread, or_none(below));
}

// The share of the heaviest token of each function against time, elementwise ones dashed.
report::SeriesChart shares_chart(const Protocol& protocol, std::span<const std::string_view> names,
                                 const BySeed& runs) {
  const int k = protocol.logistic.start.tokens;
  report::SeriesChart chart{.x = {"time t", report::Scale::kLog},
                            .y = {"share of the heaviest token, max|σ|/Σ|σ|", report::Scale::kLinear},
                            .series = {},
                            .references = {{fmt::format("uniform 1/{}", k), 1.0 / k}}};
  for (const std::string_view name : names) {
    report::Series line = line_over(std::string(name), runs.at(name), shares);
    line.colour = colour_of(name);
    line.dashed = is_dashed(name);
    chart.series.push_back(std::move(line));
  }
  return chart;
}

report::Figure shares_figure(const Protocol& protocol, std::string_view loss, const BySeed& runs) {
  const auto papers = std::span(protocol.functions).first(protocol.papers);
  return chart_figure(
      fmt::format("{}-share", loss), fmt::format("Polarisation against time, {} loss", loss),
      "Median and range over seeds, elementwise functions dashed. " + sorted_by_share(papers, runs, kOneHot),
      fmt::format("Share of the heaviest token against time for {} re-weighting functions, {} loss.", papers.size(),
                  loss),
      shares_chart(protocol, papers, runs));
}

report::Figure limit_figure(const Protocol& protocol, const Measured& runs) {
  return chart_figure(
      "limit", fmt::format("Polarisation under the gradient flow to t = {}, logistic loss", plain(protocol.until)),
      fmt::format("{} The paper's figure ends at t = {:g}.", sorted_by_share(protocol.smooth, runs.flow, kInTheEnd),
                  protocol.logistic.last_time()),
      fmt::format("Share of the heaviest token against time up to {} for {} functions.", plain(protocol.until),
                  protocol.smooth.size()),
      shares_chart(protocol, protocol.smooth, runs.flow));
}

report::Figure weights_figure(const Protocol& protocol, std::string_view loss, const BySeed& runs) {
  std::vector<Multiple> every;
  std::vector<std::string> ends;
  for (const std::string_view name : protocol.functions) {
    const flow::Trajectory& first = runs.at(name).front();
    every.push_back(coordinate_panel(called(name), first,
                                     {.record = Coordinate::kSigma, .y = {"weight σ(a)", report::Scale::kLinear}}));
    const std::vector<double> sigma = final_sigma(first);
    const auto [low, high] = std::ranges::minmax(sigma);
    ends.push_back(fmt::format("{} {} to {}", name, significant(low, 2), significant(high, 2)));
  }
  return multiples_figure({.id = fmt::format("{}-weights", loss),
                           .title = fmt::format("Weights against time, {} loss, first seed", loss),
                           .caption = fmt::format("The weights at the end: {}.", fmt::join(ends, ", ")),
                           .alternative = fmt::format("Weights of {} tokens against time in {} panels, one a function.",
                                                      protocol.logistic.start.tokens, protocol.functions.size())},
                          every);
}

report::Claim one_hot_claim(const Measured& runs, std::string_view name) {
  const Spread top = spread_over(runs.logistic.at(name), share);
  return claim(fmt::format("A.fig13/one-hot-{}", name),
               fmt::format("{} is one-hot by the end of the paper's run, logistic loss.", called(name)),
               "Figure 13, logistic",
               fmt::format("share of the heaviest token > {} at the last step, every seed", kOneHot), top, "seeds",
               top.low > kOneHot, "logistic-share");
}

report::Claim limit_claim(const Protocol& protocol, const Measured& runs, std::string_view name) {
  const Spread top = spread_over(runs.flow.at(name), share);
  return claim(
      fmt::format("A.fig13/limit-{}", name), fmt::format("{} becomes one-hot in the end, logistic loss.", called(name)),
      "Section 3; ours",
      fmt::format("share of the heaviest token > {} at t = {} of the gradient flow, every seed that it can follow",
                  kInTheEnd, plain(protocol.until)),
      top, "seeds", top.low > kInTheEnd, "limit");
}

report::Claim spread_out_claim(const Measured& runs, std::string_view name) {
  const Spread top = spread_over(runs.logistic.at(name), share);
  return claim(fmt::format("A.fig13/spread-{}", name),
               fmt::format("Elementwise {} does not polarise, logistic loss.", name), "Figure 13; Section 3",
               fmt::format("share of the heaviest token < {} at the last step, every seed", kSpread), top, "seeds",
               top.high < kSpread, "logistic-weights");
}

// Of each seed, the largest share of any of the paper's functions under square loss.
Spread largest_under_square(const Protocol& protocol, const Measured& runs) {
  std::vector<double> largest(runs.seeds, 0.0);
  for (const std::string_view name : std::span(protocol.functions).first(protocol.papers)) {
    for (int seed = 0; seed < runs.seeds; ++seed) {
      largest[seed] = std::max(largest[seed], share(runs.square.at(name)[seed]));
    }
  }
  return spread_of(std::move(largest));
}

std::string findings_of(const Protocol& protocol, const Measured& runs) {
  std::vector<std::string> logistic, limits;
  for (const std::string_view name : protocol.functions) {
    const auto& group = runs.logistic.at(name);
    const auto lost = count_of(group, [](const flow::Trajectory& t) { return t.ending == flow::Ending::kDiverged; });
    logistic.push_back(fmt::format("{} {}", name, significant(spread_over(group, share).median, 3)));
    if (lost > 0) logistic.back() += fmt::format(" ({} of {} runs diverged)", lost, runs.seeds);
  }
  for (const std::string_view name : protocol.smooth) {
    limits.push_back(fmt::format("{} {}", name, significant(spread_over(runs.flow.at(name), share).low, 6)));
  }
  double square_high = 0.0;
  for (const std::string_view name : protocol.functions) {
    square_high = std::max(square_high, spread_over(runs.square.at(name), share).high);
  }
  const Spread lowest = spread_over(runs.logistic.at("identity/sum"), smallest_weight);
  return fmt::format(
      "Share of the heaviest token at the end under logistic loss, median over {} seeds: {}. Sum's smallest weight is "
      "{}. The gradient flow says which of them are only slow: at t = {} the lowest share of any seed is {}. Under "
      "square loss the largest share of any function and seed is {:.3f}.",
      runs.seeds, fmt::join(logistic, ", "), in_words(lowest, "seeds"), plain(protocol.until), fmt::join(limits, ", "),
      square_high);
}

std::string length_in_words(const DescentPlan& plan) {
  return fmt::format("step {}, {} steps", plain(plan.step), counted(plan.steps));
}

Quantities quantities(const Context& context) {
  const Protocol p = protocol_of(context.preset);
  return {{"model", std::string(flow::model_name(p.logistic.model))},
          {"losses", fmt::format("{}, {}", flow::loss_name(p.logistic.loss), flow::loss_name(p.square.loss))},
          {"re-weightings", listed(p.functions)},
          {"d = k", counted(p.logistic.start.tokens)},
          {"V₀", values_in_words(p.logistic.start)},
          {"a₀", scores_in_words(p.logistic.start)},
          {"logistic", length_in_words(p.logistic)},
          {"square", length_in_words(p.square)},
          {"flow", fmt::format("logistic, to t = {}: {}", plain(p.until), listed(p.smooth))},
          seeds_quantity(context.seed, p.logistic.seeds)};
}

report::Section run(const Context& context) {
  const Protocol protocol = protocol_of(context.preset);
  return describe(protocol, measure(context, protocol));
}

}  // namespace

Protocol protocol_of(Preset preset) {
  Protocol protocol;
  protocol.logistic = {
      .loss = flow::Loss::kLogistic,
      .start = {.outputs = 10, .tokens = 10, .value_scale = 0.1, .score_scale = 0.1, .score_offset = 1.0},
      .step = 0.5,
      .steps = 100'000,
      .seeds = preset == Preset::kPaper ? 50 : 10};
  protocol.square = protocol.logistic;
  protocol.square.loss = flow::Loss::kSquare;
  protocol.square.step = 0.1;
  protocol.square.steps = 5'000;
  protocol.until = kForever;
  return protocol;
}

Measured measure(const Context& context, const Protocol& protocol) {
  const int seeds = protocol.logistic.seeds;
  std::vector<Descent> descents;
  for (DescentPlan plan : {protocol.logistic, protocol.square}) {
    for (const std::string_view name : protocol.functions) {
      plan.reweighting = name;
      for (Descent& descent : descents_of(context, plan)) descents.push_back(std::move(descent));
    }
  }
  std::vector<flow::Start> starts;
  for (const std::string_view name : protocol.smooth) {
    DescentPlan plan = protocol.logistic;
    plan.reweighting = name;
    for (Descent& descent : descents_of(context, plan)) starts.push_back(std::move(descent.start));
  }
  // Groups of `seeds` in the order of the names.
  const auto by_name = [&](const std::vector<std::string_view>& names, std::span<flow::Trajectory> trajectories) {
    BySeed runs;
    for (std::size_t n = 0; n < names.size(); ++n) {
      const auto group = trajectories.subspan(n * seeds, seeds);
      runs[names[n]] = {std::move_iterator(group.begin()), std::move_iterator(group.end())};
    }
    return runs;
  };
  std::vector<flow::Trajectory> descended = descend_all(context, descents, largest_share_note);
  std::vector<flow::Trajectory> flowed =
      integrate_all(context, starts, {.until = protocol.until, .times = {}, .events = false, .progress = {}});
  const std::size_t half = descended.size() / 2;
  return {.seeds = seeds,
          .logistic = by_name(protocol.functions, std::span(descended).first(half)),
          .square = by_name(protocol.functions, std::span(descended).subspan(half)),
          .flow = by_name(protocol.smooth, flowed)};
}

std::vector<report::Claim> judge(const Protocol& protocol, const Measured& runs) {
  std::vector<report::Claim> claims;
  for (const char* name : {"softmax", "abs/sum", "square/sum", "relu/sum"}) claims.push_back(one_hot_claim(runs, name));
  for (const char* name : {"softmax", "square/sum", "relu/sum", "elu1/sum", "sigmoid/sum"}) {
    claims.push_back(limit_claim(protocol, runs, name));
  }
  for (const char* name : {"sigmoid", "relu"}) claims.push_back(spread_out_claim(runs, name));
  const long long negative =
      count_of(runs.logistic.at("identity/sum"), [](const flow::Trajectory& t) { return smallest_weight(t) < 0.0; });
  claims.push_back(claim_of_count("A.fig13/sum", "Sum does not become one-hot: its weights turn negative.",
                                  "Figure 13, logistic", "min σ(a) < 0 at the last step, every seed", negative,
                                  runs.seeds, "seeds", negative == runs.seeds, "logistic-weights"));
  const Spread largest = largest_under_square(protocol, runs);
  claims.push_back(
      claim("A.fig13/square", "Under square loss none of the six becomes one-hot.", "Figure 13, square",
            fmt::format("largest share of the heaviest token over the six functions < {} at the last step, every seed",
                        kSpread),
            largest, "seeds", largest.high < kSpread, "square-share"));
  return claims;
}

report::Section describe(const Protocol& p, const Measured& runs) {
  report::Section section;
  section.method = fmt::format(
      "Gradient descent with {} re-weighting functions under two losses from the same starts: d = k = {}, V₀ = {}, "
      "a₀ = {}, ‖β‖ = 1, {} seeds; logistic: {}; square: {}; and the gradient flow of the logistic loss to t = {} "
      "where "
      "the integrator can follow it. Sum, relu and sigmoid do not make weights that are positive and sum to one, so "
      "polarisation is measured by the share max|σ|/Σ|σ|.",
      p.functions.size(), p.logistic.start.tokens, values_in_words(p.logistic.start), scores_in_words(p.logistic.start),
      p.logistic.seeds, length_in_words(p.logistic), length_in_words(p.square), plain(p.until));
  section.findings = findings_of(p, runs);
  section.claims = judge(p, runs);
  section.figures = {shares_figure(p, "logistic", runs.logistic), shares_figure(p, "square", runs.square),
                     limit_figure(p, runs), weights_figure(p, "logistic", runs.logistic),
                     weights_figure(p, "square", runs.square)};
  section.differences =
      "Three functions more than the paper draws: elementwise ReLU, which its text speaks of, and normalised elu+1 and "
      "sigmoid.";
  return section;
}

}  // namespace polariscope::experiments::polarisation::fig13

namespace polariscope::experiments {

Experiment a_fig13() {
  return {.id = "A.fig13",
          .title = "Which normalisations polarise, and under which loss",
          .source = "Polarisation paper, figure 13",
          .question = "Is polarisation softmax's own, or does any normalised re-weighting function show it?",
          .protocol = polarisation::fig13::quantities,
          .run = polarisation::fig13::run};
}

}  // namespace polariscope::experiments
