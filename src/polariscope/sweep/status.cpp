#include "polariscope/sweep/status.h"

#include "polariscope/base/file_lock.h"
#include "polariscope/base/terminal.h"
#include "polariscope/sweep/internal/databases.h"
#include "polariscope/sweep/internal/store.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <utility>

namespace polariscope::sweep {
namespace {

constexpr std::size_t kFailuresShown = 10;

void add_failures(const Database& database, std::vector<FailureGroup>& groups) {
  Statement rows =
      database.prepare("SELECT failure, count(*), min(run) FROM run WHERE state = 'failed' GROUP BY failure");
  while (rows.step()) {
    const FailureGroup found{rows.text(0), static_cast<int>(rows.whole(1)), static_cast<int>(rows.whole(2))};
    const auto known = std::ranges::find(groups, found.failure, &FailureGroup::failure);
    if (known == groups.end()) {
      groups.push_back(found);
    } else {
      known->runs += found.runs;
      known->first = std::min(known->first, found.first);
    }
  }
}

void add_programs(const Database& database, std::vector<ProgramShare>& programs) {
  Statement rows = database.prepare(
      fmt::format("SELECT json_extract({0}, '$.program') AS program, json_extract({0}, '$.program_version'), "
                  "json_extract({0}, '$.program_commit'), count(*) FROM run WHERE state IN ('done', 'failed') "
                  "GROUP BY program ORDER BY min(turn)",
                  made_by_in(database)));
  while (rows.step()) {
    const ProgramShare found{rows.text(0), rows.text(1), rows.text(2), static_cast<int>(rows.whole(3))};
    const auto known = std::ranges::find(programs, found.program, &ProgramShare::program);
    if (known == programs.end()) {
      programs.push_back(found);
    } else {
      known->runs += found.runs;
    }
  }
}

std::string in_words(const std::vector<ProgramShare>& programs) {
  std::string text = fmt::format("made by {} programs:", programs.size());
  for (const ProgramShare& share : programs) {
    text +=
        fmt::format("{} {} run{} by {}", &share == programs.data() ? "" : ",", share.runs, share.runs == 1 ? "" : "s",
                    share.version.empty() ? share.program.empty() ? "an unknown one" : share.program
                                          : fmt::format("{} ({})", share.version, share.commit));
  }
  return text + "\n";
}

std::string table_of_states(const Tally& tally) {
  std::vector<std::vector<std::string>> rows{{"state", " runs"}};
  for (const auto& [state, runs] : {std::pair{"done", tally.done}, std::pair{"failed", tally.failed},
                                    std::pair{"running", tally.running}, std::pair{"waiting", tally.waiting}}) {
    rows.push_back({state, fmt::format("{:>5}", runs)});
  }
  return aligned_table(rows);
}

std::string table_of_failures(const std::vector<FailureGroup>& failures) {
  std::vector<std::vector<std::string>> rows{{" runs", "first", "failure"}};
  const std::size_t shown = std::min(failures.size(), kFailuresShown);
  for (std::size_t i = 0; i < shown; ++i) {
    rows.push_back(
        {fmt::format("{:>5}", failures[i].runs), fmt::format("{:05}", failures[i].first), failures[i].failure});
  }
  std::string text = aligned_table(rows);
  if (failures.size() > shown) text += fmt::format("and {} other failures\n", failures.size() - shown);
  return text;
}

}  // namespace

std::optional<double> SweepStatus::seconds_left() const {
  if (tally.running == 0 || tally.done == 0) return std::nullopt;
  return mean_seconds * (tally.waiting + 0.5 * tally.running) / tally.running;  // those that run are halfway
}

SweepStatus read_status(const std::filesystem::path& folder) {
  SweepStatus status;
  int runs = 0;
  double seconds = 0.0;
  for (const std::filesystem::path& path : databases_in(folder)) {
    const Database database(path, Database::Mode::kRead);
    if (!sweep::has_rows(database)) continue;
    Statement whole =
        database.prepare("SELECT shards, runs, (SELECT total(seconds) FROM run WHERE state = 'done') FROM sweep");
    whole.step();
    status.shards = static_cast<int>(whole.whole(0));
    runs = static_cast<int>(whole.whole(1));
    seconds += whole.number(2);
    const bool at_work = FileLock::is_held(lock_path(path));
    ++status.begun;
    status.at_work += at_work ? 1 : 0;
    const Tally tally = tally_of(database);
    status.tally.done += tally.done;
    status.tally.failed += tally.failed;
    status.tally.running += at_work ? tally.running : 0;  // the rest was cut short, and waits
    add_failures(database, status.failures);
    add_programs(database, status.programs);
  }
  Tally& tally = status.tally;
  tally.waiting = runs - tally.done - tally.failed - tally.running;
  if (tally.done > 0) status.mean_seconds = seconds / tally.done;
  std::ranges::stable_sort(status.failures, std::greater(), &FailureGroup::runs);
  return status;
}

std::string in_words(const SweepStatus& status, const std::filesystem::path& folder) {
  const Tally& tally = status.tally;
  std::string text = table_of_states(tally);
  if (!status.failures.empty()) text += "\n" + table_of_failures(status.failures);
  text += "\n";
  if (status.programs.size() > 1) text += in_words(status.programs);
  if (status.shards > 1) text += fmt::format("{} of {} shards have begun\n", status.begun, status.shards);
  if (const auto left = status.seconds_left()) {
    text += fmt::format("{} runs at once, {} each: about {} left\n", tally.running, duration(status.mean_seconds),
                        duration(*left));
  }
  if (status.at_work == 0 && tally.waiting > 0) {
    text += "nobody is at work: the command that began the sweep goes on with it\n";
  }
  const std::string typed = shell_quoted(folder.string());
  if (tally.failed > 0) text += fmt::format("to try failed runs again: polariscope sweep retry {}\n", typed);
  text += fmt::format("results: polariscope sweep export {}\n", typed);
  return text;
}

}  // namespace polariscope::sweep
