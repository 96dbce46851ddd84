#include "polariscope/sweep/retry.h"

#include "polariscope/sweep/internal/databases.h"
#include "polariscope/sweep/internal/store.h"
#include "polariscope/sweep/made_by.h"

#include <fmt/format.h>

#include <vector>

namespace polariscope::sweep {
namespace {

constexpr const char* kWait =
    "UPDATE run SET state = 'waiting', metrics = '{}', seconds = NULL, failure = NULL, made_by = '{}'";

}  // namespace

int retry_failed(const std::filesystem::path& folder) {
  int put_back = 0;
  for (const std::filesystem::path& path : databases_in(folder)) {
    const FileLock lock = lock_for_writing(path);
    Database database(path, Database::Mode::kWrite);
    if (!sweep::has_rows(database)) continue;
    bring_up_to_date(database);
    // First the results: a run that waits with a result would be taken for done.
    Statement failed = database.prepare("SELECT run FROM run WHERE state = 'failed'");
    while (failed.step()) {
      std::filesystem::remove(run_path(folder, static_cast<int>(failed.whole(0))) / "result.json");
      ++put_back;
    }
    database.execute(fmt::format("{} WHERE state = 'failed'", kWait));
  }
  return put_back;
}

int put_back_others(const std::filesystem::path& folder, const std::string& program) {
  int put_back = 0;
  for (const std::filesystem::path& path : any_databases_in(folder)) {
    const FileLock lock = lock_for_writing(path);
    Database database(path, Database::Mode::kWrite);
    if (!sweep::has_rows(database)) continue;
    bring_up_to_date(database);
    std::vector<std::int64_t> ended;
    Statement row = database.prepare("SELECT run, state IN ('done', 'failed'), made_by FROM run");
    while (row.step()) {
      const std::filesystem::path of_run = run_path(folder, static_cast<int>(row.whole(0)));
      const bool has_ended = row.whole(1) != 0;
      const bool is_new = !has_ended && !std::filesystem::exists(of_run);
      if (is_new || program_of(has_ended ? row.text(2) : made_by(of_run)) == program) continue;
      // First the folder: a run that waits with a result would be taken for done.
      std::filesystem::remove_all(of_run);
      if (has_ended) ended.push_back(row.whole(0));
    }
    Statement wait = database.prepare(fmt::format("{} WHERE run = ?", kWait));
    database.transaction([&] {
      for (const std::int64_t run : ended) wait.bind(1, run).run();
    });
    put_back += static_cast<int>(ended.size());
  }
  return put_back;
}

}  // namespace polariscope::sweep
