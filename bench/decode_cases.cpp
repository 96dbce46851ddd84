#include "bench/decode_cases.h"

#include "bench/attention_run.h"
#include "bench/measure.h"
#include "bench/python.h"
#include "polariscope/base/error.h"
#include "polariscope/base/parallel.h"

#include <fmt/format.h>

#include <atomic>
#include <cstring>
#include <filesystem>
#include <optional>
#include <string>

namespace polariscope::bench {
namespace {

constexpr std::int64_t kHeads = 32, kKeyHeads = 8, kKeys = 32768, kWidth = 128;

// share: of the bandwidth of memory. Targets of 0 are none.
struct Plan {
  const char* name;
  std::int64_t queries;
  bool bfloat16;
  double share, peer;
};
constexpr Plan kOne{"decode", 1, false, 0.80, 9.0};
constexpr Plan kLow{"decode_bfloat16", 1, true, 0.70, 30.0};
constexpr Plan kChunk{"decode_chunk", 16, false, 0.0, 0.0};

// Reads what the run's keys and values are stored as, once; the best that a loop can do.
void read_cache(const AttentionRun& run, int threads) {
  constexpr std::int64_t kPiece = 1 << 20;
  const auto [key, value] = run.cache();
  const std::int64_t pieces = run.cache_bytes() / kPiece;
  std::atomic<std::uint64_t> sum = 0;
  parallel_for(2 * pieces, threads, [&, key = key, value = value](std::int64_t i) {
    const auto* at = static_cast<const char*>(i < pieces ? key : value) + i % pieces * kPiece;
    std::uint64_t part[8] = {};
    for (const char* line = at; line < at + kPiece; line += sizeof(part)) {
      constexpr int kAhead = 4096;
      __builtin_prefetch(line + kAhead, 0, 2);
      std::uint64_t words[8];
      std::memcpy(words, line, sizeof(words));
      for (int w = 0; w < 8; ++w) part[w] += words[w];
    }
    for (const std::uint64_t x : part) sum += x;
  });
  if (sum == 1) throw Error("never so: the compiler does not know");
}

std::vector<Row> run_plan(const Plan& plan, const Settings& settings) {
  AttentionRun ours({.batch = 1,
                     .heads = kHeads,
                     .queries = plan.queries,
                     .width = kWidth,
                     .key_heads = kKeyHeads,
                     .keys = kKeys,
                     .causal = true,
                     .bfloat16 = plan.bfloat16},
                    false);
  const auto attend = [&] { ours.run(true, settings.threads); };
  const auto read_all = [&] { read_cache(ours, settings.threads); };
  attend();
  read_all();
  const bool has_peer = std::filesystem::exists(newest_python());
  std::optional<SdpaPeer> peer;
  if (has_peer) peer.emplace(ours, settings.threads);
  std::vector<double> time, memory, theirs;
  for (int i = 0; i < settings.repeats; ++i) {
    memory.push_back(time_of(settings.threads, read_all));
    time.push_back(time_of(settings.threads, attend));
    if (peer) theirs.push_back(peer->seconds());
  }
  const Summary mine = summary(time), read = summary(memory), share = summary(ratios_of(time, memory));
  const double gigabytes = 1e-9 * 2.0 * static_cast<double>(ours.cache_bytes());
  Row bandwidth = row_named(fmt::format("{}/bandwidth", plan.name));
  bandwidth.ours = fmt::format("{}, {:.1f} GB/s", seconds_text(mine), gigabytes / mine.median);
  bandwidth.peer = fmt::format("{} to read, {:.1f} GB/s", seconds_text(read), gigabytes / read.median);
  bandwidth.ratio = fmt::format("{:.0f} % ({})", 100.0 * share.median, spread_text(share));
  if (plan.share > 0.0) {
    bandwidth.target = fmt::format("≥ {:.0f} %", 100.0 * plan.share);
    bandwidth.verdict = verdict(share.median >= plan.share);
  }
  bandwidth.note = fmt::format("{} {}, {} heads over {} heads of {} keys, D = {}, all statistics", plan.queries,
                               plan.queries == 1 ? "query" : "queries", kHeads, kKeyHeads, kKeys, kWidth);
  bandwidth.numbers = {{"ours_seconds", to_json(mine)}, {"read_seconds", to_json(read)}, {"share", to_json(share)}};
  const std::string name = fmt::format("{}/sdpa", plan.name);
  if (!peer) return {bandwidth, skipped_row(name, newest_python() + " is absent: ./dev bench attention makes it")};

  const Summary other = summary(theirs), ratio = summary(ratios_of(time, theirs));
  Row row = row_named(name);
  row.ours = seconds_text(mine);
  row.peer = seconds_text(other);
  row.ratio = fmt::format("{:.1f}× ({})", ratio.median, spread_text(ratio));
  if (plan.peer > 0.0) {
    row.target = fmt::format("≥ {:g}×", plan.peer);
    row.verdict = verdict(ratio.median >= plan.peer);
  }
  row.note = fmt::format("scaled_dot_product_attention of PyTorch {}, without statistics", peer->torch());
  row.numbers = {{"peer_seconds", to_json(other)}, {"ratio", to_json(ratio)}};
  return {bandwidth, row};
}

}  // namespace

std::vector<Row> run_decode(const Settings& settings) { return run_plan(kOne, settings); }
std::vector<Row> run_decode_bfloat16(const Settings& settings) { return run_plan(kLow, settings); }
std::vector<Row> run_decode_chunk(const Settings& settings) { return run_plan(kChunk, settings); }

}  // namespace polariscope::bench
