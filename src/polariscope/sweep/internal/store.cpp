#include "polariscope/sweep/internal/store.h"

#include "polariscope/base/error.h"
#include "polariscope/sweep/internal/databases.h"

#include <nlohmann/json.hpp>

#include <algorithm>

namespace polariscope::sweep {
namespace {

constexpr std::int64_t kVersion = 1;         // of the tables below
constexpr std::size_t kMostColumns = 1'500;  // SQLite gives a view 2000

constexpr const char* kTables = R"(
  CREATE TABLE sweep (shard INTEGER NOT NULL, shards INTEGER NOT NULL, runs INTEGER NOT NULL);
  CREATE TABLE run (
    run INTEGER PRIMARY KEY,
    turn INTEGER NOT NULL UNIQUE,
    state TEXT NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'running', 'done', 'failed')),
    settings TEXT NOT NULL,
    metrics TEXT NOT NULL DEFAULT '{}',
    seconds REAL,
    failure TEXT);
  CREATE TABLE metric (place INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);)";

std::string column(const char* json, const std::string& name, const std::string& shown) {
  return fmt::format(", json_extract({}, '$.\"{}\"') AS \"{}\"", json, name, shown);
}

}  // namespace

bool has_rows(const Database& database) {
  Statement version = database.prepare("PRAGMA user_version");
  version.step();
  if (version.whole(0) == 0) return false;
  if (version.whole(0) == kVersion) return true;
  throw Error("the database is of version {} of a sweep, this program writes version {}: use the program that began it",
              version.whole(0), kVersion);
}

FileLock lock_for_writing(const std::filesystem::path& database) {
  if (auto lock = FileLock::take(lock_path(database))) return std::move(*lock);
  throw Error("{}: another scheduler is at work on it: let it end or stop it first", database.string());
}

Store::Store(const std::filesystem::path& folder, const Grid& grid, Shard shard)
    : lock_(lock_for_writing(database_path(folder, shard))),
      database_(database_path(folder, shard), Database::Mode::kWrite) {
  for (const GridAxis& axis : grid.axes()) settings_.push_back(axis.key);
  if (!has_rows(database_)) create(grid, shard);
  Statement metric = database_.prepare("SELECT name FROM metric ORDER BY place");
  while (metric.step()) metrics_.push_back(metric.text(0));
  put_back_running();
}

void Store::create(const Grid& grid, Shard shard) {
  database_.transaction([&] {
    database_.execute(kTables);
    const auto runs = static_cast<std::int64_t>(grid.runs().size());
    Statement sweep = database_.prepare("INSERT INTO sweep VALUES (?, ?, ?)");
    sweep.bind(1, std::int64_t{shard.index}).bind(2, std::int64_t{shard.count}).bind(3, runs).run();
    Statement row = database_.prepare("INSERT INTO run (run, turn, settings) VALUES (?, ?, ?)");
    std::int64_t turn = 0;
    for (const int number : runs_of_shard(static_cast<int>(runs), shard)) {
      const std::string settings = grid.json_of(grid.runs()[static_cast<std::size_t>(number) - 1]);
      row.bind(1, std::int64_t{number}).bind(2, ++turn).bind(3, settings).run();
    }
    make_view();
    database_.execute(fmt::format("PRAGMA user_version = {}", kVersion));
  });
}

void Store::make_view() {
  std::vector<std::string> taken{"run", "state", "seconds", "failure"};
  std::string view = "CREATE VIEW runs AS SELECT run, state";
  for (const std::string& name : settings_) {
    view += column("settings", name, name);
    taken.push_back(name);
  }
  for (const std::string& name : metrics_) {
    const bool free = std::ranges::find(taken, name) == taken.end();
    view += column("metrics", name, free ? name : "result_" + name);
  }
  database_.execute("DROP VIEW IF EXISTS runs");
  database_.execute(view + ", seconds, failure FROM run");
}

std::vector<int> Store::waiting() const {
  std::vector<int> runs;
  Statement rows = database_.prepare("SELECT run FROM run WHERE state = 'waiting' ORDER BY turn");
  while (rows.step()) runs.push_back(static_cast<int>(rows.whole(0)));
  return runs;
}

Tally Store::tally() const { return tally_of(database_); }

void Store::start(int run) {
  database_.prepare("UPDATE run SET state = 'running' WHERE run = ?").bind(1, std::int64_t{run}).run();
}

void Store::record(const RunEnd& end) {
  database_.transaction([&] {
    Statement row =
        database_.prepare("UPDATE run SET state = ?, metrics = ?, seconds = ?, failure = nullif(?, '') WHERE run = ?");
    row.bind(1, end.failure.empty() ? "done" : "failed").bind(2, end.metrics).bind(3, end.seconds);
    row.bind(4, end.failure).bind(5, std::int64_t{end.run}).run();
    add_metrics(end.metrics);
  });
}

void Store::add_metrics(const std::string& json) {
  const std::size_t before = metrics_.size();
  Statement metric = database_.prepare("INSERT INTO metric (name) VALUES (?)");
  const auto object = nlohmann::ordered_json::parse(json);
  for (const auto& [name, value] : object.items()) {
    if (metrics_.size() == kMostColumns || std::ranges::find(metrics_, name) != metrics_.end()) continue;
    metric.bind(1, name).run();
    metrics_.push_back(name);
  }
  if (metrics_.size() > before) make_view();
}

void Store::put_back_running() { database_.execute("UPDATE run SET state = 'waiting' WHERE state = 'running'"); }

}  // namespace polariscope::sweep
