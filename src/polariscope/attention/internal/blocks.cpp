#include "polariscope/attention/internal/blocks.h"

#include <algorithm>

namespace polariscope {

QueryBlocks::QueryBlocks(const AttentionShape& shape, bool largest_first, int lanes)
    : shape_(shape), largest_first_(largest_first), lanes_(lanes) {
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
  const std::int64_t pair = index % (shape_.batch * shape_.heads);
  const std::int64_t place = index / (shape_.batch * shape_.heads);
  const std::int64_t nth = largest_first_ ? per_head_ - 1 - place : place;
  QueryBlock block{};
  block.batch = pair / shape_.heads;
  block.head = pair % shape_.heads;
  block.key_head = block.head / (shape_.heads / shape_.key_heads);
  block.vectors = nth < threes_ ? 3 : nth < threes_ + twos_ ? 2 : 1;
  block.first = lanes_ * (nth < threes_ ? 3 * nth : 3 * threes_ + 2 * (nth - threes_));
  block.count = static_cast<int>(std::min<std::int64_t>(block.vectors * lanes_, shape_.queries - block.first));
  return block;
}

template <class T>
BlockWorkspace<T>::BlockWorkspace(const AttentionShape& shape, int quantities) {
  constexpr std::ptrdiff_t kLine = 64 / sizeof(T);
  const auto rounded = [](std::ptrdiff_t n) { return (n + kLine - 1) / kLine * kLine; };
  mapped_stride = rounded(shape.width);
  const struct {
    T*& array;
    std::ptrdiff_t size;
  } parts[] = {
      {query, shape.width * kMaxBlockWidth},
      {scores, kTileKeys * kMaxBlockWidth},
      {weights, kTileKeys * kMaxBlockWidth},
      {output, shape.value_width * kMaxBlockWidth},
      {mapped, kTileKeys * mapped_stride},
      {running, quantities * kMaxBlockWidth},
      {first, kMaxBlockWidth},
      {end, kMaxBlockWidth},
  };
  std::ptrdiff_t total = 0;
  for (const auto& part : parts) total += rounded(part.size);
  storage = hwy::AllocateAligned<T>(total);
  T* next = storage.get();
  for (const auto& part : parts) {
    part.array = next;
    next += rounded(part.size);
  }
}

template struct BlockWorkspace<float>;
template struct BlockWorkspace<double>;

}  // namespace polariscope
