#include "bench/decode_cases.h"

#include "bench/child.h"
#include "bench/measure.h"
#include "bench/python.h"
#include "polariscope/attention/attend.h"
#include "polariscope/base/error.h"
#include "polariscope/base/files.h"
#include "polariscope/base/parallel.h"
#include "polariscope/base/random.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <optional>
#include <string>

namespace polariscope::bench {
namespace {

using attention::Bfloat16;
using attention::HeadsView;

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

// Numbers of bfloat16 in both precisions, so that the peer's are the same.
float rounded(double x) {
  return std::bit_cast<float>(std::bit_cast<std::uint32_t>(static_cast<float>(x)) & 0xffff0000U);
}
Bfloat16 low(float x) { return static_cast<Bfloat16>(std::bit_cast<std::uint32_t>(x) >> 16); }

class DecodeRun {
 public:
  explicit DecodeRun(const Plan& plan)
      : plan_(plan), query_(kHeads * plan.queries * kWidth), output_(query_.size()), statistics_(11 * rows()) {
    RandomStream random(3209, 0);
    for (float& x : query_) x = rounded(random.normal());
    for (std::vector<float>* array : {&key_, &value_}) {
      array->resize(kKeyHeads * kKeys * kWidth);
      for (float& x : *array) x = rounded(random.normal());
    }
    for (auto* array : {&argmax_, &visible_}) array->resize(rows());
    non_finite_.resize(rows());
    if (!plan.bfloat16) return;
    std::transform(key_.begin(), key_.end(), std::back_inserter(low_key_), low);
    std::transform(value_.begin(), value_.end(), std::back_inserter(low_value_), low);
  }

  void run(int threads) {
    attention::AttentionInput<float> input{.form = reweighting::find_attention_form("softmax"),
                                           .shape = {.batch = 1,
                                                     .heads = kHeads,
                                                     .key_heads = kKeyHeads,
                                                     .queries = plan_.queries,
                                                     .keys = kKeys,
                                                     .width = kWidth,
                                                     .value_width = kWidth},
                                           .query = view<const float>(query_.data(), kHeads, plan_.queries),
                                           .key = {},
                                           .value = {},
                                           .scale = 1.0 / std::sqrt(static_cast<double>(kWidth)),
                                           .causal = true,
                                           .bias = {},
                                           .bfloat16 = plan_.bfloat16};
    if (plan_.bfloat16) {
      input.bfloat16_key = view<const Bfloat16>(low_key_.data(), kKeyHeads, kKeys);
      input.bfloat16_value = view<const Bfloat16>(low_value_.data(), kKeyHeads, kKeys);
    } else {
      input.key = view<const float>(key_.data(), kKeyHeads, kKeys);
      input.value = view<const float>(value_.data(), kKeyHeads, kKeys);
    }
    attention::AttentionOutput<float> to{.output = view(output_.data(), kHeads, plan_.queries), .statistics = {}};
    float* next = statistics_.data();
    auto& of = to.statistics;
    for (float** array : {&of.entropy, &of.sum_of_squares, &of.maximum, &of.first_key, &of.row_sum, &of.log_sum_exp,
                          &of.logit_mean, &of.logit_variance, &of.logit_maximum, &of.skewness, &of.first_visible_key}) {
      *array = next;
      next += rows();
    }
    of.argmax = argmax_.data();
    of.visible = visible_.data();
    of.non_finite = non_finite_.data();
    attention::attend(input, to, threads);
  }

  // Reads keys and values once; the best that a loop can do.
  void read(int threads) const {
    constexpr std::int64_t kPiece = 1 << 20;
    const auto [key, value] = plan_.bfloat16 ? std::pair<const void*, const void*>{low_key_.data(), low_value_.data()}
                                             : std::pair<const void*, const void*>{key_.data(), value_.data()};
    const std::int64_t pieces = bytes() / 2 / kPiece;
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
  std::int64_t bytes() const { return 2 * kKeyHeads * kKeys * kWidth * (plan_.bfloat16 ? 2 : 4); }

  void write_inputs(const std::filesystem::path& file) const {
    std::string all;
    for (const auto* array : {&query_, &key_, &value_}) {
      all.append(reinterpret_cast<const char*>(array->data()), sizeof(float) * array->size());
    }
    write_file(file, all);
  }
  void require_agreement(const std::filesystem::path& file) const {
    const std::string all = read_file(file);
    if (all.size() != sizeof(float) * output_.size()) throw Error("{}: the peer's output has another size", plan_.name);
    const double allowed = plan_.bfloat16 ? 0.02 : 2e-5;
    double apart = 0.0, largest = 0.0;
    for (std::size_t i = 0; i < output_.size(); ++i) {
      float theirs = 0.0F;
      std::memcpy(&theirs, all.data() + sizeof(float) * i, sizeof(float));
      const double off = std::abs(static_cast<double>(output_[i]) - theirs);
      apart = off <= apart ? apart : off;  // NaN is never within reach
      largest = std::max(largest, std::abs(static_cast<double>(theirs)));
    }
    if (!(apart <= allowed * largest)) {
      throw Error("{}: we and PyTorch are apart by {:.2g}, of at most {:.2g}", plan_.name, apart, largest);
    }
  }
  const Plan& plan() const { return plan_; }

 private:
  std::int64_t rows() const { return kHeads * plan_.queries; }
  template <class T>
  static HeadsView<T> view(T* data, std::int64_t heads, std::int64_t count) {
    return {data, heads * count * kWidth, count * kWidth, kWidth};
  }

  Plan plan_;
  std::vector<float> query_, key_, value_, output_, statistics_;
  std::vector<Bfloat16> low_key_, low_value_;
  std::vector<std::int32_t> argmax_, visible_;
  std::vector<std::uint8_t> non_finite_;
};

// bench/peers/decode.py.
class DecodePeer {
 public:
  DecodePeer(const DecodeRun& ours, int threads)
      : process_("decode", words(ours, threads), threads, true, newest_python()) {
    torch_ = process_.hear().at("torch").get<std::string>();
    ours.require_agreement(folder_.path() / "results");
  }
  double seconds() { return process_.ask("1").at("seconds").get<double>(); }
  const std::string& torch() const { return torch_; }

 private:
  std::vector<std::string> words(const DecodeRun& ours, int threads) const {
    ours.write_inputs(folder_.path() / "inputs");
    std::vector<std::string> all{fmt::format("{},{},{},{},{}", kHeads, kKeyHeads, ours.plan().queries, kKeys, kWidth),
                                 (folder_.path() / "inputs").string(), (folder_.path() / "results").string(),
                                 "--threads", fmt::format("{}", threads)};
    if (ours.plan().bfloat16) all.emplace_back("--bfloat16");
    return all;
  }
  TemporaryFolder folder_;
  LivingPeer process_;
  std::string torch_;
};

std::vector<Row> run_plan(const Plan& plan, const Settings& settings) {
  DecodeRun ours(plan);
  ours.run(settings.threads);
  ours.read(settings.threads);
  const bool has_peer = std::filesystem::exists(newest_python());
  std::optional<DecodePeer> peer;
  if (has_peer) peer.emplace(ours, settings.threads);
  std::vector<double> time, memory, theirs;
  for (int i = 0; i < settings.repeats; ++i) {
    memory.push_back(time_of(settings.threads, [&] { ours.read(settings.threads); }));
    time.push_back(time_of(settings.threads, [&] { ours.run(settings.threads); }));
    if (peer) theirs.push_back(peer->seconds());
  }
  const Summary mine = summary(time), read = summary(memory), share = summary(ratios_of(time, memory));
  const double gigabytes = 1e-9 * static_cast<double>(ours.bytes());
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
