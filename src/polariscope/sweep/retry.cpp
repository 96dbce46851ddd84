#include "polariscope/sweep/retry.h"

#include "polariscope/sweep/internal/databases.h"
#include "polariscope/sweep/internal/store.h"

namespace polariscope::sweep {

int retry_failed(const std::filesystem::path& folder) {
  int put_back = 0;
  for (const std::filesystem::path& path : databases_in(folder)) {
    const FileLock lock = lock_for_writing(path);
    Database database(path, Database::Mode::kWrite);
    if (!sweep::has_rows(database)) continue;
    // First the results: a run that waits with a result would be taken for done.
    Statement failed = database.prepare("SELECT run FROM run WHERE state = 'failed'");
    while (failed.step()) {
      std::filesystem::remove(run_path(folder, static_cast<int>(failed.whole(0))) / "result.json");
      ++put_back;
    }
    database.execute(
        "UPDATE run SET state = 'waiting', metrics = '{}', seconds = NULL, failure = NULL WHERE state = 'failed'");
  }
  return put_back;
}

}  // namespace polariscope::sweep
