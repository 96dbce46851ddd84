#include "polariscope/train/checkpoint.h"

#include "polariscope/base/error.h"

#include <algorithm>

namespace polariscope::train {

void read_tensor(const Safetensors& file, const StoredTensor& like, std::span<std::byte> to) {
  const StoredTensor* found = file.find(like.name);
  const bool fits = found != nullptr && found->dtype == like.dtype && found->shape == like.shape;
  if (!fits || found->bytes.size() != to.size()) throw Error("its tensor {} is missing or different", like.name);
  std::ranges::copy(found->bytes, to.begin());
}

std::string word_of(const Safetensors& file, const std::string& name) {
  const auto found = file.metadata().find(name);
  return found == file.metadata().end() ? "" : found->second;
}

}  // namespace polariscope::train
