// What made a run: provenance.json in its folder, so that a number can be traced to the code and machine it is from.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace polariscope::runs {

struct Provenance {
  std::string version, commit;  // base/version.h
  std::string program;          // its fingerprint: another one for any change of the program's file
  std::string machine;          // base/version.h
  std::string simd_target;      // "AVX2"
  int threads = 1;
  std::string libtorch = "";  // its version; "" for a program without
  std::string begun = "";     // when it took up the run, UTC: "2026-11-28T13:44:05Z"
};

// Of this program, taking up a run now.
Provenance provenance(std::string simd_target, int threads, std::string libtorch = "");

// Of this program, and of a program's file: 16 hexadecimal digits. Throws Error for a file that cannot be read.
std::string program_fingerprint();
std::string program_fingerprint(const std::filesystem::path& program);

// Adds `made_by` to the folder's provenance.json, a list in the order of time: one entry where one program made the
// whole run, and none for a run that goes on as it was, in all but the time. Throws Error where it cannot be written.
void record_provenance(const std::filesystem::path& folder, const Provenance& made_by);

// Empty where the folder has no such list.
std::vector<Provenance> read_provenance(const std::filesystem::path& folder);

}  // namespace polariscope::runs
