#include "polariscope/sweep/rows.h"

#include "polariscope/sweep/internal/databases.h"
#include "polariscope/sweep/internal/store.h"

#include <fmt/format.h>

#include <algorithm>

namespace polariscope::sweep {

std::vector<SweepRow> read_rows(const std::filesystem::path& folder) {
  std::vector<SweepRow> rows;
  for (const std::filesystem::path& path : databases_in(folder)) {
    const Database database(path, Database::Mode::kRead);
    if (!sweep::has_rows(database)) continue;
    Statement row = database.prepare(
        fmt::format("SELECT run, state, settings, metrics, ifnull(seconds, 0), ifnull(failure, ''), {} FROM run",
                    made_by_in(database)));
    while (row.step()) {
      rows.push_back({.run = static_cast<int>(row.whole(0)),
                      .state = row.text(1),
                      .settings = row.text(2),
                      .metrics = row.text(3),
                      .seconds = row.number(4),
                      .failure = row.text(5),
                      .made_by = row.text(6)});
    }
  }
  std::ranges::sort(rows, {}, &SweepRow::run);
  return rows;
}

}  // namespace polariscope::sweep
