#include "polariscope/attention/internal/linear.h"

#include "polariscope/attention/internal/linear_kernels.h"
#include "polariscope/attention/internal/visible_keys.h"
#include "polariscope/base/denormals.h"
#include "polariscope/base/parallel.h"

#include <hwy/aligned_allocator.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace polariscope::attention {
namespace {

// Tokens whose sum is kept apart: the sums have the same bits however many threads take the pieces.
constexpr std::int64_t kPieceTokens = 1024;

template <class T>
bool is_linear(const AttentionInput<T>& input) {
  const reweighting::AttentionForm& form = input.form;
  return form.feature != reweighting::FeatureMap::kNone && form.transform == reweighting::Transform::kNone &&
         form.weight == reweighting::WeightFunction::kIdentity && form.rule == reweighting::RowRule::kElementwise &&
         (form.normaliser == reweighting::Normaliser::kSum || form.normaliser == reweighting::Normaliser::kNone) &&
         input.bias.data == nullptr && input.slopes == nullptr && input.window == 0;
}

// The first query of a sequence that sees a key.
template <class T>
std::int64_t first_seeing(const AttentionInput<T>& input, std::int64_t batch) {
  const std::int64_t length = key_length(input, batch), queries = input.shape.queries;
  if (input.causal) return std::max<std::int64_t>(0, queries - length);
  return length > 0 ? 0 : queries;
}

// The sums of one pass over all key heads. A key head is one item where they keep the threads busy; elsewhere each of
// its pieces is.
template <class T>
class LinearScan {
 public:
  LinearScan(const LinearTask<T>& task, LinearPass pass, int threads)
      : task_(task),
        in_(task.in),
        pass_(pass),
        threads_(threads),
        size_(std::max<std::ptrdiff_t>(task.layout.state_size(pass), 1)) {}

  void run() const {
    const std::int64_t pairs = in_.shape.batch * in_.shape.key_heads;
    if (pairs % threads_ == 0 || pairs >= 4 * threads_) {
      return parallel_for(pairs, threads_, [&](std::int64_t pair) { run_alone(pair); });
    }
    for (std::int64_t pair = 0; pair < pairs; ++pair) run_shared(pair);
  }

 private:
  using Pieces = std::vector<LinearPiece>;
  using State = hwy::AlignedFreeUniquePtr<T[]>;

  LinearPiece piece(std::int64_t pair) const {
    return {.batch = pair / in_.shape.key_heads, .key_head = pair % in_.shape.key_heads};
  }

  // [begin, end) in pieces; `to` names what they are of.
  void cut(const LinearPiece& whole, std::int64_t begin, std::int64_t end, std::int64_t LinearPiece::*to,
           std::int64_t LinearPiece::*count, Pieces& pieces) const {
    for (; begin < end; begin += kPieceTokens) {
      pieces.push_back(whole);
      pieces.back().*to = begin;
      pieces.back().*count = std::min(kPieceTokens, end - begin);
    }
  }

  // Under a causal mask: the keys that all queries see, then keys with the queries beside them; in the order of the
  // sums.
  Pieces causal_pieces(std::int64_t pair) const {
    const LinearPiece whole = piece(pair);
    const std::int64_t query = first_seeing(in_, whole.batch);
    const std::int64_t seen_by_all = key_length(in_, whole.batch) - (in_.shape.queries - query);
    Pieces pieces, diagonal;
    cut(whole, 0, seen_by_all, &LinearPiece::key, &LinearPiece::keys, pieces);
    cut(whole, query, in_.shape.queries, &LinearPiece::query, &LinearPiece::queries, diagonal);
    for (LinearPiece& both : diagonal) {
      both.key = seen_by_all + both.query - query;
      both.keys = both.queries;
      pieces.push_back(both);
    }
    if (pass_ == LinearPass::kKeyGradient) std::reverse(pieces.begin(), pieces.end());
    return pieces;
  }

  Pieces all_keys(std::int64_t pair) const {
    Pieces pieces;
    const LinearPiece whole = piece(pair);
    cut(whole, 0, key_length(in_, whole.batch), &LinearPiece::key, &LinearPiece::keys, pieces);
    return pieces;
  }
  Pieces all_queries(std::int64_t pair) const {
    Pieces pieces;
    const LinearPiece whole = piece(pair);
    cut(whole, first_seeing(in_, whole.batch), in_.shape.queries, &LinearPiece::query, &LinearPiece::queries, pieces);
    return pieces;
  }
  Pieces summed(std::int64_t pair) const {
    if (in_.causal) return causal_pieces(pair);
    return pass_ == LinearPass::kKeyGradient ? all_queries(pair) : all_keys(pair);
  }
  Pieces applied(std::int64_t pair) const {
    if (in_.causal) return causal_pieces(pair);
    return pass_ == LinearPass::kKeyGradient ? all_keys(pair) : all_queries(pair);
  }

  // Whether a piece has what the sums are of, and what they are applied to.
  bool is_summed(const LinearPiece& piece) const {
    return pass_ == LinearPass::kKeyGradient ? piece.queries > 0 : piece.keys > 0;
  }
  bool is_applied(const LinearPiece& piece) const {
    return pass_ == LinearPass::kKeyGradient ? piece.keys > 0 : piece.queries > 0;
  }

  State state() const {
    State state = hwy::AllocateAligned<T>(size_);
    std::fill_n(state.get(), size_, T(0));
    return state;
  }
  void add(const T* from, T* to) const {
    for (std::ptrdiff_t i = 0; i < size_; ++i) to[i] += from[i];
  }
  void take(const LinearPiece& piece, const T* base, T* current) const {
    const FlushDenormals flush;
    run_linear_piece(task_, pass_, piece, is_applied(piece) ? base : nullptr, is_summed(piece) ? current : nullptr);
  }

  void run_alone(std::int64_t pair) const {
    const State base = state(), current = state();
    for (const LinearPiece& piece : summed(pair)) {
      take(piece, in_.causal ? base.get() : nullptr, current.get());
      if (is_summed(piece)) add(current.get(), base.get());
    }
    if (in_.causal) return;
    for (const LinearPiece& piece : applied(pair)) take(piece, base.get(), nullptr);
  }

  void run_shared(std::int64_t pair) const {
    const Pieces sources = summed(pair), sinks = applied(pair);
    std::vector<State> sums(sources.size());
    const auto each = [&](const Pieces& pieces, const auto& body) {
      parallel_for(static_cast<std::int64_t>(pieces.size()), threads_, body);
    };
    each(sources, [&](std::int64_t i) {
      sums[i] = state();
      if (is_summed(sources[i])) take(sources[i], nullptr, sums[i].get());
    });
    // Each becomes the sum of those before it.
    const State total = state(), own = state();
    for (const State& sum : sums) {
      std::copy_n(sum.get(), size_, own.get());
      std::copy_n(total.get(), size_, sum.get());
      add(own.get(), total.get());
    }
    each(sinks, [&](std::int64_t i) {
      if (!is_applied(sinks[i])) return;
      const bool diagonal = in_.causal && is_summed(sinks[i]);
      const State current = diagonal ? state() : State();
      take(sinks[i], in_.causal ? sums[i].get() : total.get(), current.get());
    });
  }

  const LinearTask<T>& task_;
  const AttentionInput<T>& in_;
  LinearPass pass_;
  int threads_;
  std::ptrdiff_t size_;
};

template <class T>
void clear(const HeadsView<T>& view, std::int64_t batch, std::int64_t heads, std::int64_t first, std::int64_t end,
           std::int64_t width) {
  for (std::int64_t h = 0; view.data != nullptr && h < heads; ++h) {
    for (std::int64_t i = first; i < end; ++i) std::fill_n(view.row(batch, h, i), width, T(0));
  }
}

// Rows of a sequence that see nothing, which no piece has.
template <class T>
void clear_rows(const AttentionInput<T>& in, const AttentionOutput<T>& out, std::int64_t batch) {
  const std::int64_t rows = first_seeing(in, batch);
  clear(out.output, batch, in.shape.heads, 0, rows, in.shape.value_width);
  const RowStatistics<T>& to = out.statistics;
  for (std::int64_t head = 0; head < in.shape.heads; ++head) {
    const std::int64_t at = (batch * in.shape.heads + head) * in.shape.queries;
    for (T* array : {to.sum_of_squares, to.first_key, to.first_visible_key, to.row_sum, to.logit_mean, out.shift,
                     out.inverse, out.mass}) {
      if (array != nullptr) std::fill_n(array + at, rows, T(0));
    }
    if (to.log_sum_exp != nullptr) std::fill_n(to.log_sum_exp + at, rows, std::numeric_limits<T>::quiet_NaN());
    if (to.visible != nullptr) std::fill_n(to.visible + at, rows, 0);
    if (to.non_finite != nullptr) std::fill_n(to.non_finite + at, rows, std::uint8_t{0});
  }
}

}  // namespace

template <class T>
bool linear_serves(const AttentionInput<T>& input, const AttentionOutput<T>& output) {
  const RowStatistics<T>& asked = output.statistics;
  return is_linear(input) && asked.entropy == nullptr && asked.maximum == nullptr && asked.argmax == nullptr &&
         asked.logit_variance == nullptr && asked.logit_maximum == nullptr && asked.skewness == nullptr;
}

template <class T>
bool linear_serves(const AttentionInput<T>& input, const RowStatisticsGradient<T>& d_statistics,
                   const AttentionGradient<T>& gradient) {
  const auto& of = gradient.parameters;
  const bool parameters = of.transform_factor != nullptr || of.sum_offset != nullptr || of.count_power != nullptr ||
                          of.gamma != nullptr || of.zeta != nullptr || of.epsilon != nullptr || of.alpha != nullptr;
  return is_linear(input) && d_statistics.entropy == nullptr && d_statistics.maximum == nullptr &&
         d_statistics.log_sum_exp == nullptr && d_statistics.logit_variance == nullptr &&
         gradient.bias.data == nullptr && !parameters;
}

bool linear_is_faster(const AttentionShape& shape, bool causal) {
  const auto pairs = static_cast<double>(shape.queries) * static_cast<double>(shape.keys);
  const auto rows = static_cast<double>(shape.queries + shape.keys);
  const auto widths = static_cast<double>(std::max<std::int64_t>(shape.width + shape.value_width, 1));
  const double width = 2.0 * static_cast<double>(shape.width) * static_cast<double>(shape.value_width) / widths;
  // As many queries as keys: from width + 700/width tokens on, the second where vectors are not filled; half the pairs
  // of a causal mask take twice as many. Sums of squares are within it.
  return 2.0 * pairs > (causal ? 2.0 : 1.0) * rows * (width + 1400.0 / widths);
}

template <class T>
bool attend_linear(const AttentionInput<T>& input, const AttentionOutput<T>& output, int threads) {
  for (std::int64_t batch = 0; batch < input.shape.batch; ++batch) clear_rows(input, output, batch);
  std::atomic<bool> out_of_range = false;
  const LinearTask<T> task{.in = input,
                           .out = output,
                           .layout = {input.shape, output.statistics.sum_of_squares != nullptr},
                           .out_of_range = out_of_range};
  LinearScan<T>(task, LinearPass::kForward, threads > 0 ? threads : processor_count()).run();
  return !out_of_range;
}

template <class T>
bool attend_linear_backward(const AttentionInput<T>& input, const AttentionOutput<T>& forward,
                            const HeadsView<const T>& d_output, const RowStatisticsGradient<T>& d_statistics,
                            const AttentionGradient<T>& gradient, int threads) {
  const AttentionShape& shape = input.shape;
  for (std::int64_t batch = 0; batch < shape.batch; ++batch) {
    const std::int64_t seen = shape.queries > 0 ? key_length(input, batch) : 0;
    clear(gradient.query, batch, shape.heads, 0, first_seeing(input, batch), shape.width);
    clear(gradient.key, batch, shape.key_heads, seen, shape.keys, shape.width);
    clear(gradient.value, batch, shape.key_heads, seen, shape.keys, shape.value_width);
  }
  if (gradient.sink != nullptr) std::fill_n(gradient.sink, shape.heads, T(0));
  if (shape.queries == 0) return true;
  std::atomic<bool> out_of_range = false;
  const LinearTask<T> task{.in = input,
                           .out = forward,
                           .layout = {shape, d_statistics.sum_of_squares != nullptr},
                           .out_of_range = out_of_range,
                           .d_output = d_output,
                           .upstream = d_statistics,
                           .gradient = gradient};
  const int used = threads > 0 ? threads : processor_count();
  if (gradient.query.data != nullptr) LinearScan<T>(task, LinearPass::kQueryGradient, used).run();
  if (gradient.key.data != nullptr || gradient.value.data != nullptr) {
    LinearScan<T>(task, LinearPass::kKeyGradient, used).run();
  }
  return !out_of_range;
}

template bool linear_serves(const AttentionInput<float>&, const AttentionOutput<float>&);
template bool linear_serves(const AttentionInput<double>&, const AttentionOutput<double>&);
template bool linear_serves(const AttentionInput<float>&, const RowStatisticsGradient<float>&,
                            const AttentionGradient<float>&);
template bool linear_serves(const AttentionInput<double>&, const RowStatisticsGradient<double>&,
                            const AttentionGradient<double>&);
template bool attend_linear(const AttentionInput<float>&, const AttentionOutput<float>&, int);
template bool attend_linear(const AttentionInput<double>&, const AttentionOutput<double>&, int);
template bool attend_linear_backward(const AttentionInput<float>&, const AttentionOutput<float>&,
                                     const HeadsView<const float>&, const RowStatisticsGradient<float>&,
                                     const AttentionGradient<float>&, int);
template bool attend_linear_backward(const AttentionInput<double>&, const AttentionOutput<double>&,
                                     const HeadsView<const double>&, const RowStatisticsGradient<double>&,
                                     const AttentionGradient<double>&, int);

}  // namespace polariscope::attention
