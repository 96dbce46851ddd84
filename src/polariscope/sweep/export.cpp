#include "polariscope/sweep/export.h"

#include "polariscope/sweep/internal/databases.h"
#include "polariscope/sweep/internal/store.h"

#include <algorithm>
#include <map>
#include <string_view>
#include <vector>

namespace polariscope::sweep {
namespace {

std::string quoted_if_needed(std::string_view cell) {
  if (cell.find_first_of(",\"\r\n") == std::string_view::npos) return std::string(cell);
  std::string text = "\"";
  for (const char c : cell) {
    if (c == '"') text += c;
    text += c;
  }
  return text + '"';
}

std::string line_of(const std::vector<std::string>& cells) {
  std::string line;
  for (const std::string& cell : cells) line += quoted_if_needed(cell) + ",";
  line.back() = '\n';
  return line;
}

// Rows of several databases, which may know different metrics.
struct Merged {
  std::vector<std::string> names;
  std::map<std::int64_t, std::map<std::string, std::string>> rows;  // by run

  void add(const Database& database) {
    Statement row = database.prepare("SELECT * FROM runs");
    const bool first = names.empty();
    for (int column = 0; column < row.columns(); ++column) {
      if (std::ranges::find(names, row.name(column)) != names.end()) continue;
      // What only a later database knows is a metric: its place is with the others, before seconds and failure.
      names.insert(first ? names.end() : std::ranges::find(names, "seconds"), row.name(column));
    }
    while (row.step()) {
      auto& cells = rows[row.whole(0)];
      for (int column = 0; column < row.columns(); ++column) cells[row.name(column)] = row.text(column);
    }
  }
};

}  // namespace

std::string sweep_as_csv(const std::filesystem::path& folder) {
  Merged merged;
  for (const std::filesystem::path& path : databases_in(folder)) {
    const Database database(path, Database::Mode::kRead);
    if (has_rows(database)) merged.add(database);
  }
  if (merged.names.empty()) return "";  // a sweep that was killed at its birth
  std::string csv = line_of(merged.names);
  for (auto& [run, row] : merged.rows) {
    std::vector<std::string> cells;
    for (const std::string& name : merged.names) cells.push_back(row[name]);
    csv += line_of(cells);
  }
  return csv;
}

}  // namespace polariscope::sweep
