// Figure 13 of the polarisation paper: which normalisations of the scores polarise, under which loss.
#include "polariscope/base/terminal.h"
#include "polariscope/experiments/experiments.h"
#include "polariscope/experiments/polarisation/descents.h"
#include "polariscope/experiments/polarisation/flow_section.h"
#include "polariscope/experiments/polarisation/long_flows.h"
#include "polariscope/experiments/shared/attention_looks.h"
#include "polariscope/experiments/shared/multiples.h"
#include "polariscope/experiments/shared/readings.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <functional>
#include <string_view>

namespace polariscope::experiments {
namespace {

constexpr int kDim = 10;

// The paper's six, then ours: it speaks of elementwise ReLU where its code normalises.
constexpr std::array<std::string_view, 9> kFunctions{"softmax", "abs/sum", "identity/sum", "square/sum", "relu/sum",
                                                     "sigmoid", "relu",    "elu1/sum",     "sigmoid/sum"};
constexpr std::size_t kPapers = 6;

struct Setting {
  flow::Loss loss;
  double step;
  std::int64_t steps;
};
constexpr std::array kSettings{Setting{flow::Loss::kLogistic, 0.5, 100'000}, Setting{flow::Loss::kSquare, 0.1, 5'000}};
enum : std::size_t { kLogistic, kSquare };

// Those whose flow can be followed to the end: |a| and ReLU have kinks along which the flow slides, which
// only ReLU's flow leaves.
constexpr std::array<std::string_view, 6> kSmooth{"softmax", "square/sum", "relu/sum",
                                                  "sigmoid", "elu1/sum",   "sigmoid/sum"};

struct Runs {
  int seeds = 0;
  std::vector<flow::Trajectory> trajectories;  // by setting, function, seed
  std::vector<flow::Trajectory> flows;         // logistic loss, by smooth function, seed

  std::span<const flow::Trajectory> at(std::size_t setting, std::size_t function) const {
    return group_of(trajectories, seeds, static_cast<int>(setting * kFunctions.size() + function));
  }
  std::span<const flow::Trajectory> flow_of(std::string_view name) const {
    return group_of(flows, seeds, static_cast<int>(std::ranges::find(kSmooth, name) - kSmooth.begin()));
  }
  std::span<const flow::Trajectory> at(std::size_t setting, std::string_view name) const {
    return at(setting, std::ranges::find(kFunctions, name) - kFunctions.begin());
  }
};

Runs run_all(const Context& context) {
  Runs runs;
  runs.seeds = context.paper() ? 50 : 10;
  const flow::StartOptions options{
      .outputs = kDim, .tokens = kDim, .value_scale = 0.1, .score_scale = 0.1, .score_offset = 1.0};
  std::vector<Descent> descents;
  for (const Setting& setting : kSettings) {
    for (const std::string_view name : kFunctions) {
      for (int i = 0; i < runs.seeds; ++i) {
        descents.push_back(
            {flow::random_start(flow::Model::kValueSoftmax, setting.loss, reweighting::find_reweighting(name), options,
                                context.seed + i),
             {.step = setting.step, .steps = setting.steps, .samples = {}, .singular_values = false, .progress = {}}});
      }
    }
  }
  runs.trajectories = descend_all(context, descents, largest_share_note);
  std::vector<flow::Start> starts;
  for (const std::string_view name : kSmooth) {
    for (int i = 0; i < runs.seeds; ++i) {
      starts.push_back(flow::random_start(flow::Model::kValueSoftmax, flow::Loss::kLogistic,
                                          reweighting::find_reweighting(name), options, context.seed + i));
    }
  }
  runs.flows = integrate_all(context, starts, {.until = kForever, .times = {}, .events = false, .progress = {}});
  return runs;
}

double share(const flow::Trajectory& trajectory) { return final_share(trajectory); }

double smallest_weight(const flow::Trajectory& trajectory) { return std::ranges::min(final_sigma(trajectory)); }

std::string_view name_of(flow::Loss loss) { return loss == flow::Loss::kLogistic ? "logistic" : "square"; }

// What the paper calls it, with the table's name where that is another.
std::string called(std::string_view name) {
  const std::string_view alias = reweighting::find_reweighting(name).alias;
  const bool same = alias.size() == name.size();  // but for the capital
  return alias.empty() || same ? std::string(name) : fmt::format("{} ({})", alias, name);
}

// "Above 0.95 in every seed: softmax, relu/sum. Below 0.5 in every seed: sigmoid." of the shares at the end.
std::string sorted_by_share(std::span<const std::string_view> names,
                            const std::function<std::span<const flow::Trajectory>(std::string_view)>& runs_of,
                            double high) {
  std::vector<std::string_view> above, below;
  for (const std::string_view name : names) {
    const Spread ends = spread_over(runs_of(name), share);
    if (ends.low > high) above.push_back(name);
    if (ends.high < 0.5) below.push_back(name);
  }
  const auto listed = [](const std::vector<std::string_view>& list) {
    return list.empty() ? std::string("none") : fmt::format("{}", fmt::join(list, ", "));
  };
  return fmt::format("At the end above {} in every seed: {}; below 0.5 in every seed: {}.", high, listed(above),
                     listed(below));
}

report::Figure shares_figure(const Runs& runs, std::size_t setting) {
  report::SeriesChart chart{.x = {"time t", report::Scale::kLog},
                            .y = {"share of the heaviest token, max|σ|/Σ|σ|", report::Scale::kLinear},
                            .series = {},
                            .references = {{fmt::format("uniform 1/{}", kDim), 1.0 / kDim}}};
  for (std::size_t f = 0; f < kPapers; ++f) {
    report::Series line = line_over(std::string(kFunctions[f]), runs.at(setting, f), shares);
    line.colour = colour_of(kFunctions[f]);
    line.dashed = is_dashed(kFunctions[f]);
    chart.series.push_back(std::move(line));
  }
  const std::string_view loss = name_of(kSettings[setting].loss);
  const auto runs_of = [&](std::string_view name) { return runs.at(setting, name); };
  return chart_figure(
      fmt::format("{}-share", loss), fmt::format("Polarisation against time, {} loss", loss),
      "Median and range over seeds, elementwise functions dashed. " +
          sorted_by_share(std::span(kFunctions).first(kPapers), runs_of, 0.95),
      fmt::format("Share of the heaviest token against time for six re-weighting functions, {} loss.", loss), chart);
}

report::Figure limit_figure(const Runs& runs) {
  report::SeriesChart chart{.x = {"time t", report::Scale::kLog},
                            .y = {"share of the heaviest token", report::Scale::kLinear},
                            .series = {},
                            .references = {{fmt::format("uniform 1/{}", kDim), 1.0 / kDim}}};
  for (const std::string_view name : kSmooth) {
    report::Series line = line_over(std::string(name), runs.flow_of(name), shares);
    line.colour = colour_of(name);
    line.dashed = is_dashed(name);
    chart.series.push_back(std::move(line));
  }
  return chart_figure("limit", "Polarisation under the gradient flow to t = 1e299, logistic loss",
                      fmt::format("{} The paper's figure ends at t = {:g}.",
                                  sorted_by_share(
                                      kSmooth, [&](std::string_view name) { return runs.flow_of(name); }, 0.999),
                                  kSettings[kLogistic].step * static_cast<double>(kSettings[kLogistic].steps)),
                      "Share of the heaviest token against time up to 1e299 for six functions.", chart);
}

report::Figure weights_figure(const Runs& runs, std::size_t setting) {
  std::vector<Multiple> every;
  std::vector<std::string> ends;
  for (std::size_t f = 0; f < kFunctions.size(); ++f) {
    const flow::Trajectory& first = runs.at(setting, f).front();
    every.push_back(coordinate_panel(called(kFunctions[f]), first,
                                     {.record = Coordinate::kSigma, .y = {"weight σ(a)", report::Scale::kLinear}}));
    const std::vector<double> sigma = final_sigma(first);
    const auto [low, high] = std::ranges::minmax(sigma);
    ends.push_back(fmt::format("{} {} to {}", kFunctions[f], significant(low, 2), significant(high, 2)));
  }
  const std::string_view loss = name_of(kSettings[setting].loss);
  return multiples_figure(
      {.id = fmt::format("{}-weights", loss),
       .title = fmt::format("Weights against time, {} loss, first seed", loss),
       .caption = fmt::format("The weights at the end: {}.", fmt::join(ends, ", ")),
       .alternative = fmt::format("Weights of {} tokens against time in nine panels, one a function.", kDim)},
      every);
}

report::Claim one_hot_claim(const Runs& runs, std::string_view name) {
  const Spread top = spread_over(runs.at(kLogistic, name), share);
  return claim(fmt::format("A.fig13/one-hot-{}", name),
               fmt::format("{} is one-hot by the end of the paper's run, logistic loss.", called(name)),
               "Figure 13, logistic", "share of the heaviest token > 0.95 at the last step, every seed", top, "seeds",
               top.low > 0.95, "logistic-share");
}

report::Claim limit_claim(const Runs& runs, std::string_view name) {
  const Spread top = spread_over(runs.flow_of(name), share);
  return claim(fmt::format("A.fig13/limit-{}", name),
               fmt::format("{} becomes one-hot in the end, logistic loss.", called(name)), "Section 3; ours",
               "share of the heaviest token > 0.999 at t = 1e299 of the gradient flow, every seed that it can follow",
               top, "seeds", top.low > 0.999, "limit");
}

report::Claim spread_out_claim(const Runs& runs, std::string_view name) {
  const Spread top = spread_over(runs.at(kLogistic, name), share);
  return claim(fmt::format("A.fig13/spread-{}", name),
               fmt::format("Elementwise {} does not polarise, logistic loss.", name), "Figure 13; Section 3",
               "share of the heaviest token < 0.5 at the last step, every seed", top, "seeds", top.high < 0.5,
               "logistic-weights");
}

std::vector<report::Claim> claims_of(const Runs& runs) {
  std::vector<report::Claim> claims;
  for (const char* name : {"softmax", "abs/sum", "square/sum", "relu/sum"}) claims.push_back(one_hot_claim(runs, name));
  for (const char* name : {"softmax", "square/sum", "relu/sum", "elu1/sum", "sigmoid/sum"}) {
    claims.push_back(limit_claim(runs, name));
  }
  for (const char* name : {"sigmoid", "relu"}) claims.push_back(spread_out_claim(runs, name));

  const auto sum = runs.at(kLogistic, "identity/sum");
  const auto negative = count_of(sum, [](const flow::Trajectory& t) { return smallest_weight(t) < 0.0; });
  claims.push_back(claim_of_count("A.fig13/sum", "Sum does not become one-hot: its weights turn negative.",
                                  "Figure 13, logistic", "min σ(a) < 0 at the last step, every seed", negative,
                                  runs.seeds, "seeds", negative == runs.seeds, "logistic-weights"));

  std::vector<double> largest;
  for (int seed = 0; seed < runs.seeds; ++seed) {
    double worst = 0.0;
    for (std::size_t f = 0; f < kPapers; ++f) worst = std::max(worst, share(runs.at(kSquare, f)[seed]));
    largest.push_back(worst);
  }
  const Spread worst = spread_of(largest);
  claims.push_back(
      claim("A.fig13/square", "Under square loss none of the six becomes one-hot.", "Figure 13, square",
            "largest share of the heaviest token over the six functions < 0.5 at the last step, every seed", worst,
            "seeds", worst.high < 0.5, "square-share"));
  return claims;
}

std::string findings_of(const Runs& runs) {
  std::string logistic;
  for (const std::string_view name : kFunctions) {
    const auto group = runs.at(kLogistic, name);
    const auto lost = count_of(group, [](const flow::Trajectory& t) { return t.ending == flow::Ending::kDiverged; });
    logistic +=
        fmt::format("{}{} {}", logistic.empty() ? "" : ", ", name, significant(spread_over(group, share).median, 3));
    if (lost > 0) logistic += fmt::format(" ({} of {} runs diverged)", lost, runs.seeds);
  }
  std::string limits;
  for (const std::string_view name : kSmooth) {
    limits += fmt::format("{}{} {}", limits.empty() ? "" : ", ", name,
                          significant(spread_over(runs.flow_of(name), share).low, 6));
  }
  double square_high = 0.0;
  for (const std::string_view name : kFunctions) {
    square_high = std::max(square_high, spread_over(runs.at(kSquare, name), share).high);
  }
  const Spread lowest = spread_over(runs.at(kLogistic, "identity/sum"), smallest_weight);
  return fmt::format(
      "Share of the heaviest token at the end under logistic loss, median over {} seeds: {}. Sum's smallest weight is "
      "{}. The gradient flow says which of them are only slow: at t = 1e299 the lowest share of any seed is {}. Under "
      "square loss the largest share of any function and seed is {:.3f}.",
      runs.seeds, logistic, in_words(lowest, "seeds"), limits, square_high);
}

report::Section run(const Context& context) {
  const Runs runs = run_all(context);
  report::Section section;
  section.method = fmt::format(
      "Gradient descent with nine re-weighting functions under two losses from the same starts: d = k = {}, "
      "V₀ = 0.1·N(0, 1), a₀ = 1 + 0.1·N(0, 1), ‖β‖ = 1, {} seeds; logistic: step {}, {} steps; square: step {}, {} "
      "steps; and the gradient flow of the logistic loss to t = 1e299 where the integrator can follow it. Sum, relu "
      "and sigmoid do not make weights that are positive and sum to one, so polarisation is measured "
      "by the share max|σ|/Σ|σ|.",
      kDim, runs.seeds, kSettings[kLogistic].step, kSettings[kLogistic].steps, kSettings[kSquare].step,
      kSettings[kSquare].steps);
  section.findings = findings_of(runs);
  section.claims = claims_of(runs);
  section.figures = {
      shares_figure(runs, kLogistic),  shares_figure(runs, kSquare),  limit_figure(runs),
      weights_figure(runs, kLogistic), weights_figure(runs, kSquare),
  };
  section.configuration = {
      {"model", "value-softmax"},
      {"losses", "logistic, square"},
      {"re-weightings", fmt::format("{}", fmt::join(kFunctions, ", "))},
      {"d = k", fmt::format("{}", kDim)},
      {"V₀", "0.1·N(0, 1)"},
      {"a₀", "1 + 0.1·N(0, 1)"},
      {"logistic", fmt::format("step {}, {} steps", kSettings[kLogistic].step, kSettings[kLogistic].steps)},
      {"square", fmt::format("step {}, {} steps", kSettings[kSquare].step, kSettings[kSquare].steps)},
      {"seeds", fmt::format("{} to {}", context.seed, context.seed + runs.seeds - 1)}};
  section.differences =
      "Three functions more than the paper draws: elementwise ReLU, which its text speaks of, and "
      "normalised elu+1 and sigmoid.";
  if (!context.paper()) section.differences += " 10 seeds where the paper preset takes 50.";
  return section;
}

}  // namespace

Experiment a_fig13() {
  return {.id = "A.fig13",
          .title = "Which normalisations polarise, and under which loss",
          .source = "Polarisation paper, figure 13",
          .question = "Is polarisation softmax's own, or does any normalised re-weighting function show it?",
          .run = run};
}

}  // namespace polariscope::experiments
