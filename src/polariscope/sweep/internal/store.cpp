#include "polariscope/sweep/internal/store.h"

#include "polariscope/base/error.h"
#include "polariscope/sweep/internal/databases.h"
#include "polariscope/sweep/made_by.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <thread>

namespace polariscope::sweep {
namespace {

constexpr std::int64_t kVersion = 2;         // of the tables below; 1 had no made_by
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
    failure TEXT,
    made_by TEXT NOT NULL DEFAULT '{}');
  CREATE TABLE metric (place INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);)";

std::string column(const char* json, std::string_view name, std::string_view shown) {
  return fmt::format(", json_extract({}, '$.\"{}\"') AS \"{}\"", json, name, shown);
}

std::int64_t version_of(const Database& database) {
  Statement version = database.prepare("PRAGMA user_version");
  version.step();
  return version.whole(0);
}

std::string version_is(std::int64_t version) { return fmt::format("PRAGMA user_version = {}", version); }

}  // namespace

bool has_rows(const Database& database) {
  const std::int64_t version = version_of(database);
  if (version > kVersion) {
    throw Error("the database is of version {} of a sweep, this program knows {}: use the program that began it",
                version, kVersion);
  }
  return version > 0;
}

const char* made_by_in(const Database& database) { return version_of(database) < 2 ? "'{}'" : "made_by"; }

void bring_up_to_date(Database& database) {
  if (version_of(database) != 1) return;
  database.transaction([&] {
    database.execute("ALTER TABLE run ADD COLUMN made_by TEXT NOT NULL DEFAULT '{}'");
    database.execute(version_is(kVersion));
  });
}

FileLock lock_for_writing(const std::filesystem::path& database) {
  // A child that a killed scheduler had just forked lets go a moment after it.
  constexpr auto kPatience = std::chrono::seconds(2);
  constexpr auto kPause = std::chrono::milliseconds(10);
  const auto begun = std::chrono::steady_clock::now();
  do {
    if (auto lock = FileLock::take(lock_path(database))) {
      lock->sign();
      return std::move(*lock);
    }
    std::this_thread::sleep_for(kPause);
  } while (std::chrono::steady_clock::now() - begun < kPatience);
  throw Error("{}: another scheduler is at work on it ({}): let it end or stop it first", database.string(),
              FileLock::signature(lock_path(database)));
}

Store::Store(const std::filesystem::path& folder, const Grid& grid, Shard shard)
    : path_(absolute(database_path(folder, shard))),
      lock_(lock_for_writing(path_)),
      database_(path_, Database::Mode::kWrite) {
  for (const GridAxis& axis : grid.axes()) settings_.push_back(axis.key);
  if (!has_rows(database_)) create(grid, shard);
  bring_up_to_date(database_);
  Statement metric = database_.prepare("SELECT name FROM metric ORDER BY place");
  while (metric.step()) metrics_.push_back(metric.text(0));
  database_.transaction([&] { make_view(); });  // an older program's has fewer columns
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
    database_.execute(version_is(kVersion));
  });
}

void Store::make_view() {
  std::vector<std::string> taken{"run", "state", "seconds", "failure"};
  taken.insert(taken.end(), kMadeBy.begin(), kMadeBy.end());
  std::string view = "CREATE VIEW runs AS SELECT run, state";
  for (const std::string& name : settings_) {
    view += column("settings", name, name);
    taken.push_back(name);
  }
  for (const std::string& name : metrics_) {
    const bool free = std::ranges::find(taken, name) == taken.end();
    view += column("metrics", name, free ? name : "result_" + name);
  }
  view += ", seconds, failure";
  for (const std::string_view name : kMadeBy) view += column("made_by", name, name);
  database_.execute("DROP VIEW IF EXISTS runs");
  database_.execute(view + " FROM run");
}

std::vector<int> Store::waiting() const {
  std::vector<int> runs;
  Statement rows = database_.prepare("SELECT run FROM run WHERE state = 'waiting' ORDER BY turn");
  while (rows.step()) runs.push_back(static_cast<int>(rows.whole(0)));
  return runs;
}

Tally Store::tally() const { return tally_of(database_); }

void Store::require_in_place() const {
  if (lock_.is_at(lock_path(path_))) return;
  throw Error("{}: was moved or removed while its sweep ran: where it is now, the same command goes on",
              path_.parent_path().string());
}

void Store::start(int run) {
  require_in_place();
  database_.prepare("UPDATE run SET state = 'running' WHERE run = ?").bind(1, std::int64_t{run}).run();
}

void Store::record(const RunEnd& end) {
  require_in_place();
  database_.transaction([&] {
    Statement row = database_.prepare(
        "UPDATE run SET state = ?, metrics = ?, seconds = ?, failure = nullif(?, ''), made_by = ? WHERE run = ?");
    row.bind(1, end.failure.empty() ? "done" : "failed").bind(2, end.metrics).bind(3, end.seconds);
    row.bind(4, end.failure).bind(5, end.made_by).bind(6, std::int64_t{end.run}).run();
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
