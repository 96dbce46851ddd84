#include "polariscope/sweep/made_by.h"

#include "polariscope/base/error.h"
#include "polariscope/runs/provenance.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

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
  Json object = Json::object();
  std::array<std::string, kMadeBy.size()> last;
  for (const runs::Provenance& one : programs_of(folder)) {
    const auto texts = texts_of(one);
    for (std::size_t column = 0; column < texts.size(); ++column) {
      std::string before = object.value(kMadeBy[column], std::string());
      if (object.contains(kMadeBy[column]) && texts[column] == last[column]) continue;
      object[std::string(kMadeBy[column])] = before.empty() ? texts[column] : before + " + " + texts[column];
    }
    last = texts;
  }
  if (object.empty() && !program.empty()) object[std::string(kMadeBy[kProgram])] = program;
  return object.dump();
}

std::string program_of(const std::string& made_by) {
  return Json::parse(made_by).value(kMadeBy[kProgram], std::string());
}

}  // namespace polariscope::sweep
