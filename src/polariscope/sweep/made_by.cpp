#include "polariscope/sweep/made_by.h"

#include "polariscope/base/error.h"
#include "polariscope/runs/provenance.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <utility>
#include <vector>

namespace polariscope::sweep {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kProgram = 2;  // its place among the columns

std::array<std::string, kMadeBy.size()> texts_of(const runs::Provenance& p) {
  return {p.version, p.commit, p.program, p.machine, p.simd_target, fmt::format("{}", p.threads), p.libtorch, p.begun};
}

// None where the file is damaged, too: a record of a run is no reason to lose it.
std::vector<runs::Provenance> programs_of(const std::filesystem::path& folder) {
  try {
    return runs::read_provenance(folder);
  } catch (const Error&) {
    return {};
  }
}

}  // namespace

std::string made_by(const std::filesystem::path& folder, const std::string& program) {
  const std::vector<runs::Provenance> programs = programs_of(folder);
  Json object = Json::object();
  for (std::size_t column = 0; column < kMadeBy.size() && !programs.empty(); ++column) {
    std::vector<std::string> different;
    for (const runs::Provenance& one : programs) {
      std::string text = texts_of(one)[column];
      if (different.empty() || different.back() != text) different.push_back(std::move(text));
    }
    object[std::string(kMadeBy[column])] = fmt::format("{}", fmt::join(different, " + "));
  }
  if (programs.empty() && !program.empty()) object[std::string(kMadeBy[kProgram])] = program;
  return object.dump();
}

std::string program_of(const std::string& made_by) {
  return Json::parse(made_by).value(kMadeBy[kProgram], std::string());
}

}  // namespace polariscope::sweep
