// The keys and values at the head of a GGUF file.
#pragma once

#include "polariscope/checkpoints/internal/byte_reader.h"

#include <nlohmann/json_fwd.hpp>

#include <cstdint>

namespace polariscope::checkpoints {

// Reads `count` of them; see Gguf::metadata. Throws Error, with the key, for what is malformed.
nlohmann::json read_gguf_metadata(ByteReader& reader, std::uint64_t count);

}  // namespace polariscope::checkpoints
