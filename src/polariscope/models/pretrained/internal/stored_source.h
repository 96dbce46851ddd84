// A parameter out of the tensors that a source names.
#pragma once

#include "polariscope/checkpoints/checkpoint.h"
#include "polariscope/models/pretrained/sources.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace polariscope::models {

// The name of a source's part; of one that is not stacked its only part's is 0.
std::string part_name(const Source& source, std::int64_t part);

// Throws Error, with tensor and parameter, if a tensor is missing, of a type that is not read or does not give this
// shape.
void check_source(const checkpoints::Checkpoint& checkpoint, std::string_view parameter, const Source& source,
                  const std::vector<std::int64_t>& shape);

// Rows [first, first + count) of a parameter of `columns`, as check_source found it.
void read_source(const checkpoints::Checkpoint& checkpoint, const Source& source, std::int64_t columns,
                 std::int64_t first, std::int64_t count, float* into);

}  // namespace polariscope::models
