#include "bench/scaling_cases.h"

#include "bench/allocations.h"
#include "bench/attention_run.h"
#include "bench/measure.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>

namespace polariscope::bench {
namespace {

constexpr std::int64_t kShortest = 256, kSettled = 4096, kLongest = 131072, kWindow = 1024;

// Whether PyTorch's few matrices fit: one below 4 GB, and five of them in what is free.
std::string obstacle_of(const Sizes& sizes) {
  constexpr double kMost = 4e9;
  const double free_bytes = static_cast<double>(sysconf(_SC_AVPHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGESIZE));
  if (sizes.matrix_bytes() >= kMost) return fmt::format("one N×N matrix takes {:.2g} GB", 1e-9 * sizes.matrix_bytes());
  if (5.0 * sizes.matrix_bytes() > free_bytes) return "not enough memory is free";
  return "";
}

std::string memory_text(double bytes) { return fmt::format("{:.4g} MiB", bytes / (1 << 20)); }

int repeats_of(const Sizes& sizes, const Settings& settings) {
  return sizes.operations(false) > 1e11 ? std::min(settings.repeats, 2) : settings.repeats;
}

// A length, its time, and that of one of its scores over one of the settled length, which runs in turn with it.
struct Grown {
  std::int64_t tokens;
  double seconds, relative;
};

Row row_of(const char* kind, const Sizes& sizes, const Settings& settings, TimedRun& settled, Grown& grown) {
  Row row = row_named(fmt::format("{}/{}", kind, sizes.queries));
  AttentionRun ours(sizes, false);
  const auto extra = static_cast<double>(peak_bytes_of([&] { ours.run(true, settings.threads); }));
  const TimedRun on(ours, true, settings.threads);
  const std::string obstacle = settings.obstacle.empty() ? obstacle_of(sizes) : settings.obstacle;
  std::optional<AttentionPeer> typical;
  if (obstacle.empty() && sizes.window == 0) typical.emplace("typical", ours, settings.threads);
  Sizes shorter = sizes;
  shorter.queries = shorter.keys = kSettled;
  const double share = sizes.operations(false) / shorter.operations(false);
  std::vector<double> seconds, relative, peer;
  for (int i = 0; i < repeats_of(sizes, settings); ++i) {
    seconds.push_back(on.seconds());
    relative.push_back(seconds.back() / share / settled.seconds());
    if (typical) peer.push_back(typical->seconds());
  }
  const Summary time = summary(seconds);
  grown = {sizes.queries, time.median, summary(relative).median};
  row.ours = fmt::format("{}, {:.2f}× a score of {}; {} and {} of results", seconds_text(time), grown.relative,
                         kSettled, memory_text(extra), memory_text(static_cast<double>(ours.output_bytes())));
  row.numbers = {{"tokens", sizes.queries},
                 {"ours_seconds", to_json(time)},
                 {"ours_extra_bytes", extra},
                 {"ours_result_bytes", ours.output_bytes()},
                 {"score_over_settled", grown.relative}};
  if (!typical) {
    row.peer = sizes.window > 0 ? "" : obstacle;
    return row;
  }
  typical.reset();
  const double bytes = AttentionPeer::peak_bytes("typical", ours, settings.threads);
  const Summary theirs = summary(peer), ratio = summary(ratios_of(seconds, peer));
  row.peer = fmt::format("{}, {}", seconds_text(theirs), memory_text(bytes));
  row.ratio = fmt::format("{:.1f}×", ratio.median);
  row.numbers.update({{"peer_seconds", to_json(theirs)}, {"peer_bytes", bytes}, {"ratio", to_json(ratio)}});
  return row;
}

// By which power of N the time grows from the settled length on, and how far a score's time is from the settled
// length's.
Row growth_row(const char* kind, const std::vector<Grown>& all) {
  constexpr double kMost = 1.05;
  const Grown *first = nullptr, *last = nullptr;
  double worst = 0.0;
  for (const Grown& one : all) {
    if (one.tokens < kSettled) continue;
    if (first == nullptr) first = &one;
    last = &one;
    worst = std::max(worst, one.relative);
  }
  const double power = std::log(last->seconds / first->seconds) /
                       std::log(static_cast<double>(last->tokens) / static_cast<double>(first->tokens));
  Row row = row_named(fmt::format("{}/growth", kind));
  row.ours = fmt::format("N^{:.3f}, a score at most {:.2f}× one of {}", power, worst, kSettled);
  row.target = fmt::format("≤ {:g}×", kMost);
  row.verdict = verdict(worst <= kMost);
  row.numbers = {{"power", power}, {"worst_score_over_settled", worst}};
  return row;
}

std::vector<Row> run_lengths(const char* kind, std::int64_t from, bool causal, std::int64_t window,
                             const Settings& settings) {
  const auto sizes = [&](std::int64_t tokens) {
    return Sizes{.batch = 1, .heads = 1, .queries = tokens, .width = 64, .causal = causal, .window = window};
  };
  AttentionRun settled(sizes(kSettled), false);
  TimedRun timed(settled, true, settings.threads);
  std::vector<Row> rows;
  std::vector<Grown> all;
  for (std::int64_t tokens = from; tokens <= kLongest; tokens *= tokens == kLongest / 2 ? 2 : 4) {
    rows.push_back(row_of(kind, sizes(tokens), settings, timed, all.emplace_back()));
  }
  rows.push_back(growth_row(kind, all));
  return rows;
}

}  // namespace

std::vector<Row> run_scaling(const Settings& settings) {
  std::vector<Row> rows = run_lengths("scaling", kShortest, false, 0, settings);
  rows.back().note = "one head, D = 64, all statistics; the peer is the typical one";
  return rows;
}

std::vector<Row> run_window(const Settings& settings) {
  std::vector<Row> rows = run_lengths("window", kSettled, true, kWindow, settings);
  rows.back().note = fmt::format("one head, D = 64, causal, each query sees {} keys, all statistics", kWindow);
  return rows;
}

}  // namespace polariscope::bench
