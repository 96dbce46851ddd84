#include "bench/attention_run.h"

#include "bench/measure.h"
#include "bench/python.h"
#include "polariscope/base/error.h"
#include "polariscope/base/files.h"
#include "polariscope/base/random.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <iterator>

namespace polariscope::bench {
namespace {

constexpr std::uint64_t kSeed = 31;
constexpr double kShortest = 0.03;  // seconds of a measurement

// The floating statistics, in the order of `floating_`.
constexpr std::array kFloating{
    &attention::RowStatistics<float>::entropy,       &attention::RowStatistics<float>::sum_of_squares,
    &attention::RowStatistics<float>::maximum,       &attention::RowStatistics<float>::first_key,
    &attention::RowStatistics<float>::row_sum,       &attention::RowStatistics<float>::log_sum_exp,
    &attention::RowStatistics<float>::logit_mean,    &attention::RowStatistics<float>::logit_variance,
    &attention::RowStatistics<float>::logit_maximum, &attention::RowStatistics<float>::skewness};

struct Compared {
  std::string name;
  const std::vector<float>* ours;
  double allowed;  // of the largest number, or of 1 where all are smaller
};

// Numbers of bfloat16 in single precision, and as they are stored.
float rounded(double x) {
  return std::bit_cast<float>(std::bit_cast<std::uint32_t>(static_cast<float>(x)) & 0xffff0000U);
}
attention::Bfloat16 low(float x) { return static_cast<attention::Bfloat16>(std::bit_cast<std::uint32_t>(x) >> 16); }

// [batch, heads, rows, width] in one piece.
template <class T>
attention::HeadsView<T> view(T* data, std::int64_t heads, std::int64_t rows, std::int64_t width) {
  return {data, heads * rows * width, rows * width, width};
}

std::vector<std::string> peer_arguments(const std::string& version, const AttentionRun& ours,
                                        const TemporaryFolder& folder, int threads) {
  ours.write_inputs(folder.path() / "inputs");
  std::vector<std::string> words{
      version,     ours.sizes().text(),       (folder.path() / "inputs").string(), (folder.path() / "results").string(),
      "--threads", fmt::format("{}", threads)};
  if (ours.backward()) words.emplace_back("--backward");
  return words;
}

std::vector<std::string> sdpa_arguments(const AttentionRun& ours, const TemporaryFolder& folder, int threads) {
  ours.write_inputs(folder.path() / "inputs");
  const Sizes& s = ours.sizes();
  std::vector<std::string> words{
      fmt::format("{},{},{},{},{},{}", s.batch, s.heads, s.key_heads, s.queries, s.keys, s.width),
      (folder.path() / "inputs").string(), (folder.path() / "results").string(), "--threads",
      fmt::format("{}", threads)};
  if (s.causal) words.emplace_back("--causal");
  if (s.bfloat16) words.emplace_back("--bfloat16");
  if (ours.backward()) words.emplace_back("--backward");
  return words;
}

}  // namespace

std::string Sizes::text() const { return fmt::format("{},{},{},{}", batch, heads, queries, width); }

double Sizes::operations(bool backward) const {
  double pairs = 0.0;  // of a head
  for (std::int64_t i = 0; i < queries; ++i) {
    const std::int64_t own = i + keys - queries, first = window > 0 ? std::max<std::int64_t>(0, own - window + 1) : 0;
    const std::int64_t end = causal ? own + 1 : window > 0 ? std::min(keys, own + window) : keys;
    pairs += static_cast<double>(end - first);
  }
  return (backward ? 14.0 : 4.0) * pairs * static_cast<double>(batch * heads * width);
}

double Sizes::matrix_bytes() const { return 4.0 * static_cast<double>(batch * heads * queries * keys); }

AttentionRun::AttentionRun(const Sizes& sizes, bool backward) : sizes_(sizes), backward_(backward) {
  const std::size_t rows = sizes.batch * sizes.heads * sizes.queries;
  const std::size_t of_queries = rows * sizes.width;
  const std::size_t of_keys = sizes.batch * sizes.key_heads * sizes.keys * sizes.width;
  RandomStream random(kSeed, 0);
  const auto fill = [&](Array& array, std::size_t size) {
    array.resize(size);
    for (float& x : array) x = sizes.bfloat16 ? rounded(random.normal()) : static_cast<float>(random.normal());
  };
  fill(query_, of_queries);
  fill(key_, of_keys);
  fill(value_, of_keys);
  if (sizes.bfloat16) {
    std::ranges::transform(key_, std::back_inserter(low_key_), low);
    std::ranges::transform(value_, std::back_inserter(low_value_), low);
  }
  output_.resize(of_queries);
  floating_.assign(kFloating.size(), Array(rows));
  argmax_.resize(rows);
  visible_.resize(rows);
  non_finite_.resize(rows);
  if (!backward) return;
  fill(d_output_, of_queries);
  d_query_.resize(of_queries);
  for (Array* array : {&d_key_, &d_value_}) array->resize(of_keys);
  for (Array* array : {&shift_, &inverse_, &mass_}) array->resize(rows);
}

attention::AttentionOutput<float> AttentionRun::results(bool statistics) {
  attention::AttentionOutput<float> results{.output = view(output_.data(), sizes_.heads, sizes_.queries, sizes_.width),
                                            .statistics = {}};
  if (statistics) {
    for (std::size_t n = 0; n < kFloating.size(); ++n) results.statistics.*kFloating[n] = floating_[n].data();
    results.statistics.argmax = argmax_.data();
    results.statistics.visible = visible_.data();
    results.statistics.non_finite = non_finite_.data();
  }
  if (backward_) {
    results.shift = shift_.data();
    results.inverse = inverse_.data();
    results.mass = mass_.data();
  }
  return results;
}

void AttentionRun::run(bool statistics, int threads) {
  const auto of_queries = [&](auto* data) { return view(data, sizes_.heads, sizes_.queries, sizes_.width); };
  const auto of_keys = [&](auto* data) { return view(data, sizes_.key_heads, sizes_.keys, sizes_.width); };
  attention::AttentionInput<float> input{.form = reweighting::find_attention_form("softmax"),
                                         .shape = {.batch = sizes_.batch,
                                                   .heads = sizes_.heads,
                                                   .key_heads = sizes_.key_heads,
                                                   .queries = sizes_.queries,
                                                   .keys = sizes_.keys,
                                                   .width = sizes_.width,
                                                   .value_width = sizes_.width},
                                         .query = of_queries(query_.data()),
                                         .key = {},
                                         .value = {},
                                         .scale = 1.0 / std::sqrt(static_cast<double>(sizes_.width)),
                                         .causal = sizes_.causal,
                                         .window = sizes_.window,
                                         .bias = {},
                                         .bfloat16 = sizes_.bfloat16};
  if (sizes_.bfloat16) {
    input.bfloat16_key = of_keys(low_key_.data());
    input.bfloat16_value = of_keys(low_value_.data());
  } else {
    input.key = of_keys(key_.data());
    input.value = of_keys(value_.data());
  }
  const attention::AttentionOutput<float> forward = results(statistics);
  attention::attend(input, forward, threads);
  if (!backward_) return;
  attention::attend_backward<float>(input, forward, of_queries(d_output_.data()), {},
                                    {.query = of_queries(d_query_.data()),
                                     .key = of_keys(d_key_.data()),
                                     .value = of_keys(d_value_.data()),
                                     .bias = {}},
                                    threads);
}

std::pair<const void*, const void*> AttentionRun::cache() const {
  if (sizes_.bfloat16) return {low_key_.data(), low_value_.data()};
  return {key_.data(), value_.data()};
}
std::int64_t AttentionRun::cache_bytes() const {
  return static_cast<std::int64_t>(key_.size()) * (sizes_.bfloat16 ? 2 : 4);
}

std::size_t AttentionRun::output_bytes() const {
  const std::size_t rows = argmax_.size();
  std::size_t numbers = output_.size() + kFloating.size() * rows;
  for (const Array* array : {&d_query_, &d_key_, &d_value_, &shift_, &inverse_, &mass_}) numbers += array->size();
  return 4 * numbers + 9 * rows;  // argmax, visible; the flag
}

void AttentionRun::write_inputs(const std::filesystem::path& file) const {
  std::string bytes;
  for (const Array* array : {&query_, &key_, &value_, &d_output_}) {
    if (array == &d_output_ && !backward_) continue;
    bytes.append(reinterpret_cast<const char*>(array->data()), sizeof(float) * array->size());
  }
  write_file(file, bytes);
}

void AttentionRun::require_agreement(const std::filesystem::path& file, const std::string& who,
                                     bool has_entropy) const {
  std::vector<Compared> all;
  if (!backward_ || has_entropy) all.push_back({"output", &output_, sizes_.bfloat16 ? 0.02 : 2e-5});
  if (backward_) {
    all.insert(all.end(), {{"gradient of query", &d_query_, 1e-4},
                           {"gradient of key", &d_key_, 1e-4},
                           {"gradient of value", &d_value_, 1e-4}});
  } else if (has_entropy) {
    all.push_back({"entropy", &floating_[0], 2e-5});
  }
  const std::string bytes = read_file(file);
  std::size_t at = 0;
  for (const Compared& one : all) {
    const std::size_t size = sizeof(float) * one.ours->size();
    if (at + size > bytes.size()) throw Error("{}: {} is missing from what the peer wrote", who, one.name);
    Array theirs(one.ours->size());
    std::memcpy(theirs.data(), bytes.data() + at, size);
    at += size;
    double apart = 0.0, largest = 0.0;
    for (std::size_t i = 0; i < theirs.size(); ++i) {
      // Written so that NaN is never within reach.
      const double off = std::abs(static_cast<double>((*one.ours)[i]) - theirs[i]);
      apart = off <= apart ? apart : off;
      largest = std::max(largest, std::abs(static_cast<double>(theirs[i])));
    }
    const double allowed = one.allowed * largest;
    if (!(apart <= allowed)) {
      throw Error("{}: we and PyTorch are apart by {:.2g} in the {}, of at most {:.2g}: expected at most {:.2g}", who,
                  apart, one.name, largest, allowed);
    }
  }
}

int calls_for(double seconds) { return std::clamp(static_cast<int>(kShortest / seconds) + 1, 1, 10'000); }

TimedRun::TimedRun(AttentionRun& run, bool statistics, int threads)
    : run_(run), statistics_(statistics), threads_(threads) {
  const double first = seconds();
  if (first < 1.0) calls_ = calls_for(seconds());
}
double TimedRun::seconds() const {
  return time_of(threads_,
                 [&] {
                   for (int i = 0; i < calls_; ++i) run_.run(statistics_, threads_);
                 }) /
         calls_;
}

AttentionPeer::AttentionPeer(const std::string& version, const AttentionRun& ours, int threads)
    : process_("attention", peer_arguments(version, ours, folder_, threads), threads, true) {
  const nlohmann::json ready = process_.hear();
  torch_ = ready.at("torch").get<std::string>();
  ours.require_agreement(folder_.path() / "results", ours.sizes().text() + ", " + version, true);
  calls_ = calls_for(seconds());
}

double AttentionPeer::peak_bytes(const std::string& version, const AttentionRun& ours, int threads) {
  const TemporaryFolder folder;
  LivingPeer process("attention", peer_arguments(version, ours, folder, threads), threads, false);
  return process.hear().at("peak_bytes").get<double>();
}

double AttentionPeer::seconds() { return process_.ask(fmt::format("{}", calls_)).at("seconds").get<double>(); }

SdpaPeer::SdpaPeer(const AttentionRun& ours, int threads)
    : process_("sdpa", sdpa_arguments(ours, folder_, threads), threads, true, newest_python()) {
  torch_ = process_.hear().at("torch").get<std::string>();
  ours.require_agreement(folder_.path() / "results", ours.sizes().text() + ", sdpa", false);
  const double once = seconds();
  if (once < 1.0) calls_ = calls_for(once);
}

double SdpaPeer::seconds() { return process_.ask(fmt::format("{}", calls_)).at("seconds").get<double>(); }

}  // namespace polariscope::bench
