// What an evaluation leaves in a run's folder.
#pragma once

#include "polariscope/train/evaluation.h"

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <string>

namespace polariscope::train {

// heads.json: every measured number of every head with its deviation over the sequences; null where not finite.
std::string heads_json(const Evaluation& evaluation);

// attention.npy: mean weights, [length, length], one field a head.
std::string maps_npy(const Evaluation& evaluation);

// The evaluation in a few numbers, for result.json: loss, accuracy, and means over the heads of `layer`, which decide
// the polarisation paper's figure 4; the largest flip rate of any head, its figure 6.
void add_numbers(const Evaluation& evaluation, std::int64_t layer, nlohmann::ordered_json& result);

}  // namespace polariscope::train
