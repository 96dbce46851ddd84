// The weights of a few heads over the first tokens of a text, for looking at.
#pragma once

#include "polariscope/audit/record.h"
#include "polariscope/models/pretrained/parameters.h"

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace polariscope::audit {

struct ChosenHead {
  std::int64_t layer, head;
  std::string why;  // "the strongest sink"
};

// One of each kind that the record has: the strongest sink, the least and the most entropy, the strongest sink at
// another token than the first, and what repeats itself where that was scored.
std::vector<ChosenHead> chosen_heads(const AuditRecord& record);

struct AttentionPicture {
  ChosenHead head;
  std::vector<std::vector<double>> weights;  // [queries][keys]; NaN where a query does not see a key
};

constexpr std::int64_t kPictureTokens = 48;

// Over the first kPictureTokens of `text`. Throws Error as run_model().
std::vector<AttentionPicture> attention_pictures(const models::PretrainedModel& model,
                                                 std::span<const std::int32_t> text,
                                                 const std::vector<ChosenHead>& heads, int threads);

}  // namespace polariscope::audit
