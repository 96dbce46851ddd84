#include "polariscope/experiments/lipschitz/prop5_2.h"

#include "polariscope/base/parallel.h"
#include "polariscope/base/terminal.h"
#include "polariscope/experiments/experiments.h"
#include "polariscope/experiments/shared/measure.h"
#include "polariscope/experiments/shared/readings.h"
#include "polariscope/metrics/dirichlet_rows.h"
#include "polariscope/metrics/entropy.h"
#include "polariscope/metrics/frobenius_norm.h"
#include "polariscope/report/colours.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace polariscope::experiments::lipschitz::prop5_2 {
namespace {

constexpr double kLowest = 1.0001,
                 kHighest = 0.999;  // 1 and √N are met: of the smallest norm, and of the largest over √N

constexpr double kRounding = 1e-12;
constexpr std::int64_t kShownTokens = 128;
constexpr std::array kFamilies{Family::kDirichlet, Family::kSoftmax, Family::kCausalSoftmax};

// Softmax of N(0, scale²) over the first `visible` entries of a row.
void draw_softmax_row(RandomStream& random, double scale, std::span<double> row, std::int64_t visible) {
  const std::span<double> seen = row.first(static_cast<std::size_t>(visible));
  random.fill_normal(seen, scale);
  const double top = *std::ranges::max_element(seen);
  double sum = 0.0;
  for (double& p : seen) sum += p = std::exp(p - top);
  for (double& p : seen) p /= sum;
}

// family, parameter and tokens as given; the rest is drawn and measured.
Map drawn(Map map, RandomStream random) {
  const std::int64_t n = map.tokens;
  const bool causal = map.family == Family::kCausalSoftmax;
  std::vector<double> p(n * n, 0.0);
  map.row_margin = std::numeric_limits<double>::infinity();
  for (std::int64_t i = 0; i < n; ++i) {
    const std::span<double> row = std::span(p).subspan(i * n, n);
    if (map.family == Family::kDirichlet) {
      metrics::draw_dirichlet_row(random, map.parameter, row);
    } else {
      draw_softmax_row(random, map.parameter, row, causal ? i + 1 : n);
    }
    const metrics::AttentionMap<double> alone{.values = row, .samples = 1, .heads = 1, .queries = 1, .keys = n};
    const double norm = metrics::frobenius_norm(alone).front().value();
    map.row_margin = std::min(map.row_margin, norm * norm - std::exp(-metrics::entropy(alone).front().value()));
  }
  const metrics::AttentionMap<double> whole{
      .values = p, .samples = 1, .heads = 1, .queries = n, .keys = n, .causal = causal};
  map.norm = metrics::frobenius_norm(whole).front().value();
  map.entropy = metrics::entropy(whole).front().value();
  return map;
}

// One of each family, size and parameter, in this order, not drawn yet.
std::vector<Map> kinds(const Protocol& protocol) {
  std::vector<Map> all;
  for (const Family family : kFamilies) {
    for (const std::int64_t tokens : protocol.tokens) {
      for (const double parameter : family == Family::kDirichlet ? protocol.alphas : protocol.scales) {
        all.push_back({family, parameter, tokens, 0.0, 0.0, 0.0});
      }
    }
  }
  return all;
}

std::string_view name_of(Family family) {
  switch (family) {
    case Family::kDirichlet: return "Dirichlet rows";
    case Family::kSoftmax: return "softmax rows";
    case Family::kCausalSoftmax: return "softmax rows, causal";
  }
  return "";
}

struct Counts {
  long long within = 0, unmasked = 0;                              // maps in [1, √N]
  long long causal_within = 0, causal = 0;                         // maps in [√Σ1/i, √N]
  long long rows_above = 0, rows = 0;                              // maps all of whose rows have ‖p‖² >= e^{−H}
  double nearest_floor = std::numeric_limits<double>::infinity();  // ‖P‖_F over 1
  double nearest_ceiling = 0.0;                                    // ‖P‖_F over √N
};

Counts counted_over(const Measured& maps) {
  Counts counts;
  for (const Map& map : maps) {
    const double ceiling = std::sqrt(static_cast<double>(map.tokens));
    const bool causal = map.family == Family::kCausalSoftmax;
    const double floor = causal ? causal_floor(map.tokens) : 1.0;
    const bool within = map.norm >= floor * (1.0 - kRounding) && map.norm <= ceiling * (1.0 + kRounding);
    (causal ? counts.causal : counts.unmasked) += 1;
    (causal ? counts.causal_within : counts.within) += within ? 1 : 0;
    ++counts.rows;
    counts.rows_above += map.row_margin >= -kRounding ? 1 : 0;
    if (causal) continue;
    counts.nearest_floor = std::min(counts.nearest_floor, map.norm);
    counts.nearest_ceiling = std::max(counts.nearest_ceiling, map.norm / ceiling);
  }
  return counts;
}

report::Figure norm_figure(const Measured& maps) {
  const double n = kShownTokens;
  report::SeriesChart chart{
      .x = {"mean attention entropy H (nats)"},
      .y = {"‖P‖_F", report::Scale::kLog},
      .series = {},
      .references = {{"1: uniform", 1.0},
                     {fmt::format("√N = {:.1f}: one-hot", std::sqrt(n)), std::sqrt(n)},
                     {fmt::format("causal uniform {:.2f}", causal_floor(kShownTokens)), causal_floor(kShownTokens)}},
      .points = true};
  for (std::size_t f = 0; f < kFamilies.size(); ++f) {
    report::Series dots{.name = std::string(name_of(kFamilies[f])),
                        .x = {},
                        .y = {},
                        .low = {},
                        .high = {},
                        .colour = report::palette_colour(f)};
    for (const Map& map : maps) {
      if (map.family != kFamilies[f] || map.tokens != kShownTokens) continue;
      dots.x.push_back(map.entropy);
      dots.y.push_back(map.norm);
    }
    chart.series.push_back(std::move(dots));
  }
  report::Series floor{
      .name = "floor √N e^(−H/2)", .x = {}, .y = {}, .low = {}, .high = {}, .colour = report::palette_colour(6)};
  for (int i = 0; i <= 60; ++i) {
    floor.x.push_back(std::log(n) * i / 60.0);
    floor.y.push_back(std::sqrt(n) * std::exp(-0.5 * floor.x.back()));
  }
  chart.series.push_back(std::move(floor));
  return chart_figure("norms", fmt::format("Norm against entropy, N = {}", kShownTokens),
                      "As entropy goes to 0 every map is driven to √N: its norm stays above √N e^(−H/2). A causal mask "
                      "lifts the smallest norm that there is from 1.",
                      "Frobenius norm of random attention maps against their mean entropy.", chart);
}

report::Figure range_figure(const Protocol& protocol, const Measured& maps) {
  report::CategoryChart chart{
      .x = {"‖P‖_F/√N"}, .categories = {}, .low = 0.0, .high = 1.0, .references = {{"one-hot", 1.0}}};
  for (const Family family : kFamilies) {
    for (const std::int64_t tokens : protocol.tokens) {
      report::Category row{.name = fmt::format("{}, N = {}", name_of(family), tokens),
                           .values = {},
                           .colour = report::palette_colour(static_cast<std::size_t>(family))};
      for (const Map& map : maps) {
        if (map.family == family && map.tokens == tokens)
          row.values.push_back(map.norm / std::sqrt(static_cast<double>(tokens)));
      }
      chart.categories.push_back(std::move(row));
    }
  }
  return {.id = "range",
          .title = "How much of the range is met",
          .caption = "Of the maps drawn, from nearly uniform to nearly one-hot; none is right of √N.",
          .alternative = "Norm over √N of random attention maps by family and size.",
          .spec = report::category_chart(chart),
          .table = report::table_of(chart)};
}

Quantities quantities(const Context& context) {
  const Protocol p = protocol_of(context.preset);
  return {{"N", listed(p.tokens)},
          {"α", listed(p.alphas)},
          {"σ", listed(p.scales)},
          counted_quantity("maps a setting", p.each, "maps a setting"),
          seed_quantity(context.seed)};
}

report::Section run(const Context& context) {
  const Protocol protocol = protocol_of(context.preset);
  return describe(protocol, measure(context, protocol));
}

}  // namespace

double causal_floor(std::int64_t tokens) {
  double sum = 0.0;
  for (std::int64_t i = 1; i <= tokens; ++i) sum += 1.0 / static_cast<double>(i);
  return std::sqrt(sum);
}

Protocol protocol_of(Preset preset) {
  Protocol protocol;
  protocol.each = preset == Preset::kPaper ? 200 : 10;
  return protocol;
}

Measured measure(const Context& context, const Protocol& protocol) {
  const std::vector<Map> all = kinds(protocol);
  const auto total = static_cast<std::int64_t>(all.size()) * protocol.each;
  Progress progress = context.progress(static_cast<std::uint64_t>(total), "maps");
  Measured maps(static_cast<std::size_t>(total));
  parallel_for(total, context.threads, [&](std::int64_t i) {
    maps[static_cast<std::size_t>(i)] = drawn(all[static_cast<std::size_t>(i / protocol.each)],
                                              RandomStream(context.seed, static_cast<std::uint64_t>(i)));
  });
  progress.finish();
  return maps;
}

std::vector<report::Claim> judge(const Protocol& /*protocol*/, const Measured& maps) {
  const Counts counts = counted_over(maps);
  const bool attained = counts.nearest_floor < kLowest && counts.nearest_ceiling > kHighest;
  return {claim_of_count("B.prop5.2/range", "An attention map of N tokens has 1 ≤ ‖P‖_F ≤ √N.", "Proposition 5.2",
                         fmt::format("no map without a mask lies outside by more than {} of the end", plain(kRounding)),
                         counts.within, counts.unmasked, "maps", counts.within == counts.unmasked, "range"),
          claim_in_words(
              "B.prop5.2/attained", "Uniform attention attains the lower end and one-hot attention the upper.",
              "Proposition 5.2", fmt::format("smallest norm met < {}, largest > {} √N", kLowest, kHighest),
              fmt::format("{} and {} √N", significant(counts.nearest_floor, 6), significant(counts.nearest_ceiling, 6)),
              {counts.nearest_floor, counts.nearest_floor, counts.nearest_ceiling, counts.unmasked},
              judged(counts.unmasked, 1, attained), "norms"),
          claim_of_count("B.prop5.2/entropy", "Low entropy forces a large norm: ‖p‖² ≥ e^(−H) for every row.",
                         "Proposition 5.2; ours (Jensen)",
                         fmt::format("‖p‖² − e^(−H) ≥ −{} on every row of every map", plain(kRounding)),
                         counts.rows_above, counts.rows, "maps", counts.rows_above == counts.rows, "norms"),
          claim_of_count("B.prop5.2/causal", "Under a causal mask the lower end is (Σ 1/i)^½, not 1.",
                         "Ours; Proposition 5.2 is for full attention",
                         fmt::format("no causal map has a norm below (Σ 1/i)^½ or above √N by more than {} of the end",
                                     plain(kRounding)),
                         counts.causal_within, counts.causal, "maps", counts.causal_within == counts.causal, "norms")};
}

report::Section describe(const Protocol& p, const Measured& maps) {
  const Counts counts = counted_over(maps);
  report::Section section;
  section.method = fmt::format(
      "{} random maps of N = {} tokens: rows Dirichlet(α·1) with α from {:g} to {:g}, softmax of N(0, σ²) logits with "
      "σ "
      "from {:g} to {:g}, and the same under a causal mask.",
      counted(static_cast<long long>(maps.size())), listed(p.tokens), p.alphas.front(), p.alphas.back(),
      p.scales.front(), p.scales.back());
  section.findings = fmt::format(
      "{} of {} maps without a mask lie in [1, √N]; the smallest norm met is {}, the largest {} √N, so both ends are "
      "reached. Under a causal mask the lower end is (Σ 1/i)^½, {:.3f} for N = {}, and {} of {} maps respect it.",
      counts.within, counts.unmasked, significant(counts.nearest_floor, 6), significant(counts.nearest_ceiling, 6),
      causal_floor(kShownTokens), kShownTokens, counts.causal_within, counts.causal);
  section.claims = judge(p, maps);
  section.figures = {norm_figure(maps), range_figure(p, maps)};
  return section;
}

}  // namespace polariscope::experiments::lipschitz::prop5_2

namespace polariscope::experiments {

Experiment b_prop5_2() {
  return {
      .id = "B.prop5.2",
      .title = "The norm of attention lies in [1, √N]",
      .source = "Lipschitz paper, proposition 5.2",
      .question = "Does the norm of an attention map stay within its bounds, and what does low entropy force on it?",
      .protocol = lipschitz::prop5_2::quantities,
      .run = lipschitz::prop5_2::run};
}

}  // namespace polariscope::experiments
