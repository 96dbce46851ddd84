#include "polariscope/report/internal/page_table.h"

#include "polariscope/report/internal/base64.h"
#include "polariscope/report/internal/html.h"
#include "polariscope/report/internal/numbers.h"

#include <bit>
#include <string_view>

namespace polariscope::report {
namespace {

static_assert(std::endian::native == std::endian::little, "page tables are written as little-endian doubles");

template <class T>
std::vector<T> every(const std::vector<T>& values, std::size_t step) {
  std::vector<T> kept;
  kept.reserve(values.size() / step + 1);
  for (std::size_t row = 0; row < values.size(); row += step) kept.push_back(values[row]);
  return kept;
}

std::string numbers(const std::vector<double>& values) {
  std::string list = "\"values\":[";
  for (const double value : values) {
    if (list.back() != '[') list += ',';
    const nlohmann::json number = number_to_json(value);
    list += number.is_string() ? number.dump() : number_text(value);
  }
  list += ']';
  const std::size_t packed = (values.size() * sizeof(double) + 2) / 3 * 4 + std::string_view(R"("float64":"")").size();
  if (list.size() <= packed) return list;
  const std::string_view bytes(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(double));
  return "\"float64\":\"" + base64(bytes) + "\"";
}

}  // namespace

std::string page_table(const Table& table, std::size_t step) {
  table.rows();  // refuses columns of unequal length
  std::string out = "{\"columns\":[";
  for (const Column& column : table.columns) {
    if (out.back() != '[') out += ',';
    out += "{\"name\":" + script_json(column.name) + ",";
    if (const auto* doubles = std::get_if<std::vector<double>>(&column.values)) {
      out += numbers(every(*doubles, step));
    } else {
      out += "\"values\":" + script_json(every(std::get<std::vector<std::string>>(column.values), step));
    }
    out += '}';
  }
  return out + "]}";
}

}  // namespace polariscope::report
