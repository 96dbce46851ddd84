// Which program made a run of a sweep, as its row says it.
#pragma once

#include <array>
#include <filesystem>
#include <string>
#include <string_view>

namespace polariscope::sweep {

// The columns of a row that say it, in their order: those of runs::Provenance.
constexpr std::array<std::string_view, 8> kMadeBy{"program_version", "program_commit", "program",  "machine",
                                                  "simd_target",     "threads",        "libtorch", "begun"};

// What the provenance.json in a run's folder says, as a flat JSON object of texts, one for each column; of a run that
// several programs worked on, the different values with " + " between them. Where there is no such file: the program
// alone, if `program` is its fingerprint, or "{}" if it is "".
std::string made_by(const std::filesystem::path& folder, const std::string& program = "");

// The fingerprint in such an object; "" where it says none.
std::string program_of(const std::string& made_by);

}  // namespace polariscope::sweep
