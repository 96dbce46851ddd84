#include "polariscope/sweep/edge_table.h"

#include "polariscope/base/quantiles.h"
#include "polariscope/base/terminal.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <tuple>

namespace polariscope::sweep {
namespace {

using Json = nlohmann::ordered_json;
using Side = EdgeRate::Side;

constexpr std::array kSigns{CollapseSign::kDiverged, CollapseSign::kAlarm, CollapseSign::kLoss, CollapseSign::kEntropy};
constexpr int kDigits = 3;

EdgeRate rate_of(const SeedEdge& edge) {
  if (edge.held == 0.0) return {edge.collapsed, Side::kBelow};
  return {edge.held, std::isinf(edge.collapsed) ? Side::kAbove : Side::kAt};
}

// Between a rate that is known and one that is beyond what was tried the mean is beyond its own number.
std::optional<EdgeRate> mean_of(const EdgeRate& one, const EdgeRate& other) {
  if (one.side == Side::kBelow && other.side == Side::kAbove) return std::nullopt;
  return EdgeRate{std::sqrt(one.rate) * std::sqrt(other.rate), one.side == Side::kAt ? other.side : one.side};
}

std::string edge_in_words(const EdgeSpread& spread) {
  const std::string median = spread.median ? in_words(*spread.median) : "unknown";
  if (spread.seeds == 1) return median + " (1 seed)";
  return fmt::format("{} ({} to {}, {} seeds)", median, in_words(spread.lowest), in_words(spread.highest),
                     spread.seeds);
}

// To the first variant's, where both are known.
std::string ratio_in_words(const std::optional<EdgeSpread>& spread, const std::optional<EdgeSpread>& first) {
  const auto is_known = [](const std::optional<EdgeSpread>& one) {
    return one && one->median && one->median->side == Side::kAt;
  };
  if (!is_known(spread) || !is_known(first)) return "";
  return significant(spread->median->rate / first->median->rate, kDigits);
}

std::string signs_in_words(const VariantEdge& edge) {
  std::vector<std::string> texts;
  for (const CollapseSign sign : kSigns) {
    std::ptrdiff_t count = 0;
    for (const SeedEdge& seed : edge.seeds) {
      count += std::ranges::count_if(seed.runs, [sign](const EdgeRun& run) { return run.verdict.sign == sign; });
    }
    if (count > 0) texts.push_back(fmt::format("{} {}", sign_name(sign), count));
  }
  return fmt::format("{}", fmt::join(texts, ", "));
}

// Of the runs at the edge, median over the seeds; "" where there is none.
std::string loss_in_words(const VariantEdge& edge) {
  std::vector<double> losses;
  for (const SeedEdge& seed : edge.seeds) {
    const auto at_edge = std::ranges::find(seed.runs, seed.held, &EdgeRun::rate);
    if (seed.known && at_edge != seed.runs.end()) losses.push_back(at_edge->verdict.loss);
  }
  return losses.empty() ? "" : significant(median_of(losses), kDigits);
}

std::size_t runs_of(const VariantEdge& edge) {
  std::size_t runs = 0;
  for (const SeedEdge& seed : edge.seeds) runs += seed.runs.size();
  return runs;
}

std::string failures_in_words(const std::vector<VariantEdge>& edges) {
  std::string text;
  for (const VariantEdge& edge : edges) {
    for (const SeedEdge& seed : edge.seeds) {
      if (seed.failure.empty()) continue;
      text += fmt::format("{} seed {} has no edge, for a run failed: {}\n", edge.name, seed.seed, seed.failure);
    }
  }
  return text;
}

Json finite_or_null(double number) { return std::isfinite(number) ? Json(number) : Json(nullptr); }

Json json_of(const EdgeRate& rate) {
  constexpr std::array kNames{"below", "at", "above"};
  return {{"rate", rate.rate}, {"side", kNames.at(static_cast<std::size_t>(rate.side))}};
}

Json json_of(const std::optional<EdgeSpread>& spread) {
  if (!spread) return nullptr;
  return {{"median", spread->median ? json_of(*spread->median) : Json(nullptr)},
          {"lowest", json_of(spread->lowest)},
          {"highest", json_of(spread->highest)},
          {"seeds", spread->seeds}};
}

Json json_of(const SeedEdge& edge) {
  Json runs = Json::array();
  for (const EdgeRun& run : edge.runs) {
    runs.push_back({{"learning_rate", run.rate},
                    {"sign", sign_name(run.verdict.sign)},
                    {"loss", finite_or_null(run.verdict.loss)},
                    {"steps", run.steps},
                    {"folder", run.folder.generic_string()}});
  }
  return {{"seed", edge.seed},
          {"held", edge.held > 0.0 ? Json(edge.held) : Json(nullptr)},
          {"collapsed", finite_or_null(edge.collapsed)},
          {"known", edge.known},
          {"failure", edge.failure.empty() ? Json(nullptr) : Json(edge.failure)},
          {"runs", runs}};
}

}  // namespace

std::string in_words(const EdgeRate& rate) {
  const std::string number = significant(rate.rate, kDigits);
  switch (rate.side) {
    case Side::kBelow: return "below " + number;
    case Side::kAt: return number;
    case Side::kAbove: return "at least " + number;
  }
  return "";
}

std::optional<EdgeSpread> spread_of(const VariantEdge& edge) {
  std::vector<EdgeRate> rates;
  for (const SeedEdge& seed : edge.seeds) {
    if (seed.known) rates.push_back(rate_of(seed));
  }
  if (rates.empty()) return std::nullopt;
  std::ranges::sort(rates, {}, [](const EdgeRate& one) { return std::tuple(one.side, one.rate); });
  const std::size_t last = rates.size() - 1;
  return EdgeSpread{.lowest = rates.front(),
                    .highest = rates.back(),
                    .median = mean_of(rates[last / 2], rates[last - last / 2]),
                    .seeds = static_cast<int>(rates.size())};
}

std::string edges_in_words(const EdgePlan& plan, const std::vector<VariantEdge>& edges) {
  std::vector<std::vector<std::string>> rows{{"variant", "edge", "ratio", "loss", "runs", "collapsed by"}};
  const std::optional<EdgeSpread> first = edges.empty() ? std::nullopt : spread_of(edges.front());
  for (const VariantEdge& edge : edges) {
    const std::optional<EdgeSpread> spread = spread_of(edge);
    rows.push_back({printable(edge.name), spread ? edge_in_words(*spread) : "unknown", ratio_in_words(spread, first),
                    loss_in_words(edge), fmt::format("{}", runs_of(edge)), signs_in_words(edge)});
  }
  return aligned_table(rows) + failures_in_words(edges) +
         fmt::format(
             "edge: the largest learning rate that did not collapse, median (lowest to highest of the seeds); one at "
             "most {} times as high did\n"
             "ratio: of it to the first variant's; loss: over the last tenth of the steps at the edge\n",
             plan.within);
}

std::string edges_as_json(const EdgePlan& plan, const std::vector<VariantEdge>& edges) {
  Json variants = Json::array();
  for (std::size_t i = 0; i < edges.size(); ++i) {
    Json settings = Json::object();
    for (const runs::NamedValue& one : runs::with_defaults(runs::defining_options(), plan.variants[i].settings)) {
      if (one.name == "learning_rate" || one.name == "seed") continue;
      std::visit([&](const auto& value) { settings[one.name] = value; }, one.value);
    }
    Json seeds = Json::array();
    for (const SeedEdge& seed : edges[i].seeds) seeds.push_back(json_of(seed));
    variants.push_back(
        {{"name", edges[i].name}, {"settings", settings}, {"edge", json_of(spread_of(edges[i]))}, {"seeds", seeds}});
  }
  const Json whole{{"first_learning_rate", plan.first_rate},
                   {"within", plan.within},
                   {"entropy", plan.entropy_share},
                   {"loss_factor", kLossFactor},
                   {"variants", variants}};
  return whole.dump(1);
}

}  // namespace polariscope::sweep
