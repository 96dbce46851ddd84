// What every head looks at in a stretch of text that stays the same: probes/latest.json, for the page that follows runs
// (docs/watching.md).
#pragma once

#include "polariscope/models/model.h"

#include <cstdint>
#include <string>

namespace polariscope::train {

// {"step": 120, "sentences": [{"tokens": ["T", "h", …], "layers": [[[p, …], …], …]}]}: of each layer each head's
// weights, [tokens, tokens] row by row, to four digits. tokens: int64 [1, length]. bytes: whether tokens are bytes of
// text, which are written as such; others by their numbers.
std::string probe_json(const models::Model& model, const at::Tensor& tokens, bool bytes, std::int64_t step);

}  // namespace polariscope::train
