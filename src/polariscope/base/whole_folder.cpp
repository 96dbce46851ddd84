#include "polariscope/base/whole_folder.h"

#include "polariscope/base/error.h"
#include "polariscope/base/files.h"
#include "polariscope/base/internal/sync_folder.h"

#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <string>
#include <system_error>

namespace polariscope {
namespace {

namespace fs = std::filesystem;

constexpr const char* kLock = "lock";

// Where links lead, without a slash at its end.
fs::path place_of(const fs::path& wanted) {
  fs::path place = fs::weakly_canonical(fs::absolute(wanted));
  return place.has_filename() ? place : place.parent_path();
}

// The one that made it locks it at once; one that nobody holds is left behind, but for the moment in between, which
// its maker sees through.
void remove_if_left_behind(const fs::path& made) {
  try {
    const auto lock = FileLock::take(made / kLock);
    std::error_code ignored;
    if (lock) fs::remove_all(made, ignored);
  } catch (const Error&) {  // what cannot be removed does no harm
  }
}

void remove_earlier_attempts(const fs::path& place) {
  const std::string start = fmt::format(".{}.", place.filename().string());
  std::error_code error;
  for (fs::directory_iterator entry(place.parent_path(), error), end; !error && entry != end; entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    std::error_code unknown;
    if (name.starts_with(start) && name.ends_with(".partial") && entry->is_directory(unknown)) {
      remove_if_left_behind(entry->path());
    }
  }
}

// What stands at `to` is then at `from`. False, with errno set, where that fails.
bool exchange(const fs::path& from, const fs::path& to) {
#ifdef RENAME_EXCHANGE
  if (renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_EXCHANGE) == 0) return true;
  if (errno != EINVAL && errno != ENOSYS) return false;
#endif
  // Three steps where the system has no single one.
  const fs::path aside = from.string() + ".old";
  if (rename(to.c_str(), aside.c_str()) != 0) return false;
  if (rename(from.c_str(), to.c_str()) != 0) {
    const int reason = errno;
    if (rename(aside.c_str(), to.c_str()) == 0) errno = reason;
    return false;
  }
  return rename(aside.c_str(), from.c_str()) == 0;
}

}  // namespace

WholeFolder::WholeFolder(const fs::path& wanted) : wanted_(place_of(wanted)) {
  static std::atomic<unsigned> count = 0;
  make_folder(wanted_.parent_path());
  remove_earlier_attempts(wanted_);
  for (;;) {
    made_ = wanted_.parent_path() / fmt::format(".{}.{}.{}.partial", wanted_.filename().string(), getpid(), count++);
    std::error_code error;
    const bool is_new = fs::create_directory(made_, error);
    if (error) throw unwritable(made_, error.value());
    if (!is_new) continue;
    try {
      if (auto lock = FileLock::take(made_ / kLock); lock && lock->is_at(made_ / kLock)) {
        lock_.emplace(std::move(*lock));
        return;
      }
    } catch (const Error&) {
      if (fs::exists(made_)) {
        fs::remove_all(made_, error);
        throw;
      }
    }
  }
}

WholeFolder::~WholeFolder() {
  std::error_code ignored;
  if (!made_.empty()) fs::remove_all(made_, ignored);
}

void WholeFolder::put_in_place() {
  std::error_code error;
  fs::remove(made_ / kLock, error);
  if (!sync_folder(made_)) throw unwritable(wanted_, errno);
  const bool placed =
      fs::exists(wanted_, error) ? exchange(made_, wanted_) : rename(made_.c_str(), wanted_.c_str()) == 0;
  if (!placed || !sync_folder(wanted_.parent_path())) throw unwritable(wanted_, errno);
  fs::remove_all(made_, error);
  made_.clear();
}

}  // namespace polariscope
