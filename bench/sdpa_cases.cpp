#include "bench/sdpa_cases.h"

#include "bench/attention_run.h"
#include "bench/fma_peak.h"
#include "bench/measure.h"
#include "bench/python.h"

#include <fmt/format.h>

#include <array>
#include <filesystem>
#include <optional>

namespace polariscope::bench {
namespace {

// times: as fast as the peer; peak: part of what the processor's multiply-adds, or its dot products of bfloat16, do at
// most; price: with all statistics, times the time without any. Targets of 0 are none.
struct Plan {
  const char* name;
  Sizes sizes;
  bool backward;
  double times, peak, price;
};
const std::array kPlans{
    Plan{"long", {1, 8, 4096, 64}, false, 2.3, 0.84, 1.05},
    Plan{"medium", {1, 8, 1024, 64}, false, 2.3, 0.80, 0.0},
    Plan{"batch", {8, 8, 256, 64}, false, 2.25, 0.72, 0.0},
    Plan{"causal", {.batch = 1, .heads = 32, .queries = 2048, .width = 128, .causal = true}, false, 2.8, 0.0, 0.0},
    Plan{"regression", {4000, 1, 20, 3}, false, 10.0, 0.0, 1.3},
    Plan{"induction", {256, 4, 12, 32}, false, 6.0, 0.0, 1.3},
    Plan{"bfloat16", {.batch = 1, .heads = 8, .queries = 4096, .width = 64, .bfloat16 = true}, false, 3.3, 0.62, 0.0},
    Plan{"training-medium", {1, 8, 1024, 64}, true, 2.4, 0.0, 0.0},
    Plan{"training-long", {1, 8, 4096, 64}, true, 2.4, 0.0, 0.0},
};

Row priced(const Plan& plan, const std::vector<double>& on, const std::vector<double>& off) {
  const Summary without = summary(off), price = summary(ratios_of(off, on));
  Row row = row_named(fmt::format("sdpa/{}/statistics", plan.name));
  row.ours = seconds_text(summary(on));
  row.peer = seconds_text(without) + " without";
  row.ratio = fmt::format("{:.2f}× ({})", price.median, spread_text(price));
  if (plan.price > 0.0) {
    row.target = fmt::format("≤ {:g}×", plan.price);
    row.verdict = verdict(price.median <= plan.price);
  }
  row.numbers = {{"without_seconds", to_json(without)}, {"on_over_off", to_json(price)}};
  return row;
}

Row of_peak(const Plan& plan, int threads, const std::vector<double>& on, const std::vector<double>& peaks) {
  std::vector<double> parts;
  for (std::size_t i = 0; i < on.size(); ++i) {
    parts.push_back(plan.sizes.operations(plan.backward) / on[i] / (threads * peaks[i]));
  }
  const Summary part = summary(parts), peak = summary(peaks);
  Row row = row_named(fmt::format("sdpa/{}/peak", plan.name));
  row.ours = fmt::format("{:.1f} % ({})", 100.0 * part.median, spread_text(part));
  row.peer = fmt::format("{:.0f} Gflop/s{}{}", 1e-9 * peak.median, plan.sizes.bfloat16 ? " of bfloat16" : "",
                         threads > 1 ? " a thread" : "");
  if (plan.peak > 0.0) {
    row.target = fmt::format("≥ {:.0f} %", 100.0 * plan.peak);
    row.verdict = verdict(part.median >= plan.peak);
  }
  row.numbers = {{"fraction_of_peak", to_json(part)}, {"peak_flops", to_json(peak)}};
  return row;
}

std::vector<Row> run_plan(const Plan& plan, const Settings& settings) {
  const std::string name = fmt::format("sdpa/{}", plan.name);
  if (plan.sizes.bfloat16 && bfloat16_peak() == 0.0) {
    return {skipped_row(name, "this processor does not multiply bfloat16")};
  }
  AttentionRun ours(plan.sizes, plan.backward);
  ours.run(true, settings.threads);
  std::optional<SdpaPeer> peer;
  if (std::filesystem::exists(newest_python())) peer.emplace(ours, settings.threads);
  const TimedRun with(ours, true, settings.threads), without(ours, false, settings.threads);
  std::vector<double> on, off, peaks, theirs;
  for (int i = 0; i < settings.repeats; ++i) {
    on.push_back(with.seconds());
    if (peer) theirs.push_back(peer->seconds());
    off.push_back(without.seconds());
    peaks.push_back(plan.sizes.bfloat16 ? bfloat16_peak() : fma_peak<float>());
  }
  std::vector<Row> rows;
  if (peer) {
    const Summary mine = summary(on), other = summary(theirs), ratio = summary(ratios_of(on, theirs));
    Row row = row_named(name);
    row.ours = seconds_text(mine);
    row.peer = seconds_text(other);
    row.ratio = fmt::format("{:.2f}× ({})", ratio.median, spread_text(ratio));
    row.target = fmt::format("≥ {:g}×", plan.times);
    row.verdict = verdict(ratio.median >= plan.times);
    row.note = fmt::format("[batch, heads, N, D] = [{}]{}{}{}; PyTorch {}", plan.sizes.text(),
                           plan.sizes.causal ? ", causal" : "", plan.sizes.bfloat16 ? ", bfloat16" : "",
                           plan.backward ? ", forward and backward" : "", peer->torch());
    row.numbers = {{"ours_seconds", to_json(mine)}, {"peer_seconds", to_json(other)}, {"ratio", to_json(ratio)}};
    rows.push_back(std::move(row));
  } else {
    rows.push_back(skipped_row(name, newest_python() + " is absent: ./dev bench attention makes it"));
  }
  if (plan.sizes.width >= 64) rows.push_back(of_peak(plan, settings.threads, on, peaks));
  if (!plan.backward) rows.push_back(priced(plan, on, off));
  return rows;
}

}  // namespace

std::vector<Row> run_sdpa(const Settings& settings) {
  std::vector<Row> rows;
  for (const Plan& plan : kPlans) {
    for (Row& row : run_plan(plan, settings)) rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace polariscope::bench
