#include "polariscope/sweep/internal/sqlite.h"

#include "polariscope/base/error.h"

#include <sqlite3.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace polariscope::sweep {
namespace {

constexpr int kPatience = 60'000;  // milliseconds to wait for a notebook that locks the file

[[noreturn]] void fail(sqlite3* database) {
  const char* file = sqlite3_db_filename(database, "main");
  throw Error("{}: {}", file == nullptr ? "the database" : file, sqlite3_errmsg(database));
}

// Readers beside a writer (WAL) need memory that they share, which file systems over a network do not give them.
bool is_on_a_network(const std::filesystem::path& path) {
  constexpr std::array<long, 8> kNetworks = {
      0x6969, 0x517B, 0xFF534D42, 0xFE534D42, 0x0BD00BD0, 0x47504653, 0x19830326, 0x65735546,
  };  // NFS, SMB, CIFS, SMB2, Lustre, GPFS, BeeGFS, FUSE
  struct statfs status = {};
  return statfs(path.c_str(), &status) == 0 &&
         std::ranges::find(kNetworks, static_cast<long>(status.f_type)) != kNetworks.end();
}

// An archive, where SQLite can make none of the files that readers of WAL share. Without a log beside it the file is
// all there is, and nobody writes it.
bool is_frozen(const std::filesystem::path& path) {
  const std::filesystem::path log = path.string() + "-wal";
  std::error_code error;
  return access(path.parent_path().c_str(), W_OK) != 0 && !exists(log, error);
}

std::string uri_of(const std::filesystem::path& path) {
  std::string uri = "file:";
  for (const char c : path.string()) {
    const bool special = c == '%' || c == '?' || c == '#';
    uri += special ? fmt::format("%{:02X}", static_cast<unsigned>(c)) : std::string(1, c);
  }
  return uri;
}

}  // namespace

void Statement::Finalise::operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }

Statement::Statement(sqlite3* database, std::string_view sql) {
  sqlite3_stmt* statement = nullptr;
  if (sqlite3_prepare_v2(database, sql.data(), static_cast<int>(sql.size()), &statement, nullptr) != SQLITE_OK) {
    fail(database);
  }
  statement_.reset(statement);
}

void Statement::check(int code) const {
  if (code != SQLITE_OK) fail(sqlite3_db_handle(statement_.get()));
}

Statement& Statement::bind(int parameter, std::int64_t value) {
  check(sqlite3_bind_int64(statement_.get(), parameter, value));
  return *this;
}

Statement& Statement::bind(int parameter, double value) {
  check(sqlite3_bind_double(statement_.get(), parameter, value));
  return *this;
}

Statement& Statement::bind(int parameter, std::string_view value) {
  check(sqlite3_bind_text64(statement_.get(), parameter, value.data(), value.size(), SQLITE_TRANSIENT, SQLITE_UTF8));
  return *this;
}

bool Statement::step() {
  const int code = sqlite3_step(statement_.get());
  if (code == SQLITE_ROW) return true;
  if (code != SQLITE_DONE) fail(sqlite3_db_handle(statement_.get()));
  return false;
}

void Statement::run() {
  while (step()) {
  }
  check(sqlite3_reset(statement_.get()));
}

int Statement::columns() const { return sqlite3_column_count(statement_.get()); }

std::string Statement::name(int column) const { return sqlite3_column_name(statement_.get(), column); }

std::int64_t Statement::whole(int column) const { return sqlite3_column_int64(statement_.get(), column); }

double Statement::number(int column) const { return sqlite3_column_double(statement_.get(), column); }

std::string Statement::text(int column) const {
  // SQLite's own text of a number has 15 digits.
  if (sqlite3_column_type(statement_.get(), column) == SQLITE_FLOAT) return fmt::format("{}", number(column));
  const unsigned char* text = sqlite3_column_text(statement_.get(), column);
  return text == nullptr ? "" : reinterpret_cast<const char*>(text);
}

void Database::Close::operator()(sqlite3* database) const { sqlite3_close_v2(database); }

Database::Database(const std::filesystem::path& place, Mode mode) {
  const int flags = mode == Mode::kRead ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
  // Debian's SQLite takes every name for a URI that begins as one: a path with a slash in front does not.
  const std::filesystem::path path = absolute(place);
  const bool frozen = mode == Mode::kRead && is_frozen(path);
  const std::string name = frozen ? uri_of(path) + "?immutable=1" : path.string();
  sqlite3* database = nullptr;
  const int code = sqlite3_open_v2(name.c_str(), &database, flags | (frozen ? SQLITE_OPEN_URI : 0), nullptr);
  database_.reset(database);
  if (code != SQLITE_OK) throw Error("{}: cannot be opened ({})", path.string(), sqlite3_errstr(code));
  sqlite3_busy_timeout(database, kPatience);
  if (mode == Mode::kRead) return;
  execute(is_on_a_network(path) ? "PRAGMA journal_mode = TRUNCATE" : "PRAGMA journal_mode = WAL");
}

void Database::execute(const std::string& sql) {
  if (sqlite3_exec(database_.get(), sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) fail(database_.get());
}

Statement Database::prepare(std::string_view sql) const { return Statement(database_.get(), sql); }

void Database::undo() { sqlite3_exec(database_.get(), "ROLLBACK", nullptr, nullptr, nullptr); }

}  // namespace polariscope::sweep
