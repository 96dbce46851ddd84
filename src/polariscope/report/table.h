// Numbers behind a figure: named columns of equal length.
#pragma once

#include <nlohmann/json.hpp>

#include <string>
#include <variant>
#include <vector>

namespace polariscope::report {

struct Column {
  std::string name;
  std::variant<std::vector<double>, std::vector<std::string>> values;
};

struct Table {
  std::vector<Column> columns;

  std::size_t rows() const;
  // RFC 4180, full precision; NaN and infinities as "nan", "inf", "-inf".
  std::string csv() const;
  // Row objects for a Vega-Lite `data.values`, non-finite numbers as null.
  nlohmann::json row_objects() const;
};

void to_json(nlohmann::json& json, const Table& table);
void from_json(const nlohmann::json& json, Table& table);

}  // namespace polariscope::report
