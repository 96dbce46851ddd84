// Where a flow begins: arrays of the user's, as JSON.
#pragma once

#include "polariscope/flow/start.h"

#include <nlohmann/json_fwd.hpp>

#include <filesystem>
#include <string>

namespace polariscope::flow {

// Sizes that the arrays of `arrays` imply, over those of `options`: V or U gives d and k, a gives k (and
// rows), beta, X and p_star give d and n.
StartOptions sized_by(const nlohmann::json& arrays, Model model, Loss loss, StartOptions options);

// Overwrites what the JSON object holds of V, U (rows of numbers), a, beta, X, p_star. For the KL loss V
// has one row a token, as in the paper (logits Vᵀσ(a)). Throws Error for unknown keys, ragged rows,
// numbers that are not finite, and shapes that do not fit. `where` names the file in errors.
void apply_arrays(Start& start, const nlohmann::json& arrays, const std::string& where);

// Reads a file of such arrays; NaN and Infinity, which JSON lacks, are named rather than a syntax error.
nlohmann::json read_arrays(const std::filesystem::path& path);

// V or U as JSON rows, in the orientation that apply_arrays reads.
nlohmann::json values_as_rows(const Problem& problem, const State& state);

}  // namespace polariscope::flow
