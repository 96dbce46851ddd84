#include "polariscope/attention/attend.h"
#include "polariscope/attention/internal/features.h"
#include "polariscope/attention/internal/kernels.h"
#include "polariscope/attention/internal/linear.h"
#include "polariscope/attention/internal/validate.h"
#include "polariscope/base/denormals.h"
#include "polariscope/base/parallel.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

namespace polariscope::attention {
namespace {

// Gradients of what heads share; visit(head, add) calls add() with every part of a head's, in order.
template <class T, class Visit>
void write_shared_gradients(const AttentionGradient<T>& gradient, const AttentionShape& shape, const Visit& visit) {
  const auto& of = gradient.parameters;
  const std::pair<T*, double SharedDue::*> shared[] = {
      {gradient.sink, &SharedDue::sink},       {of.transform_factor, &SharedDue::transform_factor},
      {of.sum_offset, &SharedDue::sum_offset}, {of.count_power, &SharedDue::count_power},
      {of.gamma, &SharedDue::gamma},           {of.zeta, &SharedDue::zeta},
      {of.epsilon, &SharedDue::epsilon},       {of.alpha, &SharedDue::alpha}};
  for (const auto& [array, member] : shared) {
    for (std::int64_t head = 0; array != nullptr && head < shape.heads; ++head) {
      double sum = 0.0;
      visit(head, [&, part = member](const SharedDue& due) { sum += due.*part; });
      array[head] = static_cast<T>(sum);
    }
  }
}

// Key heads are independent; where there are fewer than keep the threads busy, the blocks of one are shared
// out in chunks, each with gradients of its own, which are added in the order of the chunks: the same bits
// for the same number of chunks.
template <class T>
class Backward {
 public:
  Backward(const AttentionInput<T>& input, const AttentionOutput<T>& forward, const HeadsView<const T>& d_output,
           const RowStatisticsGradient<T>& d_statistics, const AttentionGradient<T>& gradient, int threads)
      : in_(input),
        forward_(forward),
        d_output_(d_output),
        d_statistics_(d_statistics),
        gradient_(gradient),
        blocks_(input.shape, input.causal, attention_lanes<T>()),
        group_(input.shape.heads / std::max<std::int64_t>(input.shape.key_heads, 1)),
        pairs_(input.shape.batch * input.shape.key_heads) {
    const std::int64_t wanted = threads > 1 ? 4 * std::int64_t{threads} : 1;
    chunks_ = std::clamp<std::int64_t>((wanted + pairs_ - 1) / std::max<std::int64_t>(pairs_, 1), 1,
                                       std::max<std::int64_t>(blocks_.per_head() * group_, 1));
    work_.resize(pairs_ * chunks_);
    due_.resize(pairs_ * chunks_ * group_);
  }

  std::int64_t items() const { return pairs_ * chunks_; }
  std::int64_t pairs() const { return pairs_; }

  void run(std::int64_t item) {
    const std::int64_t pair = item / chunks_;
    const std::int64_t total = blocks_.per_head() * group_;
    work_[item].emplace(in_.shape);
    // Every chunk takes blocks from everywhere: under a causal mask early ones are short.
    for (std::int64_t i = item % chunks_; i < total; i += chunks_) {
      const std::int64_t in_group = i / blocks_.per_head();
      const std::int64_t head = pair % in_.shape.key_heads * group_ + in_group;
      const QueryBlock block = blocks_.block(pair / in_.shape.key_heads, head, i % blocks_.per_head());
      attend_block_backward(in_, forward_, d_output_, d_statistics_, gradient_, block, *work_[item],
                            due_[item * group_ + in_group]);
    }
    if (chunks_ == 1) finish(pair);
  }

  // Adds the chunks of a pair and writes them.
  void finish(std::int64_t pair) {
    BackwardWorkspace<T>& sum = *work_[pair * chunks_];
    for (std::int64_t c = 1; c < chunks_; ++c) {
      const BackwardWorkspace<T>& chunk = *work_[pair * chunks_ + c];
      for (std::int64_t i = 0; i < in_.shape.keys * sum.stride; ++i) sum.d_key[i] += chunk.d_key[i];
      for (std::int64_t i = 0; i < in_.shape.keys * sum.value_stride; ++i) sum.d_value[i] += chunk.d_value[i];
    }
    const std::int64_t batch = pair / in_.shape.key_heads;
    const std::int64_t head = pair % in_.shape.key_heads;
    for (std::int64_t j = 0; j < in_.shape.keys; ++j) {
      if (gradient_.key.data != nullptr) {
        const T* key = in_.key.row(batch, head, j);
        T* to = gradient_.key.row(batch, head, j);
        // Nothing comes to keys that none sees, whatever they hold.
        for (std::int64_t i = 0; i < in_.shape.width; ++i) {
          const T due = sum.d_key[j * sum.stride + i];
          to[i] = due == T(0) ? T(0) : due * feature_slope(in_.form, key[i]);
        }
      }
      if (gradient_.value.data != nullptr) {
        std::copy_n(sum.d_value + j * sum.value_stride, in_.shape.value_width, gradient_.value.row(batch, head, j));
      }
    }
    for (std::int64_t c = 0; c < chunks_; ++c) work_[pair * chunks_ + c].reset();
  }

  bool chunked() const { return chunks_ > 1; }

  void write_shared() const {
    write_shared_gradients(gradient_, in_.shape, [&](std::int64_t head, const auto& add) {
      for (std::int64_t batch = 0; batch < in_.shape.batch; ++batch) {
        const std::int64_t pair = batch * in_.shape.key_heads + head / group_;
        for (std::int64_t c = 0; c < chunks_; ++c) add(due_[(pair * chunks_ + c) * group_ + head % group_]);
      }
    });
  }

 private:
  const AttentionInput<T>& in_;
  const AttentionOutput<T>& forward_;
  const HeadsView<const T>& d_output_;
  const RowStatisticsGradient<T>& d_statistics_;
  const AttentionGradient<T>& gradient_;
  QueryBlocks blocks_;
  std::int64_t group_, pairs_, chunks_;
  std::vector<std::optional<BackwardWorkspace<T>>> work_;
  std::vector<SharedDue> due_;
};

// Every vector of heads writes what is its own, but for what heads share, which is added in the order of heads.
template <class T>
void backward_of_tiny(const AttentionInput<T>& input, const AttentionOutput<T>& forward,
                      const HeadsView<const T>& d_output, const RowStatisticsGradient<T>& d_statistics,
                      const AttentionGradient<T>& gradient, int threads) {
  const int lanes = attention_lanes<T>();
  const std::int64_t heads = input.shape.batch * input.shape.heads;
  std::vector<SharedDue> due(heads);
  parallel_for((heads + lanes - 1) / lanes, threads, [&](std::int64_t i) {
    const FlushDenormals flush;
    attend_tiny_backward(input, forward, d_output, d_statistics, gradient, i * lanes, due.data() + i * lanes);
  });
  write_shared_gradients(gradient, input.shape, [&](std::int64_t head, const auto& add) {
    for (std::int64_t i = head; i < heads; i += input.shape.heads) add(due[i]);
  });
}

}  // namespace

template <class T>
void attend_backward(const AttentionInput<T>& input, const AttentionOutput<T>& forward, HeadsView<const T> d_output,
                     const RowStatisticsGradient<T>& d_statistics, const AttentionGradient<T>& gradient, int threads) {
  validate(input);
  validate(input, forward, d_statistics, gradient);
  const AttentionShape& shape = input.shape;
  const std::int64_t outputs = shape.batch * shape.heads * shape.queries * shape.value_width;
  require_value(input);
  require_array<T>(forward.output.data, outputs, "output of the forward pass");
  require_array(d_output.data, outputs, "gradient of the output");
  if (linear_serves(input, d_statistics, gradient) && linear_is_faster(shape, input.causal) &&
      attend_linear_backward(input, forward, d_output, d_statistics, gradient, threads)) {
    return;
  }
  for (std::int64_t b = 0; gradient.bias.data != nullptr && b < shape.batch; ++b) {
    for (std::int64_t h = 0; h < shape.heads; ++h) {
      for (std::int64_t i = 0; i < shape.queries; ++i) std::fill_n(gradient.bias.row(b, h, i), shape.keys, T(0));
    }
  }
  const int used = threads > 0 ? threads : processor_count();
  if (shape.heads == shape.key_heads && gradient.bias.data == nullptr && is_tiny(input, attention_lanes<T>())) {
    return backward_of_tiny(input, forward, d_output, d_statistics, gradient, used);
  }
  Backward<T> backward(input, forward, d_output, d_statistics, gradient, used);
  parallel_for(backward.items(), used, [&](std::int64_t item) {
    const FlushDenormals flush;
    backward.run(item);
  });
  if (backward.chunked()) {
    parallel_for(backward.pairs(), used, [&](std::int64_t pair) { backward.finish(pair); });
  }
  backward.write_shared();
}

template void attend_backward(const AttentionInput<float>&, const AttentionOutput<float>&, HeadsView<const float>,
                              const RowStatisticsGradient<float>&, const AttentionGradient<float>&, int);
template void attend_backward(const AttentionInput<double>&, const AttentionOutput<double>&, HeadsView<const double>,
                              const RowStatisticsGradient<double>&, const AttentionGradient<double>&, int);

}  // namespace polariscope::attention
