// A table that is read in the page: its headings are buttons that sort it (assets/listings.js).
#include "polariscope/base/terminal.h"
#include "polariscope/report/internal/html.h"
#include "polariscope/report/internal/numbers.h"
#include "polariscope/report/internal/parts.h"

#include <fmt/format.h>

#include <cmath>

namespace polariscope::report {
namespace {

// As a person reads it; the full number is beside it, to sort by and for the CSV.
std::string number_cell(double value) {
  const std::string exact =
      std::isinf(value) ? (value > 0 ? "Infinity" : "-Infinity") : number_text(value);  // as JavaScript reads it
  return fmt::format(R"(<td class="number" data-value="{}">{}</td>)", exact,
                     std::isnan(value) ? "" : significant(value));
}

std::string cell(const Column& column, std::size_t row) {
  if (const auto* numbers = std::get_if<std::vector<double>>(&column.values)) return number_cell((*numbers)[row]);
  return fmt::format("<td>{}</td>", escape(std::get<std::vector<std::string>>(column.values)[row]));
}

}  // namespace

std::string listing_html(const Section& section, const Listing& listing) {
  std::string headings, body;
  for (const Column& column : listing.table.columns) {
    const bool numbers = std::holds_alternative<std::vector<double>>(column.values);
    headings += fmt::format(R"(<th scope="col"{}><button type="button" data-action="sort">{}</button></th>)",
                            numbers ? " class=\"number\"" : "", escape(column.name));
  }
  for (std::size_t row = 0; row < listing.table.rows(); ++row) {
    body += "<tr>";
    for (const Column& column : listing.table.columns) body += cell(column, row);
    body += "</tr>\n";
  }
  return fmt::format(
      R"(<div class="listing" id="{id}" data-stem="{stem}"><h4 id="{id}-t">{title}</h4><p class="caption">{caption}</p>)"
      R"(<div class="scroll" tabindex="0" role="region" aria-labelledby="{id}-t"><table><thead><tr>{headings}</tr></thead><tbody>{body}</tbody></table></div>)"
      R"(<div class="tools"><button type="button" data-action="rows" title="Download the rows" aria-label="Download the rows: {title}">CSV</button></div></div>)"
      "\n",
      fmt::arg("id", listing_anchor(section, listing)), fmt::arg("stem", escape(file_stem(section, listing.id))),
      fmt::arg("title", escape(listing.title)), fmt::arg("caption", escape(listing.caption)),
      fmt::arg("headings", headings), fmt::arg("body", body));
}

}  // namespace polariscope::report
