// One experiment: question, method, findings, claims, figures, and what is folded away.
#include "polariscope/report/internal/html.h"
#include "polariscope/report/internal/page_table.h"
#include "polariscope/report/internal/parts.h"

#include <fmt/format.h>

#include <cctype>

namespace polariscope::report {
namespace {

std::string paragraph(std::string_view css_class, std::string_view text) {
  if (text.empty()) return "";
  return fmt::format("<p class=\"{}\">{}</p>\n", css_class, escape(text));
}

std::string fold(std::string_view title, std::string_view body) {
  return fmt::format("<details class=\"fold\"><summary>{}</summary>{}</details>\n", escape(title), body);
}

std::string claim_list(const Section& section) {
  if (section.claims.empty()) return "";
  std::string items;
  for (const Claim& claim : section.claims) {
    items +=
        fmt::format(R"(<li><a href="#{}" aria-label="row of the scoreboard">{}</a><span>{} <em>{}</em></span></li>)",
                    claim_anchor(section, claim), verdict_badge(claim.verdict, false), escape(claim.statement),
                    escape_with_numbers(claim.measured));
  }
  return fmt::format("<ul class=\"verdicts\">{}</ul>\n", items);
}

std::string csv_note(const Figure& figure, std::size_t step) {
  const std::size_t rows = figure.table.rows();
  std::string note = fmt::format("{} rows × {} columns", rows, figure.table.columns.size());
  if (step > 1) {
    note += fmt::format("; this page holds every {}th row, the experiment's own folder holds all", step);
  }
  return note;
}

std::string figure_html(const Section& section, const Figure& figure, std::size_t step, std::size_t number) {
  const std::string id = figure_anchor(section, figure);
  nlohmann::json spec = figure.spec;
  if (spec.is_object()) spec["description"] = figure.alternative;
  const nlohmann::json::json_pointer hint_path("/usermeta/polariscope/hint");
  std::string hint;
  if (spec.contains(hint_path)) {
    hint = fmt::format(R"( <span class="hint">{}</span>)", escape(spec.at(hint_path).get<std::string>()));
  }
  const bool has_table = !figure.table.columns.empty();
  std::string buttons;
  const auto button = [&](std::string_view action, std::string_view purpose) {
    buttons += fmt::format(R"(<button type="button" data-action="{}" title="{}" aria-label="{}: {}">{}</button>)",
                           action, purpose, purpose, escape(figure.title), action);
  };
  if (has_table) button("CSV", "Download the numbers");
  button("SVG", "Download as a vector image");
  button("PNG", "Download as a pixel image");
  button("JSON", "Download the Vega-Lite specification");
  return fmt::format(
      R"(<figure id="{id}" data-stem="{stem}" aria-labelledby="{id}-t">)"
      R"(<h4 id="{id}-t"><span class="number">Figure {number}</span> {title}</h4>)"
      R"(<div class="plot" role="img" aria-label="{alternative}"><p class="waiting">{alternative}</p></div>)"
      R"(<figcaption>{caption}{hint}</figcaption>)"
      R"(<div class="tools" role="group" aria-label="Downloads: {title}">{buttons}</div>)"
      R"(<script type="application/json" class="spec">{spec}</script>)"
      R"(<script type="application/json" class="table" data-rows="{rows}">{table}</script></figure>)"
      "\n",
      fmt::arg("id", id), fmt::arg("stem", escape(file_stem(section, figure.id))),
      fmt::arg("title", escape(figure.title)), fmt::arg("number", number),
      fmt::arg("alternative", escape(figure.alternative)), fmt::arg("caption", escape(figure.caption)),
      fmt::arg("hint", hint), fmt::arg("buttons", buttons), fmt::arg("spec", script_json(spec)),
      fmt::arg("rows", (figure.table.rows() + step - 1) / step), fmt::arg("table", page_table(figure.table, step)));
}

std::string numbers_fold(const Section& section, const std::vector<std::size_t>& steps) {
  std::string items;
  for (std::size_t f = 0; f < section.figures.size(); ++f) {
    const Figure& figure = section.figures[f];
    if (figure.table.columns.empty()) continue;
    items += fmt::format(
        R"(<li><button type="button" data-action="CSV" data-figure="{}" aria-label="Download the numbers: {}">{}.csv</button> )"
        R"(<span>{}: {}</span></li>)",
        figure_anchor(section, figure), escape(figure.title), escape(file_stem(section, figure.id)),
        escape(figure.title), csv_note(figure, steps[f]));
  }
  return items.empty() ? "" : fold("Numbers", "<ul class=\"numbers\">" + items + "</ul>");
}

std::string configuration_fold(const Section& section) {
  if (section.configuration.empty()) return "";
  std::string rows;
  for (const auto& [name, value] : section.configuration) {
    rows += fmt::format("<tr><th scope=\"row\">{}</th><td>{}</td></tr>", escape(name), escape(value));
  }
  return fold("Configuration", "<table class=\"configuration\"><tbody>" + rows + "</tbody></table>");
}

// Of a report that was moved without its folders the links lead nowhere; their names stay.
std::string runs_fold(const Section& section) {
  if (section.runs.empty()) return "";
  std::string items;
  for (const auto& [name, folder] : section.runs) {
    items += fmt::format(R"(<li><a href="{}/">{}</a> <span class="id">{}</span></li>)", escape(folder), escape(name),
                         escape(folder));
  }
  return fold("Folders of the runs", "<ul class=\"runs\">" + items + "</ul>");
}

}  // namespace

std::string file_stem(const Section& section, const std::string& part) {
  std::string stem = section.id + "-" + part;
  for (char& c : stem) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0 && c != '.' && c != '-') c = '_';
  }
  return stem;
}

std::string section_html(const Section& section, const std::vector<std::size_t>& table_steps) {
  std::string out = fmt::format(
      R"(<section id="{}" class="experiment" aria-labelledby="{}-t"><header><p class="source"><span class="id">{}</span> {}</p>)"
      R"(<h2 id="{}-t">{}</h2></header>)"
      "\n",
      section_anchor(section), section_anchor(section), escape(section.id), escape(section.source),
      section_anchor(section), escape(section.title));
  out += paragraph("question", section.question);
  out += paragraph("method", section.method);
  for (std::size_t f = 0; f < section.figures.size(); ++f) {
    out += figure_html(section, section.figures[f], table_steps[f], f + 1);
  }
  for (const Listing& listing : section.listings) out += listing_html(section, listing);
  if (!section.findings.empty()) {
    out += fmt::format("<div class=\"findings\"><h3>What it shows</h3>{}</div>\n", paragraph("", section.findings));
  }
  out += claim_list(section);
  out += "<div class=\"folds\">";
  out += configuration_fold(section);
  out += numbers_fold(section, table_steps);
  out += runs_fold(section);
  if (!section.command.empty()) {
    out += fold(
        "Command for just this experiment",
        fmt::format(R"(<p class="command"><code>{}</code><button type="button" data-action="copy">copy</button></p>)",
                    escape(section.command)));
  }
  if (!section.differences.empty()) {
    out += fold("Differences from the paper’s protocol", paragraph("", section.differences));
  }
  out += "</div>";
  if (section.wall_seconds > 0.0) out += paragraph("took", "Took " + duration(section.wall_seconds) + ".");
  return out + "</section>\n";
}

}  // namespace polariscope::report
