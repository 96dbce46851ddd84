#include "polariscope/attention/internal/blocks.h"

#include <algorithm>
#include <initializer_list>

namespace polariscope::attention {
namespace {

template <class T>
struct Part {
  T*& array;
  std::ptrdiff_t size;
};

// Rounded up to whole cache lines, which are whole vectors.
template <class T>
std::ptrdiff_t rounded(std::ptrdiff_t count) {
  constexpr std::ptrdiff_t kLine = 64 / sizeof(T);
  return (count + kLine - 1) / kLine * kLine;
}

// One allocation for all parts, each on a cache line of its own.
template <class T>
hwy::AlignedFreeUniquePtr<T[]> allocate(std::initializer_list<Part<T>> parts) {
  std::ptrdiff_t total = 0;
  for (const Part<T>& part : parts) total += rounded<T>(part.size);
  auto storage = hwy::AllocateAligned<T>(std::max<std::ptrdiff_t>(total, 1));
  T* next = storage.get();
  for (const Part<T>& part : parts) {
    part.array = next;
    next += rounded<T>(part.size);
  }
  return storage;
}

}  // namespace

QueryBlocks::QueryBlocks(const AttentionShape& shape, bool largest_first, int lanes, const Bfloat16Keys* low)
    : shape_(shape), low_(low), largest_first_(largest_first), lanes_(lanes) {
  const std::int64_t vectors = (shape.queries + lanes - 1) / lanes;
  threes_ = vectors / 3;
  twos_ = vectors % 3 == 2 ? 1 : 0;
  const bool lone = vectors % 3 == 1;
  if (lone && threes_ > 0) {
    threes_ -= 1;
    twos_ = 2;
  }
  per_head_ = threes_ + twos_ + (lone && twos_ == 0 ? 1 : 0);
}

QueryBlock QueryBlocks::operator[](std::int64_t index) const {
  // Head by head: its keys and values stay in the second-level cache while its queries pass.
  const std::int64_t pair = index / per_head_;
  const std::int64_t place = index % per_head_;
  return block(pair / shape_.heads, pair % shape_.heads, largest_first_ ? per_head_ - 1 - place : place);
}

QueryBlock QueryBlocks::block(std::int64_t batch, std::int64_t head, std::int64_t nth) const {
  QueryBlock block{};
  block.batch = batch;
  block.head = head;
  block.key_head = head / (shape_.heads / shape_.key_heads);
  block.vectors = nth < threes_ ? 3 : nth < threes_ + twos_ ? 2 : 1;
  block.first = lanes_ * (nth < threes_ ? 3 * nth : 3 * threes_ + 2 * (nth - threes_));
  block.count = static_cast<int>(std::min<std::int64_t>(block.vectors * lanes_, shape_.queries - block.first));
  block.low = low_;
  return block;
}

std::int64_t QueryBlocks::at_once(std::int64_t bytes, std::int64_t workers) const {
  constexpr std::int64_t kRoom = 512 << 10, kItems = 4;  // bytes; of a worker
  if (shape_.keys * (shape_.width + shape_.value_width) * bytes <= kRoom) return 1;
  return std::clamp<std::int64_t>(size() / (kItems * workers), 1, kBlocksAtOnce);
}

template <class T>
BlockWorkspace<T>::BlockWorkspace(const AttentionShape& shape, int quantities, const BlockWorkspace* shared)
    : mapped_stride(rounded<T>(shape.width)) {
  const std::ptrdiff_t own = shared == nullptr ? 1 : 0;
  storage = allocate<T>({{query, shape.width * kMaxBlockWidth},
                         {scores, own * kTileKeys * kMaxBlockWidth},
                         {weights, own * kTileKeys * kMaxBlockWidth},
                         {output, shape.value_width * kMaxBlockWidth},
                         {mapped, own * kTileKeys * mapped_stride},
                         {running, quantities * kMaxBlockWidth},
                         {first, kMaxBlockWidth},
                         {end, kMaxBlockWidth}});
  if (shared == nullptr) return;
  scores = shared->scores;
  weights = shared->weights;
  mapped = shared->mapped;
}

template <class T>
BackwardWorkspace<T>::BackwardWorkspace(const AttentionShape& shape)
    : stride(rounded<T>(shape.width)), value_stride(rounded<T>(shape.value_width)) {
  storage = allocate<T>({{d_output, shape.value_width * kMaxBlockWidth},
                         {d_output_rows, kMaxBlockWidth * value_stride},
                         {query_rows, kMaxBlockWidth * stride},
                         {d_query, shape.width * kMaxBlockWidth},
                         {d_key, shape.keys * stride},
                         {d_value, shape.keys * value_stride}});
  std::fill_n(d_key, shape.keys * stride, T(0));
  std::fill_n(d_value, shape.keys * value_stride, T(0));
}

template struct BlockWorkspace<float>;
template struct BlockWorkspace<double>;
template struct BackwardWorkspace<float>;
template struct BackwardWorkspace<double>;

}  // namespace polariscope::attention
