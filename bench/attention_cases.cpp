#include "bench/attention_cases.h"

#include "bench/allocations.h"
#include "bench/attention_run.h"
#include "bench/decode_cases.h"
#include "bench/fma_peak.h"
#include "bench/linear_cases.h"
#include "bench/measure.h"
#include "bench/scaling_cases.h"
#include "bench/sdpa_cases.h"
#include "polariscope/base/parallel.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <optional>

namespace polariscope::bench {
namespace {

constexpr double kMiB = 1 << 20;

// Targets of 0 are none.
struct Plan {
  const char* name;
  Sizes sizes;
  bool backward;
  double fraction, typical, tuned;
};

constexpr Plan kLong{"long", {1, 8, 4096, 64}, false, 0.80, 8.0, 3.2};
constexpr Plan kMedium{"medium", {1, 8, 1024, 64}, false, 0.78, 8.0, 3.2};
constexpr Plan kBatch{"batch", {8, 8, 256, 64}, false, 0.70, 7.5, 3.2};
constexpr Plan kRegression{"regression", {4000, 1, 20, 3}, false, 0.0, 90.0, 40.0};
constexpr Plan kInduction{"induction", {256, 4, 12, 32}, false, 0.0, 24.0, 12.0};
constexpr Plan kTraining{"training", {1, 8, 1024, 64}, true, 0.65, 2.6, 2.0};

struct Measured {
  std::vector<double> on, off, peak, typical, tuned;
};

std::string memory_text(double bytes) { return fmt::format("{:.4g} MiB", bytes / kMiB); }

Row peer_row(const Plan& plan, const std::string& version, double target, const Measured& all,
             const std::vector<double>& peer) {
  const Summary ours = summary(all.on), theirs = summary(peer), ratio = summary(ratios_of(all.on, peer));
  Row row = row_named(fmt::format("{}/{}", plan.name, version));
  row.ours = seconds_text(ours);
  row.peer = seconds_text(theirs);
  row.ratio = fmt::format("{:.1f}× ({})", ratio.median, spread_text(ratio));
  row.target = fmt::format("≥ {:g}×", target);
  row.verdict = verdict(ratio.median >= target);
  row.numbers = {{"ours_seconds", to_json(ours)}, {"peer_seconds", to_json(theirs)}, {"ratio", to_json(ratio)}};
  return row;
}

Row peak_row(const Plan& plan, int threads, const Measured& all) {
  std::vector<double> fractions;
  for (std::size_t i = 0; i < all.on.size(); ++i) {
    fractions.push_back(plan.sizes.operations(plan.backward) / all.on[i] / (threads * all.peak[i]));
  }
  const Summary fraction = summary(fractions), peak = summary(all.peak);
  Row row = row_named(fmt::format("{}/FMA peak", plan.name));
  row.ours = fmt::format("{:.1f} % ({})", 100.0 * fraction.median, spread_text(fraction));
  row.peer = fmt::format("{:.0f} Gflop/s{}", 1e-9 * peak.median, threads > 1 ? " a thread" : "");
  if (plan.fraction > 0.0) {
    row.target = fmt::format("≥ {:.0f} %", 100.0 * plan.fraction);
    row.verdict = verdict(fraction.median >= plan.fraction);
  }
  row.numbers = {{"fraction_of_peak", to_json(fraction)},
                 {"fma_peak_flops", to_json(peak)},
                 {"ours_seconds", to_json(summary(all.on))}};
  return row;
}

Row overhead_row(const Plan& plan, const Measured& all) {
  constexpr double kTarget = 1.08;
  const Summary off = summary(all.off), ratio = summary(ratios_of(all.off, all.on));
  Row row = row_named(fmt::format("{}/statistics", plan.name));
  row.ours = fmt::format("{:+.1f} % ({})", 100.0 * (ratio.median - 1.0), spread_text(ratio));
  row.peer = seconds_text(off) + " without";
  if (plan.sizes.width == 64 && !plan.backward) {
    row.target = fmt::format("≤ {:.0f} %", 100.0 * (kTarget - 1.0));
    row.verdict = verdict(ratio.median <= kTarget);
  }
  row.numbers = {{"without_seconds", to_json(off)}, {"on_over_off", to_json(ratio)}};
  return row;
}

Row memory_row(const Plan& plan, AttentionRun& ours, int threads, bool has_peer) {
  constexpr double kTarget = 0.2 * kMiB;
  const auto extra = static_cast<double>(peak_bytes_of([&] { ours.run(true, threads); }));
  const double whole = extra + static_cast<double>(ours.output_bytes());
  Row row = row_named(fmt::format("{}/memory", plan.name));
  row.ours =
      fmt::format("{} and {} of results", memory_text(extra), memory_text(static_cast<double>(ours.output_bytes())));
  row.numbers = {{"ours_extra_bytes", extra}, {"ours_result_bytes", ours.output_bytes()}};
  if (!plan.backward && plan.sizes.queries == 4096) {
    row.target = "≤ 0.2 MiB a thread";
    row.verdict = verdict(extra <= kTarget * threads);
  }
  if (!has_peer) return row;
  const double typical = AttentionPeer::peak_bytes("typical", ours, threads);
  const double tuned = AttentionPeer::peak_bytes("tuned", ours, threads);
  row.peer = fmt::format("{}, {} tuned", memory_text(typical), memory_text(tuned));
  row.ratio = fmt::format("{:.0f}×, {:.0f}×", typical / whole, tuned / whole);
  row.numbers["typical_bytes"] = typical;
  row.numbers["tuned_bytes"] = tuned;
  return row;
}

std::vector<Row> run_plan(const Plan& plan, const Settings& settings) {
  AttentionRun ours(plan.sizes, plan.backward);
  ours.run(true, settings.threads);
  std::optional<AttentionPeer> typical, tuned;
  if (settings.obstacle.empty()) {
    typical.emplace("typical", ours, settings.threads);
    tuned.emplace("tuned", ours, settings.threads);
  }
  const TimedRun on(ours, true, settings.threads), off(ours, false, settings.threads);
  Measured all;
  for (int i = 0; i < settings.repeats; ++i) {
    all.on.push_back(on.seconds());
    all.peak.push_back(fma_peak<float>());
    all.off.push_back(off.seconds());
    if (typical) all.typical.push_back(typical->seconds());
    if (tuned) all.tuned.push_back(tuned->seconds());
  }

  std::vector<Row> rows;
  if (typical && tuned) {
    rows.push_back(peer_row(plan, "typical", plan.typical, all, all.typical));
    rows.push_back(peer_row(plan, "tuned", plan.tuned, all, all.tuned));
    rows.back().note = fmt::format("[batch, heads, N, D] = [{}]{}; PyTorch {}; output and {} agree", plan.sizes.text(),
                                   plan.backward ? ", forward and backward" : "", typical->torch(),
                                   plan.backward ? "gradients" : "entropy");
  } else {
    for (const char* version : {"typical", "tuned"}) {
      rows.push_back(skipped_row(fmt::format("{}/{}", plan.name, version), settings.obstacle));
      rows.back().ours = seconds_text(summary(all.on));
      rows.back().numbers = {{"ours_seconds", to_json(summary(all.on))}};
    }
  }
  rows.push_back(peak_row(plan, settings.threads, all));
  rows.push_back(overhead_row(plan, all));
  const bool has_peer = typical.has_value();
  typical.reset();
  tuned.reset();
  rows.push_back(memory_row(plan, ours, settings.threads, has_peer));
  return rows;
}

Row threads_row(const Plan& plan, const std::string& name, int repeats) {
  constexpr double kTarget = 1.85;
  AttentionRun ours(plan.sizes, plan.backward);
  const auto seconds = [&](int threads) { return seconds_of([&] { ours.run(true, threads); }); };
  const Pairs pairs = interleave(
      repeats, [&] { return seconds(2); }, [&] { return seconds(1); });
  const Summary two = summary(pairs.ours), one = summary(pairs.peer), ratio = summary(pairs.ratios());
  Row row = row_named(name);
  row.ours = seconds_text(two);
  row.peer = seconds_text(one) + ", one thread";
  row.ratio = fmt::format("{:.2f}× ({})", ratio.median, spread_text(ratio));
  row.target = fmt::format("≥ {:g}×", kTarget);
  row.verdict = verdict(ratio.median >= kTarget);
  row.numbers = {
      {"two_threads_seconds", to_json(two)}, {"one_thread_seconds", to_json(one)}, {"ratio", to_json(ratio)}};
  return row;
}

std::vector<Row> run_threads(const Settings& settings) {
  if (processor_count() < 2) return {skipped_row("threads", "this process may use one processor only")};
  std::vector<Row> rows{threads_row(kLong, "threads/forward", settings.repeats),
                        threads_row(kTraining, "threads/training", settings.repeats)};
  double load[1] = {0.0};
  if (getloadavg(load, 1) == 1) {
    rows.back().note = fmt::format("wall time, which needs a machine without other work: its load is {:.1f}", load[0]);
    rows.back().numbers["load"] = load[0];
  }
  return rows;
}

template <const Plan& plan>
std::vector<Row> run_one(const Settings& settings) {
  return run_plan(plan, settings);
}

}  // namespace

const std::vector<Case>& attention_cases() {
  static const std::vector<Case> kCases{
      {"long", "forward, 8 heads, N = 4096, D = 64", false, run_one<kLong>},
      {"medium", "forward, 8 heads, N = 1024, D = 64", false, run_one<kMedium>},
      {"batch", "forward, batch 8, 8 heads, N = 256, D = 64", false, run_one<kBatch>},
      {"regression", "forward, batch 4000, one head, N = 20, D = 3", false, run_one<kRegression>},
      {"induction", "forward, batch 256, 4 heads, N = 12, D = 32", false, run_one<kInduction>},
      {"training", "forward and backward, 8 heads, N = 1024, D = 64", false, run_one<kTraining>},
      {"threads", "two threads against one, long and training", false, run_threads},
      {"sdpa", "all of these and more beside today's scaled_dot_product_attention, which gives no statistics", false,
       run_sdpa},
      {"scaling", "forward, one head, N from 256 to 131072, D = 64: time a score and memory", false, run_scaling},
      {"window", "the same, causal, a window of 1024 keys: time a token", false, run_window},
      {"linear", "kernels in linear time, one head, D = 64, N to 262144; where that begins to be faster", false,
       run_linear},
      {"decode", "one query against a cache of 32768 keys, 32 heads on 8, D = 128: share of memory's bandwidth", false,
       run_decode},
      {"decode_bfloat16", "the same, keys and values of bfloat16", false, run_decode_bfloat16},
      {"decode_chunk", "the same, 16 queries", false, run_decode_chunk},
  };
  return kCases;
}

std::string attention_obstacle() {
  const std::string torch = peer_obstacle("torch");
  return torch.empty() ? peer_obstacle("numpy") : torch;
}

}  // namespace polariscope::bench
