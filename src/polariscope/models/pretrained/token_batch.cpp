#include "polariscope/models/pretrained/token_batch.h"

#include "polariscope/base/error.h"

#include <algorithm>

namespace polariscope::models {

void require_fitting(const Description& model, std::span<const std::int32_t> ids, std::int64_t text) {
  if (ids.empty()) throw Error("text {} has no tokens: a model needs at least one", text);
  const auto wrong = std::ranges::find_if(ids, [&](std::int32_t id) { return id < 0 || id >= model.vocabulary; });
  if (wrong != ids.end()) {
    throw Error("token {} of text {} is {}: the model's {} tokens are 0 to {}", wrong - ids.begin(), text, *wrong,
                model.vocabulary, model.vocabulary - 1);
  }
  const std::int64_t most = model.learned_positions - model.position_offset;
  if (model.learned_positions > 0 && static_cast<std::int64_t>(ids.size()) > most) {
    throw Error("text {} has {} tokens: the model learned {} positions and no more, so cut texts there", text,
                ids.size(), most);
  }
}

std::vector<std::int32_t> targets_of(const Description& model, const TokenBatch& texts) {
  std::vector<std::int32_t> targets(texts.ids().begin(), texts.ids().end());
  if (!model.causal) return targets;
  for (std::int64_t t = 0; t < texts.texts(); ++t) {
    const std::int64_t start = texts.start(t), last = start + texts.length(t) - 1;
    std::shift_left(targets.begin() + start, targets.begin() + last + 1, 1);
    targets[last] = -1;
  }
  return targets;
}

}  // namespace polariscope::models
