#include "polariscope/report/table.h"

#include "polariscope/base/error.h"
#include "polariscope/report/internal/numbers.h"

#include <cmath>

namespace polariscope::report {
namespace {

std::size_t length(const Column& column) {
  return std::visit([](const auto& values) { return values.size(); }, column.values);
}

// RFC 4180, section 2: a field with a comma, quote or line break is quoted, a quote is doubled.
void append_field(std::string& out, std::string_view field) {
  if (field.find_first_of(",\"\r\n") == std::string_view::npos) {
    out += field;
    return;
  }
  out += '"';
  for (const char c : field) {
    if (c == '"') out += '"';
    out += c;
  }
  out += '"';
}

void append_cell(std::string& out, const Column& column, std::size_t row) {
  if (const auto* numbers = std::get_if<std::vector<double>>(&column.values)) {
    out += number_text((*numbers)[row]);
  } else {
    append_field(out, std::get<std::vector<std::string>>(column.values)[row]);
  }
}

}  // namespace

std::size_t Table::rows() const {
  if (columns.empty()) return 0;
  const std::size_t rows = length(columns.front());
  for (const Column& column : columns) {
    if (length(column) != rows) {
      throw Error("table: column {} has {} rows, column {} has {}: all must have the same", column.name, length(column),
                  columns.front().name, rows);
    }
  }
  return rows;
}

std::string Table::csv() const {
  std::string out;
  const std::size_t count = rows();
  for (std::size_t c = 0; c < columns.size(); ++c) {
    if (c > 0) out += ',';
    append_field(out, columns[c].name);
  }
  if (!columns.empty()) out += "\r\n";
  for (std::size_t row = 0; row < count; ++row) {
    for (std::size_t c = 0; c < columns.size(); ++c) {
      if (c > 0) out += ',';
      append_cell(out, columns[c], row);
    }
    out += "\r\n";
  }
  return out;
}

nlohmann::json Table::row_objects() const {
  auto objects = nlohmann::json::array();
  const std::size_t count = rows();
  for (std::size_t row = 0; row < count; ++row) {
    auto object = nlohmann::json::object();
    for (const Column& column : columns) {
      if (const auto* numbers = std::get_if<std::vector<double>>(&column.values)) {
        const double number = (*numbers)[row];
        object[column.name] = std::isfinite(number) ? nlohmann::json(number) : nlohmann::json(nullptr);
      } else {
        object[column.name] = std::get<std::vector<std::string>>(column.values)[row];
      }
    }
    objects.push_back(std::move(object));
  }
  return objects;
}

// Columns rather than rows: a name is written once.
void to_json(nlohmann::json& json, const Table& table) {
  auto columns = nlohmann::json::array();
  for (const Column& column : table.columns) {
    auto values = nlohmann::json::array();
    const auto* numbers = std::get_if<std::vector<double>>(&column.values);
    if (numbers != nullptr) {
      for (const double number : *numbers) values.push_back(number_to_json(number));
    } else {
      for (const auto& text : std::get<std::vector<std::string>>(column.values)) values.push_back(text);
    }
    columns.push_back(
        {{"name", column.name}, {"type", numbers != nullptr ? "number" : "text"}, {"values", std::move(values)}});
  }
  json = nlohmann::json::object();
  json["columns"] = std::move(columns);
}

void from_json(const nlohmann::json& json, Table& table) {
  table.columns.clear();
  for (const auto& column : json.at("columns")) {
    Column& added = table.columns.emplace_back();
    column.at("name").get_to(added.name);
    const auto type = column.at("type").get<std::string>();
    if (type == "number") {
      std::vector<double> numbers;
      for (const auto& value : column.at("values")) numbers.push_back(number_from_json(value));
      added.values = std::move(numbers);
    } else if (type == "text") {
      added.values = column.at("values").get<std::vector<std::string>>();
    } else {
      throw Error("table: column {} must be of type number or text, found {}", added.name, type);
    }
  }
}

}  // namespace polariscope::report
