// What every head looks at in a stretch of text that stays the same: probes/latest.json, for the page that follows runs
// (docs/watching.md).
#pragma once

#include "polariscope/models/model.h"

#include <cstdint>
#include <functional>
#include <string>

namespace polariscope::train {

// {"step": 120, "sentences": [{"tokens": ["T", "h", …], "layers": [[[p, …], …], …]}]}: of each layer each head's
// weights, [tokens, tokens] row by row, to four digits. tokens: int64 [1, length]; text_of: what
// to write for one.
std::string probe_json(const models::Model& model, const at::Tensor& tokens,
                       const std::function<std::string(std::int64_t token)>& text_of, std::int64_t step);

}  // namespace polariscope::train
