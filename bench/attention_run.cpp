#include "bench/attention_run.h"

#include "polariscope/base/error.h"
#include "polariscope/base/files.h"
#include "polariscope/base/random.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

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

std::vector<std::string> peer_arguments(const std::string& version, const AttentionRun& ours,
                                        const TemporaryFolder& folder, int threads) {
  ours.write_inputs(folder.path() / "inputs");
  std::vector<std::string> words{
      version,     ours.sizes().text(),       (folder.path() / "inputs").string(), (folder.path() / "results").string(),
      "--threads", fmt::format("{}", threads)};
  if (ours.backward()) words.emplace_back("--backward");
  return words;
}

}  // namespace

std::string Sizes::text() const { return fmt::format("{},{},{},{}", batch, heads, tokens, width); }

double Sizes::operations(bool backward) const {
  const auto pairs = static_cast<double>(batch * heads * tokens * tokens);
  return (backward ? 14.0 : 4.0) * pairs * static_cast<double>(width);
}

double Sizes::matrix_bytes() const { return 4.0 * static_cast<double>(batch * heads * tokens * tokens); }

AttentionRun::AttentionRun(const Sizes& sizes, bool backward) : sizes_(sizes), backward_(backward) {
  const std::size_t rows = sizes.batch * sizes.heads * sizes.tokens;
  const std::size_t numbers = rows * sizes.width;
  RandomStream random(kSeed, 0);
  for (Array* array : {&query_, &key_, &value_, &d_output_}) {
    array->resize(numbers);
    for (float& x : *array) x = static_cast<float>(random.normal());
  }
  output_.resize(numbers);
  floating_.assign(kFloating.size(), Array(rows));
  argmax_.resize(rows);
  visible_.resize(rows);
  non_finite_.resize(rows);
  if (!backward) return;
  for (Array* array : {&d_query_, &d_key_, &d_value_}) array->resize(numbers);
  for (Array* array : {&shift_, &inverse_, &mass_}) array->resize(rows);
}

template <class T>
attention::HeadsView<T> AttentionRun::view(T* data) const {
  return {data, sizes_.heads * sizes_.tokens * sizes_.width, sizes_.tokens * sizes_.width, sizes_.width};
}

attention::AttentionOutput<float> AttentionRun::results(bool statistics) {
  attention::AttentionOutput<float> results{.output = view(output_.data()), .statistics = {}};
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
  const attention::AttentionInput<float> input{.form = reweighting::find_attention_form("softmax"),
                                               .shape = {.batch = sizes_.batch,
                                                         .heads = sizes_.heads,
                                                         .key_heads = sizes_.heads,
                                                         .queries = sizes_.tokens,
                                                         .keys = sizes_.tokens,
                                                         .width = sizes_.width,
                                                         .value_width = sizes_.width},
                                               .query = view<const float>(query_.data()),
                                               .key = view<const float>(key_.data()),
                                               .value = view<const float>(value_.data()),
                                               .scale = 1.0 / std::sqrt(static_cast<double>(sizes_.width)),
                                               .bias = {}};
  const attention::AttentionOutput<float> forward = results(statistics);
  attention::attend(input, forward, threads);
  if (!backward_) return;
  attention::attend_backward(
      input, forward, view<const float>(d_output_.data()), {},
      {.query = view(d_query_.data()), .key = view(d_key_.data()), .value = view(d_value_.data()), .bias = {}},
      threads);
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

void AttentionRun::require_agreement(const std::filesystem::path& file, const std::string& who) const {
  std::vector<Compared> all{{"output", &output_, 2e-5}};
  if (backward_) {
    all.insert(all.end(), {{"gradient of query", &d_query_, 1e-4},
                           {"gradient of key", &d_key_, 1e-4},
                           {"gradient of value", &d_value_, 1e-4}});
  } else {
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

AttentionPeer::AttentionPeer(const std::string& version, const AttentionRun& ours, int threads)
    : process_("attention", peer_arguments(version, ours, folder_, threads), threads, true) {
  const nlohmann::json ready = process_.hear();
  torch_ = ready.at("torch").get<std::string>();
  ours.require_agreement(folder_.path() / "results", ours.sizes().text() + ", " + version);
  calls_ = calls_for(seconds());
}

double AttentionPeer::peak_bytes(const std::string& version, const AttentionRun& ours, int threads) {
  const TemporaryFolder folder;
  LivingPeer process("attention", peer_arguments(version, ours, folder, threads), threads, false);
  return process.hear().at("peak_bytes").get<double>();
}

double AttentionPeer::seconds() { return process_.ask(fmt::format("{}", calls_)).at("seconds").get<double>(); }

}  // namespace polariscope::bench
