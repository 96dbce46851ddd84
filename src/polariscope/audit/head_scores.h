// What heads do with tokens that come again: random tokens, then the same once more. Olsson et al. 2022, "In-context
// learning and induction heads".
#pragma once

#include "polariscope/models/pretrained/parameters.h"

#include <cstdint>
#include <vector>

namespace polariscope::audit {

// Mean p over the rows of the second half; of an encoder, which sees all tokens, too. NaN of a key that a window hides.
struct HeadScores {
  double previous_token = 0.0;  // of the key before the query's own
  double duplicate = 0.0;       // of the same token's first place
  double induction = 0.0;       // of the key after that one
};

// [layers][heads], over `texts` sequences of `tokens` random ids (a fixed seed) said twice, that begin with `first`
// where it is not negative. Throws Error where the model takes no text so long.
std::vector<std::vector<HeadScores>> head_scores(const models::PretrainedModel& model, std::int32_t first,
                                                 std::int64_t tokens, std::int64_t texts, int threads);

}  // namespace polariscope::audit
