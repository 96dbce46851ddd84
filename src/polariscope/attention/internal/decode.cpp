#include "polariscope/attention/internal/decode.h"

#include "polariscope/attention/internal/kernels.h"
#include "polariscope/base/denormals.h"
#include "polariscope/base/parallel.h"

#include <algorithm>
#include <limits>

namespace polariscope::attention {
namespace {

// Many enough that what an item leaves is small beside what it reads; few enough that one head keeps many threads busy.
constexpr std::int64_t kSplitKeys = 2048;
// From so many rows on a split is longer by as much as there are more rows: what splits leave stays a small part of the
// keys that they read.
constexpr std::int64_t kRowsOfSplit = 16;

constexpr std::int64_t kMostQueries = 64;
constexpr std::int64_t kFewestKeys = kTileKeys + 1;  // below, many heads are taken together (blocks.h)

std::int64_t whole(std::int64_t count, std::int64_t step) { return (count + step - 1) / step * step; }

}  // namespace

DecodePlan::DecodePlan(const AttentionShape& shape) : shape_(shape) {
  group_rows_ = shape.heads / shape.key_heads * shape.queries;
  row_groups_ = (group_rows_ + kDecodeRows - 1) / kDecodeRows;
  split_keys_ = kSplitKeys * ((group_rows_ + kRowsOfSplit - 1) / kRowsOfSplit);
  splits_ = (shape.keys + split_keys_ - 1) / split_keys_;
  constexpr std::int64_t kLine = 64 / sizeof(float);
  padded_rows_ = whole(rows(), kLine);
  padded_width_ = whole(shape.value_width, 2 * kLine);
}

// Heads pass fastest: where the rows of all heads stand side by side, their keys share pages of memory.
DecodeItem DecodePlan::operator[](std::int64_t index) const {
  DecodeItem item{};
  item.key_head = index % shape_.key_heads;
  index /= shape_.key_heads;
  item.row = index % row_groups_ * kDecodeRows;
  index /= row_groups_;
  item.split = index % splits_;
  item.batch = index / splits_;
  item.begin = item.split * split_keys_;
  item.end = std::min(item.begin + split_keys_, shape_.keys);
  item.rows = static_cast<int>(std::min<std::int64_t>(group_rows_ - item.row, kDecodeRows));
  item.first_row = (item.batch * shape_.key_heads + item.key_head) * group_rows_ + item.row;
  return item;
}

bool decode_serves(const AttentionInput<float>& input, const AttentionOutput<float>& output) {
  const reweighting::AttentionForm& form = input.form;
  const AttentionShape& shape = input.shape;
  const bool alone = output.shift == nullptr && output.inverse == nullptr && output.mass == nullptr;
  return alone && form.weight == reweighting::WeightFunction::kExp && form.rule == reweighting::RowRule::kElementwise &&
         form.feature == reweighting::FeatureMap::kNone && shape.queries > 0 && shape.queries <= kMostQueries &&
         shape.keys >= kFewestKeys && shape.keys >= 2 * shape.queries;
}

void attend_decode(const AttentionInput<float>& input, const AttentionOutput<float>& output, int threads) {
  const DecodePlan plan(input.shape);
  // Kept, since the next token comes soon: fresh pages would cost as much as a head.
  thread_local hwy::AlignedFreeUniquePtr<float[]> storage;
  thread_local std::int64_t size = 0;
  const std::int64_t needed = plan.states() + plan.outputs() + plan.padded_rows();
  if (size < needed) {
    storage = hwy::AllocateAligned<float>(needed);
    size = needed;
  }
  DecodePartials partials{storage.get(), storage.get() + plan.states(), nullptr};
  if (output.statistics.first_visible_key != nullptr) {
    partials.first = partials.outputs + plan.outputs();
    std::fill_n(partials.first, plan.padded_rows(), -std::numeric_limits<float>::infinity());
  }
  const Wanted what = wanted(output.statistics);
  parallel_for(plan.items(), threads, [&](std::int64_t i) {
    const FlushDenormals flush;
    run_decode_item(input, what, plan, plan[i], partials);
  });
  const int lanes = attention_lanes<float>();
  parallel_for((plan.rows() + lanes - 1) / lanes, threads, [&](std::int64_t i) {
    const FlushDenormals flush;
    const std::int64_t first = i * lanes;
    merge_decode_rows(input, output, plan, first, static_cast<int>(std::min<std::int64_t>(lanes, plan.rows() - first)),
                      partials);
  });
}

}  // namespace polariscope::attention
