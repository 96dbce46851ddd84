// One problem for ./dev bench attention: its arrays, our call on them, and the peer's on the same numbers.
#pragma once

#include "bench/child.h"
#include "polariscope/attention/attend.h"

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace polariscope::bench {

struct Sizes {
  std::int64_t batch, heads, queries, width;
  std::int64_t key_heads = heads, keys = queries;
  bool causal = false;
  bool bfloat16 = false;     // numbers that bfloat16 has, keys and values stored so
  std::int64_t window = 0;   // > 0: as attention's
  std::string text() const;  // "1,8,4096,64"
  // Of the products that the visible scores take: 2·2·D each forward, five of 2·D more backward; a fused multiply-add
  // counts as two.
  double operations(bool backward) const;
  double matrix_bytes() const;  // of the weights, were they kept
};

// Softmax in single precision. Scores are of standard normal queries and keys, divided by √width.
class AttentionRun {
 public:
  AttentionRun(const Sizes& sizes, bool backward);

  // Forward, with every statistic or none; then backward from a gradient of the output, where there is one.
  void run(bool statistics, int threads);
  std::size_t output_bytes() const;  // of the arrays that one run writes, all statistics among them
  // Keys and values as they are stored, so many bytes each.
  std::pair<const void*, const void*> cache() const;
  std::int64_t cache_bytes() const;

  void write_inputs(const std::filesystem::path& file) const;
  // Throws Error unless the file holds our output, or our gradients, and where the peer has them our entropies, after a
  // run with statistics.
  void require_agreement(const std::filesystem::path& file, const std::string& who, bool has_entropy) const;

  const Sizes& sizes() const { return sizes_; }
  bool backward() const { return backward_; }

 private:
  using Array = std::vector<float>;
  attention::AttentionOutput<float> results(bool statistics);

  Sizes sizes_;
  bool backward_;
  Array query_, key_, value_, d_output_, output_, d_query_, d_key_, d_value_, shift_, inverse_, mass_;
  std::vector<attention::Bfloat16> low_key_, low_value_;
  std::vector<Array> floating_;  // one a statistic
  std::vector<std::int32_t> argmax_, visible_;
  std::vector<std::uint8_t> non_finite_;
};

// bench/peers/attention.py in one of its two versions; throws Error unless it computes what `ours` did.
class AttentionPeer {
 public:
  AttentionPeer(const std::string& version, const AttentionRun& ours, int threads);
  double seconds();  // of one call, by as many as make a measurement long enough
  const std::string& torch() const { return torch_; }
  // What one call takes at most, results included, in a process of its own that gives back what it frees.
  static double peak_bytes(const std::string& version, const AttentionRun& ours, int threads);

 private:
  TemporaryFolder folder_;
  LivingPeer process_;
  std::string torch_;
  int calls_ = 1;
};

// bench/peers/sdpa.py, PyTorch's own attention, of today's PyTorch; throws Error unless it computes what `ours` did.
class SdpaPeer {
 public:
  SdpaPeer(const AttentionRun& ours, int threads);
  double seconds();  // of one call, by as many as make a measurement long enough
  const std::string& torch() const { return torch_; }

 private:
  TemporaryFolder folder_;
  LivingPeer process_;
  std::string torch_;
  int calls_ = 1;
};

// How often to call what takes so long, so that a measurement is not lost in the clock's grain.
int calls_for(double seconds);

// Seconds of one run, of as many as make a measurement long enough.
class TimedRun {
 public:
  TimedRun(AttentionRun& run, bool statistics, int threads);
  double seconds() const;

 private:
  AttentionRun& run_;
  bool statistics_;
  int threads_;
  int calls_ = 1;
};

}  // namespace polariscope::bench
