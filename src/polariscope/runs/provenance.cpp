#include "polariscope/runs/provenance.h"

#include "polariscope/base/error.h"
#include "polariscope/base/files.h"
#include "polariscope/base/fingerprint.h"
#include "polariscope/base/mapped_file.h"
#include "polariscope/base/version.h"

#include <fmt/chrono.h>
#include <nlohmann/json.hpp>

#include <ctime>
#include <utility>

namespace polariscope::runs {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kFile = "provenance.json";

Json json_of(const Provenance& p) {
  return {{"version", p.version},         {"commit", p.commit},   {"program", p.program},   {"machine", p.machine},
          {"simd_target", p.simd_target}, {"threads", p.threads}, {"libtorch", p.libtorch}, {"begun", p.begun}};
}

Provenance provenance_of(const Json& json) {
  return {.version = json.at("version"),
          .commit = json.at("commit"),
          .program = json.at("program"),
          .machine = json.at("machine"),
          .simd_target = json.at("simd_target"),
          .threads = json.at("threads"),
          .libtorch = json.at("libtorch"),
          .begun = json.at("begun")};
}

bool differ_in_time_alone(Provenance one, const Provenance& other) {
  one.begun = other.begun;
  return json_of(one) == json_of(other);
}

}  // namespace

Provenance provenance(std::string simd_target, int threads, std::string libtorch) {
  return {.version = version(),
          .commit = commit(),
          .program = program_fingerprint(),
          .machine = machine(),
          .simd_target = std::move(simd_target),
          .threads = threads,
          .libtorch = std::move(libtorch),
          .begun = fmt::format("{:%FT%TZ}", fmt::gmtime(std::time(nullptr)))};
}

std::string program_fingerprint() {
  // The file that is running, even where another one stands at its place by now.
  static const std::string kOfThis = program_fingerprint("/proc/self/exe");
  return kOfThis;
}

std::string program_fingerprint(const std::filesystem::path& program) {
  return fmt::format("{:016x}", fingerprint(MappedFile(program).bytes()));
}

void record_provenance(const std::filesystem::path& folder, const Provenance& made_by) {
  std::vector<Provenance> programs = read_provenance(folder);
  if (!programs.empty() && differ_in_time_alone(programs.back(), made_by)) return;
  programs.push_back(made_by);
  Json list = Json::array();
  for (const Provenance& one : programs) list.push_back(json_of(one));
  write_file(folder / kFile, list.dump(1) + "\n");
}

std::vector<Provenance> read_provenance(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / kFile;
  std::vector<Provenance> programs;
  if (!std::filesystem::exists(path)) return programs;
  try {
    for (const Json& one : Json::parse(read_file(path))) programs.push_back(provenance_of(one));
  } catch (const Json::exception&) {
    throw Error("{}: is no list of programs as Polariscope writes it: move it away", path.string());
  }
  return programs;
}

}  // namespace polariscope::runs
