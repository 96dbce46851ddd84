// SQLite in the few words that a sweep needs. Every failure throws Error with the file and SQLite's reason.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>

struct sqlite3;
struct sqlite3_stmt;

namespace polariscope::sweep {

// A prepared statement. Columns and parameters count from 0 and from 1, as SQLite's own do.
class Statement {
 public:
  Statement& bind(int parameter, std::int64_t value);
  Statement& bind(int parameter, double value);  // NaN is NULL
  Statement& bind(int parameter, std::string_view value);

  bool step();  // to the next row; false after the last
  void run();   // to its end, and ready for other values

  int columns() const;
  std::string name(int column) const;
  std::int64_t whole(int column) const;
  double number(int column) const;
  std::string text(int column) const;  // numbers in the shortest form that reads back as the same

 private:
  friend class Database;
  struct Finalise {
    void operator()(sqlite3_stmt* statement) const;
  };
  Statement(sqlite3* database, std::string_view sql);
  void check(int code) const;
  std::unique_ptr<sqlite3_stmt, Finalise> statement_;
};

class Database {
 public:
  enum class Mode { kRead, kWrite };
  // kWrite creates the file where there is none. Others may read while it is written.
  Database(const std::filesystem::path& path, Mode mode);

  void execute(const std::string& sql);
  Statement prepare(std::string_view sql) const;

  // Runs body as one transaction, undone if it throws.
  template <class Body>
  void transaction(const Body& body) {
    execute("BEGIN IMMEDIATE");
    try {
      body();
      execute("COMMIT");
    } catch (...) {
      undo();
      throw;
    }
  }

 private:
  struct Close {
    void operator()(sqlite3* database) const;
  };
  void undo();
  std::unique_ptr<sqlite3, Close> database_;
};

}  // namespace polariscope::sweep
