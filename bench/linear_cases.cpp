#include "bench/linear_cases.h"

#include "bench/allocations.h"
#include "bench/attention_run.h"
#include "bench/child.h"
#include "bench/measure.h"
#include "polariscope/attention/internal/linear.h"
#include "polariscope/base/error.h"
#include "polariscope/base/files.h"
#include "polariscope/base/random.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <optional>

namespace polariscope::bench {
namespace {

constexpr std::int64_t kTokens = 65536, kWidth = 64;
constexpr double kTarget = 40.0;

// elu + 1 over Σ in single precision, one head of standard normal queries, keys, values and gradients.
class KernelRun {
 public:
  KernelRun(std::int64_t tokens, std::int64_t width, bool causal) : tokens_(tokens), width_(width), rows_(tokens) {
    RandomStream random(37, 0);
    for (std::vector<float>* array : {&query_, &key_, &value_, &d_output_}) {
      array->resize(tokens * width);
      for (float& x : *array) x = static_cast<float>(random.normal());
    }
    for (std::vector<float>* array : {&output_, &d_query_, &d_key_, &d_value_}) array->resize(tokens * width);
    input_ = {.form = reweighting::find_attention_form("elu1_kernel/sum"),
              .shape = {.queries = tokens, .keys = tokens, .width = width, .value_width = width},
              .query = view<const float>(query_.data()),
              .key = view<const float>(key_.data()),
              .value = view<const float>(value_.data()),
              .causal = causal,
              .bias = {}};
    forward_.output = view(output_.data());
    forward_.shift = rows_.shift.data();
    forward_.inverse = rows_.inverse.data();
  }

  void linear(int threads) { attention::attend_linear(input_, forward_, threads); }
  // The largest logit, which is had beside, keeps attend() from linear time.
  void pairs(int threads) {
    attention::AttentionOutput<float> all = forward_;
    all.statistics.logit_maximum = rows_.logit_maximum.data();
    attention::attend(input_, all, threads);
  }
  void linear_backward(int threads) {
    attention::attend_linear_backward<float>(input_, forward_, view<const float>(d_output_.data()), {}, gradient(),
                                             threads);
  }
  // A gradient of log_sum_exp, which a kernel has not, does the same.
  void pairs_backward(int threads) {
    attention::attend_backward<float>(input_, forward_, view<const float>(d_output_.data()),
                                      {.log_sum_exp = rows_.zeros.data()}, gradient(), threads);
  }

  std::string inputs() const {
    std::string bytes;
    for (const std::vector<float>* array : {&query_, &key_, &value_}) {
      bytes.append(reinterpret_cast<const char*>(array->data()), sizeof(float) * array->size());
    }
    return bytes;
  }
  const std::vector<float>& output() const { return output_; }
  std::string shape() const { return fmt::format("{},{}", tokens_, width_); }

 private:
  template <class T>
  attention::HeadsView<T> view(T* data) const {
    return {data, tokens_ * width_, tokens_ * width_, width_};
  }
  attention::AttentionGradient<float> gradient() {
    return {.query = view(d_query_.data()), .key = view(d_key_.data()), .value = view(d_value_.data()), .bias = {}};
  }

  struct Rows {
    explicit Rows(std::int64_t tokens) : shift(tokens), inverse(tokens), logit_maximum(tokens), zeros(tokens) {}
    std::vector<float> shift, inverse, logit_maximum, zeros;
  };

  std::int64_t tokens_, width_;
  std::vector<float> query_, key_, value_, d_output_, output_, d_query_, d_key_, d_value_;
  Rows rows_;
  attention::AttentionInput<float> input_;
  attention::AttentionOutput<float> forward_;
};

// Seconds of one call, by as many as make a measurement long enough.
double seconds_of_one(int threads, const std::function<void()>& work) {
  const double first = time_of(threads, work);
  const int calls = first < 1.0 ? calls_for(first) : 1;
  return time_of(threads,
                 [&] {
                   for (int i = 0; i < calls; ++i) work();
                 }) /
         calls;
}

// bench/peers/linear.py; throws Error unless its kernel gives the output that ours did.
class KernelPeer {
 public:
  KernelPeer(const KernelRun& ours, int threads) : process_("linear", arguments(ours, threads), threads, true) {
    torch_ = process_.hear().at("torch").get<std::string>();
    const std::string bytes = read_file(folder_.path() / "results");
    std::vector<float> theirs(ours.output().size());
    if (bytes.size() != sizeof(float) * theirs.size()) throw Error("linear: the peer wrote {} bytes", bytes.size());
    std::memcpy(theirs.data(), bytes.data(), bytes.size());
    double apart = 0.0, largest = 0.0;
    for (std::size_t i = 0; i < theirs.size(); ++i) {
      // Written so that NaN is never within reach.
      const double off = std::abs(static_cast<double>(ours.output()[i]) - theirs[i]);
      apart = off <= apart ? apart : off;
      largest = std::max(largest, std::abs(static_cast<double>(theirs[i])));
    }
    if (!(apart <= 2e-4 * largest)) {
      throw Error("linear: we and PyTorch are apart by {:.2g} in the output, of at most {:.2g}", apart, largest);
    }
  }
  double seconds(const char* name, int calls) {
    return process_.ask(fmt::format("{} {}", name, calls)).at("seconds").get<double>();
  }
  const std::string& torch() const { return torch_; }

 private:
  std::vector<std::string> arguments(const KernelRun& ours, int threads) {
    write_file(folder_.path() / "inputs", ours.inputs());
    return {ours.shape(), (folder_.path() / "inputs").string(), (folder_.path() / "results").string(), "--threads",
            fmt::format("{}", threads)};
  }

  TemporaryFolder folder_;
  LivingPeer process_;
  std::string torch_;
};

Row compared(const char* name, const std::vector<double>& ours, const std::vector<double>& peer, double target) {
  const Summary us = summary(ours), them = summary(peer), ratio = summary(ratios_of(ours, peer));
  Row row = row_named(fmt::format("linear/{}", name));
  row.ours = seconds_text(us);
  row.peer = seconds_text(them);
  row.ratio = fmt::format("{:.1f}× ({})", ratio.median, spread_text(ratio));
  row.numbers = {{"ours_seconds", to_json(us)}, {"peer_seconds", to_json(them)}, {"ratio", to_json(ratio)}};
  if (target > 0.0) {
    row.target = fmt::format("≥ {:g}×", target);
    row.verdict = verdict(ratio.median >= target);
  }
  return row;
}

// The pairs of 65,536 tokens take most of a minute: two runs will do.
std::vector<Row> beside_others(const Settings& settings) {
  const int repeats = std::min(settings.repeats, 2), threads = settings.threads;
  KernelRun run(kTokens, kWidth, false);
  run.linear(threads);
  std::optional<KernelPeer> peer;
  if (settings.obstacle.empty()) peer.emplace(run, threads);
  std::vector<double> linear, pairs, sdpa, kernel;
  for (int i = 0; i < repeats; ++i) {
    linear.push_back(seconds_of_one(threads, [&] { run.linear(threads); }));
    pairs.push_back(time_of(threads, [&] { run.pairs(threads); }));
    if (!peer) continue;
    sdpa.push_back(peer->seconds("sdpa", 1));
    kernel.push_back(peer->seconds("kernel", 3));
  }
  std::vector<Row> rows{compared("all pairs", linear, pairs, kTarget)};
  if (peer) {
    rows.push_back(compared("SDPA", linear, sdpa, kTarget));
    rows.push_back(compared("in PyTorch", linear, kernel, 0.0));
    rows.back().note = fmt::format(
        "N = {}, D = {}, one head, forward; PyTorch {}, whose SDPA takes softmax 1,024 queries at a time; its "
        "kernel's output agrees",
        kTokens, kWidth, peer->torch());
  } else {
    rows.push_back(skipped_row("linear/SDPA", settings.obstacle));
  }
  return rows;
}

Row backward_row(const Settings& settings) {
  constexpr std::int64_t kFewer = 8192;
  KernelRun run(kFewer, kWidth, true);
  run.linear(settings.threads);
  const Pairs both = interleave(
      std::min(settings.repeats, 3),
      [&] { return seconds_of_one(settings.threads, [&] { run.linear_backward(settings.threads); }); },
      [&] { return time_of(settings.threads, [&] { run.pairs_backward(settings.threads); }); });
  Row row = compared("backward", both.ours, both.peer, 0.0);
  row.note = fmt::format("N = {}, causal, beside all pairs", kFewer);
  return row;
}

std::vector<Row> scaling_rows(const Settings& settings) {
  constexpr double kFlat = 1.25;  // the shortest stays in the caches
  std::vector<Row> rows;
  double least = 0.0, most = 0.0;
  for (std::int64_t tokens = 4096; tokens <= 262144; tokens *= 4) {
    KernelRun run(tokens, kWidth, false);
    const auto work = [&] { run.linear(settings.threads); };
    const auto extra = static_cast<double>(peak_bytes_of(work));
    std::vector<double> seconds;
    for (int i = 0; i < settings.repeats; ++i) seconds.push_back(seconds_of_one(settings.threads, work));
    const Summary time = summary(seconds);
    const double each = time.median / static_cast<double>(tokens);
    Row row = row_named(fmt::format("linear/{}", tokens));
    row.ours = fmt::format("{}, {:.3g} ns a token, {:.4g} MiB", seconds_text(time), 1e9 * each, extra / (1 << 20));
    row.numbers = {{"ours_seconds", to_json(time)}, {"seconds_a_token", each}, {"ours_extra_bytes", extra}};
    rows.push_back(row);
    least = rows.size() == 1 ? each : std::min(least, each);
    most = std::max(most, each);
  }
  Row& last = rows.back();
  last.ratio = fmt::format("{:.2f}× the cheapest", most / least);
  last.target = fmt::format("≤ {:g}×", kFlat);
  last.verdict = verdict(most <= kFlat * least);
  last.numbers["most_over_least"] = most / least;
  return rows;
}

// Where linear time begins to be faster forward: between the last length where it is not and the next.
Row break_even_row(std::int64_t width, const Settings& settings) {
  const auto found = [&](bool causal) {
    double before = 0.0, gain_before = 0.0;
    for (std::int64_t tokens = 16; tokens <= 1024; tokens += tokens / 4) {
      KernelRun run(tokens, width, causal);
      const Pairs both = interleave(
          std::min(settings.repeats, 5),
          [&] { return seconds_of_one(settings.threads, [&] { run.linear(settings.threads); }); },
          [&] { return seconds_of_one(settings.threads, [&] { run.pairs(settings.threads); }); });
      const double gain = summary(both.ratios()).median, at = static_cast<double>(tokens);
      if (gain >= 1.0) return before == 0.0 ? at : before + (at - before) * (1.0 - gain_before) / (gain - gain_before);
      before = at, gain_before = gain;
    }
    return before;
  };
  const auto chosen = [&](bool causal) {
    std::int64_t tokens = 1;
    while (
        !attention::linear_is_faster({.queries = tokens, .keys = tokens, .width = width, .value_width = width}, causal))
      ++tokens;
    return tokens;
  };
  const double all = found(false), causal = found(true);
  Row row = row_named(fmt::format("linear/from, D = {}", width));
  row.ours = fmt::format("N = {:.0f}, causal {:.0f}; chosen from {} and {}", all, causal, chosen(false), chosen(true));
  row.numbers = {{"break_even_tokens", all}, {"break_even_causal_tokens", causal}};
  return row;
}

}  // namespace

std::vector<Row> run_linear(const Settings& settings) {
  std::vector<Row> rows = beside_others(settings);
  rows.push_back(backward_row(settings));
  for (Row& row : scaling_rows(settings)) rows.push_back(std::move(row));
  for (const std::int64_t width : {16, 32, 64, 128}) rows.push_back(break_even_row(width, settings));
  return rows;
}

}  // namespace polariscope::bench
