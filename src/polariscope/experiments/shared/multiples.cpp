#include "polariscope/experiments/shared/multiples.h"

#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

namespace polariscope::experiments {
namespace {

void pad(report::Column& column, std::size_t rows) {
  if (auto* numbers = std::get_if<std::vector<double>>(&column.values)) {
    numbers->resize(rows, std::numeric_limits<double>::quiet_NaN());
  } else {
    std::get<std::vector<std::string>>(column.values).resize(rows);
  }
}

void append_values(report::Column& to, const report::Column& from) {
  std::visit(
      [&](auto& values) {
        const auto& more = std::get<std::decay_t<decltype(values)>>(from.values);
        values.insert(values.end(), more.begin(), more.end());
      },
      to.values);
}

void append(report::Table& to, const Multiple& multiple) {
  const std::size_t before = to.rows();
  if (to.columns.empty()) to.columns.push_back({"panel", std::vector<std::string>{}});
  for (const report::Column& column : multiple.table.columns) {
    auto found = std::ranges::find(to.columns, column.name, &report::Column::name);
    if (found == to.columns.end()) {
      report::Column empty = column;
      std::visit([](auto& values) { values.clear(); }, empty.values);
      pad(empty, before);
      to.columns.push_back(std::move(empty));
      found = std::prev(to.columns.end());
    }
    append_values(*found, column);
  }
  const std::size_t after = before + multiple.table.rows();
  auto& panel = std::get<std::vector<std::string>>(to.columns.front().values);
  panel.resize(after, multiple.title);
  for (report::Column& column : to.columns) pad(column, after);
}

}  // namespace

Multiple panel(std::string title, const report::SeriesChart& chart) {
  return {.title = std::move(title), .spec = report::series_chart(chart), .table = report::table_of(chart)};
}

report::Figure multiples_figure(MultiplesFigure figure, std::span<const Multiple> multiples) {
  std::vector<report::Panel> charts;
  report::Table table;
  for (const Multiple& multiple : multiples) {
    charts.push_back({multiple.title, multiple.spec});
    append(table, multiple);
  }
  return {.id = std::move(figure.id),
          .title = std::move(figure.title),
          .caption = std::move(figure.caption),
          .alternative = std::move(figure.alternative),
          .spec = report::panels(charts, figure.columns, figure.share_x),
          .table = std::move(table)};
}

}  // namespace polariscope::experiments
