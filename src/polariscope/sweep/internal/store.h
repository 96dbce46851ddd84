// The rows of one scheduler's runs in its SQLite database.
#pragma once

#include "polariscope/base/file_lock.h"
#include "polariscope/sweep/grid.h"
#include "polariscope/sweep/internal/sqlite.h"
#include "polariscope/sweep/run_end.h"
#include "polariscope/sweep/shard.h"
#include "polariscope/sweep/tally.h"

#include <filesystem>
#include <string>
#include <vector>

namespace polariscope::sweep {

// Table `run` holds settings, metrics and made_by as JSON, view `runs` a column for each of them:
//   run, state (waiting, running, done, failed), <settings>, <metrics>, seconds, failure, <made_by>
// A metric whose name is taken becomes result_<name>. Others may read while the store writes; every change is whole,
// and on disk when the call returns.
class Store {
 public:
  // Opens the shard's database in `folder`, or makes it with one waiting row for each of the shard's runs. Runs that
  // were running wait again. Throws Error if another process has it, or for a file that is no such database.
  Store(const std::filesystem::path& folder, const Grid& grid, Shard shard);

  std::vector<int> waiting() const;  // run numbers, in the order of their turns
  Tally tally() const;

  // Both throw Error where the folder is no longer at its place: runs would go where no database counts them.
  void start(int run);
  void record(const RunEnd& end);
  void put_back_running();

 private:
  void require_in_place() const;
  void create(const Grid& grid, Shard shard);
  void make_view();
  void add_metrics(const std::string& json);

  std::filesystem::path path_;
  FileLock lock_;
  Database database_;
  std::vector<std::string> settings_;
  std::vector<std::string> metrics_;  // in the order in which runs returned them
};

// Whether a database has its rows; one whose making was cut short has none. Throws Error for another program's file.
bool has_rows(const Database& database);

// What to select for a row's made_by; rows of an older program's database have none.
const char* made_by_in(const Database& database);
// Gives the table of an older program's database the columns that are missing; not its view, which Store makes anew.
void bring_up_to_date(Database& database);

// Holds a database against other writers. Throws Error if one is at work.
FileLock lock_for_writing(const std::filesystem::path& database);

}  // namespace polariscope::sweep
