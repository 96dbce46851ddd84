// JSON that somebody else wrote: config.json and the index of a checkpoint in pieces.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <filesystem>
#include <string>
#include <string_view>

namespace polariscope::checkpoints {

// An object. Python's json writes Infinity, -Infinity and NaN, which JSON does not know: each is read as
// {"__float__": "Infinity"}, which is how transformers 5 writes it. `where` stands first in what it throws: Error for
// text that is no JSON object, or one nested deeper than any model's.
nlohmann::json parse_json(std::string_view text, const std::string& where);
nlohmann::json read_json(const std::filesystem::path& path);

}  // namespace polariscope::checkpoints
