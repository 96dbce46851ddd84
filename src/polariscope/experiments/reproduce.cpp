#include "polariscope/experiments/reproduce.h"

#include "polariscope/base/error.h"
#include "polariscope/base/files.h"
#include "polariscope/base/interrupt.h"
#include "polariscope/base/parallel.h"
#include "polariscope/base/run_folder.h"
#include "polariscope/base/version.h"
#include "polariscope/experiments/definitions.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <iterator>
#include <mutex>
#include <optional>

namespace polariscope {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// Changes with any change of the program: a result is only as good as the code that made it.
std::string program_fingerprint() {
  std::ifstream self("/proc/self/exe", std::ios::binary);
  if (!self) return version() + " " + commit();
  std::uint64_t hash = 0xcbf29ce484222325;  // FNV-1a
  for (std::istreambuf_iterator<char> byte(self), end; byte != end; ++byte) {
    hash = (hash ^ static_cast<unsigned char>(*byte)) * 0x100000001b3;
  }
  return fmt::format("{:016x}", hash);
}

std::string command_for(const ReproduceOptions& options, const std::vector<std::string>& ids) {
  std::string command = "polariscope reproduce";
  for (const std::string& id : ids) command += " " + id;
  return command + fmt::format(" --preset {} --seed {}", preset_name(options.preset), options.seed);
}

std::optional<Section> stored_section(const fs::path& path, const std::string& program) {
  if (!fs::exists(path)) return std::nullopt;
  try {
    const auto stored = nlohmann::json::parse(read_file(path));
    if (stored.at("program") != program) return std::nullopt;
    return stored.at("section").get<Section>();
  } catch (const nlohmann::json::exception&) {
    return std::nullopt;  // not a section of ours: made again
  } catch (const Error&) {
    return std::nullopt;  // likewise
  }
}

std::string now_utc() {
  const std::time_t now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  std::tm utc{};
  gmtime_r(&now, &utc);
  return fmt::format("{:04}-{:02}-{:02} {:02}:{:02} UTC", utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday, utc.tm_hour,
                     utc.tm_min);
}

}  // namespace

Reproduction reproduce(const ReproduceOptions& options, ProgressBoard& board) {
  std::vector<const Experiment*> experiments;
  for (const std::string& id : options.ids) {
    const Experiment& experiment = find_experiment(id);
    if (std::find(experiments.begin(), experiments.end(), &experiment) == experiments.end()) {
      experiments.push_back(&experiment);
    }
  }
  if (experiments.empty()) {
    for (const Experiment& experiment : catalogue()) experiments.push_back(&experiment);
  }
  if (options.jobs < 0) throw Error("--jobs is {}: it must be at least 1 (0 takes one per processor)", options.jobs);
  open_run_folder(options.out, fmt::format("command = \"reproduce\"\npreset = \"{}\"\nseed = {}\n",
                                           preset_name(options.preset), options.seed));

  const std::string program = program_fingerprint();
  const int jobs =
      std::clamp(options.jobs == 0 ? processor_count() : options.jobs, 1, static_cast<int>(experiments.size()));
  std::vector<std::optional<Section>> sections(experiments.size());
  Reproduction result;
  std::mutex mutex;  // guards result

  parallel_for(static_cast<std::int64_t>(experiments.size()), jobs, [&](std::int64_t index) {
    const Experiment& experiment = *experiments[index];
    const fs::path folder = options.out / experiment.id;
    if (auto stored = stored_section(folder / "section.json", program)) {
      sections[index] = std::move(stored);
      const std::lock_guard lock(mutex);
      ++result.reused;
      return;
    }
    if (interrupted()) return;
    const auto began = Clock::now();
    try {
      Section section = experiment.run({.preset = options.preset,
                                        .seed = options.seed,
                                        .threads = std::max(1, processor_count() / jobs),
                                        .progress = [&](std::uint64_t total, std::string unit) {
                                          return board.start(std::string(experiment.id), total, std::move(unit));
                                        }});
      section.id = experiment.id;
      section.title = experiment.title;
      section.source = experiment.source;
      section.question = experiment.question;
      section.command = command_for(options, {std::string(experiment.id)});
      section.wall_seconds = seconds_since(began);
      make_folder(folder);
      write_file(folder / "section.json", nlohmann::json{{"program", program}, {"section", section}}.dump());
      sections[index] = std::move(section);
    } catch (const Interrupted&) {
    } catch (const Error& error) {
      const std::lock_guard lock(mutex);
      result.errors.push_back(fmt::format("{}: {}", experiment.id, error.what()));
    }
  });

  result.interrupted = interrupted();
  Page& page = result.page;
  page.title = "Polariscope: the value–softmax laboratory";
  page.preset = preset_name(options.preset);
  page.command = command_for(options, options.ids);
  page.date = now_utc();
  page.machine = machine();
  page.version = fmt::format("{} ({})", version(), commit());
  page.definitions = definitions();
  for (std::size_t i = 0; i < experiments.size(); ++i) {
    if (sections[i]) {
      // Of a section that was done before, what it took then.
      page.wall_seconds += sections[i]->wall_seconds;
      page.sections.push_back(std::move(*sections[i]));
    } else {
      page.unfinished.emplace_back(experiments[i]->id);
    }
  }
  result.report = options.out / "report.html";
  write_file(result.report, render(page));
  return result;
}

}  // namespace polariscope
