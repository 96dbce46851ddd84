#include "polariscope/sweep/local_workers.h"

#include "polariscope/base/file_lock.h"
#include "polariscope/base/files.h"
#include "polariscope/sweep/internal/held_program.h"
#include "polariscope/sweep/internal/process.h"
#include "polariscope/sweep/made_by.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <fstream>
#include <iterator>
#include <optional>
#include <thread>
#include <utility>

namespace polariscope::sweep {
namespace {

using Clock = std::chrono::steady_clock;

constexpr auto kGrace = std::chrono::seconds(10);  // to write a checkpoint after SIGTERM

constexpr std::streamoff kTail = 4096;  // bytes that surely hold the last line

std::string tail_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  file.seekg(std::max<std::streamoff>(0, file.tellg() - kTail));
  return {std::istreambuf_iterator<char>(file), {}};
}

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

}  // namespace

struct LocalWorkers::Place {
  Job job;
  Clock::time_point start = Clock::now();
  std::unique_ptr<Process> process;  // none while one of an earlier scheduler still holds the run
  bool too_long = false;

  std::filesystem::path errors() const { return job.folder / "stderr.txt"; }

  // The file for standard error stays locked while any process that writes to it lives: a killed scheduler's run is
  // never executed beside itself.
  std::optional<RunEnd> begin(const RunCommand& command, HeldProgram& program) {
    const std::optional<FileLock> lock = FileLock::take(errors());
    if (!lock) return std::nullopt;
    if (auto end = read_result(job.folder)) return end;
    if (ftruncate(lock->descriptor(), 0) != 0) return std::nullopt;  // tried again, up to the limit
    write_file(job.folder / "config.toml", job.config);
    std::vector<std::string> words = command.program;
    words.insert(words.end(), {(job.folder / "config.toml").string(), "--out", job.folder.string(), "--quiet"});
    start = Clock::now();
    process = std::make_unique<Process>(program.executable(), words, lock->descriptor());
    return std::nullopt;
  }

  RunEnd end_of(int status, const RunCommand& command) const {
    RunEnd end;
    if (auto result = read_result(job.folder)) {
      end = std::move(*result);
    } else if (too_long) {
      end.failure = fmt::format("ran longer than its limit of {} s", command.limit);
    } else {
      end.failure = failure_of(status, tail_of(errors()));
    }
    end.seconds = seconds_since(start);
    return end;
  }

  // How the run ended, once it has.
  std::optional<RunEnd> look(const RunCommand& command, HeldProgram& program) {
    if (process == nullptr) {
      if (auto end = begin(command, program)) return end;
      if (process == nullptr && seconds_since(start) > command.limit) {
        return RunEnd{.failure = "a process of an earlier attempt does not end", .seconds = seconds_since(start)};
      }
      return std::nullopt;
    }
    if (const auto status = process->status()) return end_of(*status, command);
    if (!too_long && seconds_since(start) > command.limit) {
      too_long = true;
      process->send(SIGKILL);
    }
    return std::nullopt;
  }
};

LocalWorkers::LocalWorkers(RunCommand command, int places)
    : command_(std::move(command)),
      program_(std::make_unique<HeldProgram>(command_.program.front())),
      places_(places) {}

LocalWorkers::~LocalWorkers() = default;

bool LocalWorkers::has_place() const { return static_cast<int>(taken_.size()) < places_; }

void LocalWorkers::start(Job job) {
  make_folder(job.folder);
  taken_.push_back(std::make_unique<Place>());
  taken_.back()->job = std::move(job);
}

std::vector<RunEnd> LocalWorkers::ended() {
  std::vector<RunEnd> ends;
  std::erase_if(taken_, [&](const std::unique_ptr<Place>& place) {
    auto end = place->look(command_, *program_);
    if (!end) return false;
    end->run = place->job.run;
    end->made_by = made_by(place->job.folder, program_->fingerprint());
    ends.push_back(std::move(*end));
    return true;
  });
  return ends;
}

void LocalWorkers::stop() {
  for (const auto& place : taken_) {
    if (place->process) place->process->send(SIGTERM);
  }
  const Clock::time_point start = Clock::now();
  const auto runs = [](const std::unique_ptr<Place>& place) { return place->process && !place->process->status(); };
  while (std::ranges::any_of(taken_, runs) && Clock::now() - start < kGrace) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  taken_.clear();
}

}  // namespace polariscope::sweep
