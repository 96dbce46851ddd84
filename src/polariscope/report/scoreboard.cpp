// The table of claims, and the table of contents with its marks.
#include "polariscope/report/internal/html.h"
#include "polariscope/report/internal/parts.h"

#include <fmt/format.h>

#include <cmath>

namespace polariscope::report {
namespace {

// "Polarisation paper, figure 2" -> "Polarisation paper": what comes before the first comma.
std::string_view paper_of(const Section& section) {
  const std::string_view source = section.source;
  return source.substr(0, source.find(','));
}

// Of "A.fig2/sigma", a figure or a listing; "" where there is none.
std::string anchor_of(const Page& page, const std::string& evidence) {
  for (const Section& section : page.sections) {
    for (const Figure& figure : section.figures) {
      if (section.id + "/" + figure.id == evidence) return figure_anchor(section, figure);
    }
    for (const Listing& listing : section.listings) {
      if (section.id + "/" + listing.id == evidence) return listing_anchor(section, listing);
    }
  }
  return "";
}

// In the claim's own section first; "A.fig2/sigma" names a figure of another.
std::string evidence_anchor(const Page& page, const Section& section, const std::string& evidence) {
  if (evidence.empty()) return "";
  for (const Figure& figure : section.figures) {
    if (figure.id == evidence) return figure_anchor(section, figure);
  }
  return anchor_of(page, evidence);
}

std::string claim_row(const Page& page, const Section& section, const Claim& claim) {
  const std::string figure = evidence_anchor(page, section, claim.evidence);
  const std::string target = figure.empty() ? section_anchor(section) : figure;
  return fmt::format(
      R"(<tr id="{id}" class="{verdict}"><td class="verdict" title="{criterion}">{badge}</td>)"
      R"(<td class="statement">{statement}<details><summary>criterion</summary><p>{criterion}</p><p class="id">{name}</p></details></td>)"
      R"(<td class="source" data-label="source">{source}</td>)"
      R"(<td class="measured" data-label="measured">{measured}</td>)"
      R"(<td class="evidence"><a href="#{target}" aria-label="{link} for {name}">{link}</a></td></tr>)"
      "\n",
      fmt::arg("id", claim_anchor(section, claim)), fmt::arg("verdict", verdict_name(claim.verdict)),
      fmt::arg("criterion", escape(claim.criterion)), fmt::arg("badge", verdict_badge(claim.verdict, true)),
      fmt::arg("statement", escape(claim.statement)), fmt::arg("name", escape(claim.id)),
      fmt::arg("source", escape(claim.source)), fmt::arg("measured", escape_with_numbers(claim.measured)),
      fmt::arg("target", target), fmt::arg("link", figure.empty() ? "section" : "figure"));
}

std::string jump_list(const Page& page, Verdict verdict, std::string_view lead) {
  std::string links;
  for (const Section& section : page.sections) {
    for (const Claim& claim : section.claims) {
      if (claim.verdict != verdict) continue;
      links += fmt::format(R"(<li><a href="#{}">{}</a></li>)", claim_anchor(section, claim), escape(claim.id));
    }
  }
  if (links.empty()) return "";
  return fmt::format(R"(<div class="jump {}"><span>{} {}</span><ul>{}</ul></div>)"
                     "\n",
                     verdict_name(verdict), verdict_badge(verdict, false), lead, links);
}

std::string remark_item(const Page& page, const Remark& remark) {
  const std::string target = anchor_of(page, remark.evidence);
  const std::string link = target.empty() ? "" : fmt::format(R"( <a href="#{}">see</a>)", target);
  return fmt::format(
      R"(<li class="{}"><span aria-hidden="true">{}</span><p>{}{}<span class="criterion">{}</span></p></li>)"
      "\n",
      remark.notable ? "notable" : "plain", remark.notable ? "●" : "○", escape_with_numbers(remark.text), link,
      escape_with_numbers(remark.criterion));
}

std::string remark_list(const Page& page) {
  std::string items;
  for (const Remark& remark : page.remarks) items += remark_item(page, remark);
  return "<ul class=\"remarks\">" + items + "</ul>\n";
}

}  // namespace

Counts count(const std::vector<Claim>& claims) {
  Counts counts;
  for (const Claim& claim : claims) {
    switch (claim.verdict) {
      case Verdict::kHolds: ++counts.holds; break;
      case Verdict::kFails: ++counts.fails; break;
      case Verdict::kInconclusive: ++counts.inconclusive; break;
    }
  }
  return counts;
}

Counts count(const Page& page) {
  Counts all;
  for (const Section& section : page.sections) {
    const Counts counts = count(section.claims);
    all.holds += counts.holds;
    all.fails += counts.fails;
    all.inconclusive += counts.inconclusive;
  }
  return all;
}

std::string headline(const Counts& counts) {
  if (counts.total() == 0) return "No claim was measured";
  return fmt::format("{} of {} {}, {} {}, {} inconclusive at this size", counts.holds, counts.total(),
                     counts.total() == 1 ? "claim holds" : "claims hold", counts.fails,
                     counts.fails == 1 ? "fails" : "fail", counts.inconclusive);
}

std::string section_anchor(const Section& section) { return anchor("s-", section.id); }
std::string claim_anchor(const Section& section, const Claim& claim) {
  return anchor("c-", section.id + "/" + claim.id);
}
std::string figure_anchor(const Section& section, const Figure& figure) {
  return anchor("f-", section.id + "/" + figure.id);
}
std::string listing_anchor(const Section& section, const Listing& listing) {
  return anchor("l-", section.id + "/" + listing.id);
}

std::string verdict_badge(Verdict verdict, bool with_word) {
  const std::string_view name = verdict_name(verdict);
  return fmt::format(
      R"(<span class="badge {0}"><span aria-hidden="true">{1}</span><span class="{2}"> {0}</span></span>)", name,
      verdict_mark(verdict), with_word ? "word" : "unseen");
}

std::string scoreboard_name(const Page& page) { return page.remarks.empty() ? "Claims" : "Verdicts"; }

std::string scoreboard(const Page& page) {
  if (!page.remarks.empty()) return remark_list(page);
  std::string out = fmt::format(R"(<p class="headline">{}</p>)"
                                "\n",
                                escape(headline(count(page))));
  out += jump_list(page, Verdict::kFails, "fail");
  out += jump_list(page, Verdict::kInconclusive, "inconclusive");
  if (count(page).total() == 0) return out;

  out += R"(<table class="claims"><caption class="unseen">Every claim with its verdict</caption><thead><tr>)"
         R"(<th scope="col">verdict</th><th scope="col">claim</th><th scope="col">source</th>)"
         R"(<th scope="col">measured</th><th scope="col">evidence</th></tr></thead>)"
         "\n";
  std::string_view paper;
  bool first = true;
  for (const Section& section : page.sections) {
    if (section.claims.empty()) continue;
    out += "<tbody>";
    if (first || paper_of(section) != paper) {
      paper = paper_of(section);
      out += fmt::format(R"(<tr class="paper"><th colspan="5" scope="rowgroup">{}</th></tr>)", escape(paper));
      first = false;
    }
    out += fmt::format(
        R"(<tr class="group"><th colspan="5" scope="rowgroup"><a href="#{}"><span class="id">{}</span> {}</a></th></tr>)"
        "\n",
        section_anchor(section), escape(section.id), escape(section.title));
    for (const Claim& claim : section.claims) out += claim_row(page, section, claim);
    out += "</tbody>\n";
  }
  return out + "</table>\n";
}

std::string contents(const Page& page) {
  std::string out = fmt::format(R"(<li><a href="#scoreboard">{}</a></li>)", scoreboard_name(page));
  for (const Section& section : page.sections) {
    const Counts counts = count(section.claims);
    std::string marks;
    const auto mark = [&marks](Verdict verdict, std::size_t number) {
      if (number == 0) return;
      marks += fmt::format(
          R"(<span class="{0}"><span aria-hidden="true">{1}{2}</span><span class="unseen">{2} {0} </span></span>)",
          verdict_name(verdict), verdict_mark(verdict), number);
    };
    mark(Verdict::kFails, counts.fails);
    mark(Verdict::kInconclusive, counts.inconclusive);
    mark(Verdict::kHolds, counts.holds);
    out += fmt::format(
        R"(<li><a href="#{}" title="{}"><span class="id">{}</span><span class="marks">{}</span><span class="name">{}</span></a></li>)"
        "\n",
        section_anchor(section), escape(section.title), escape(section.id), marks, escape(section.title));
  }
  if (!page.definitions.empty()) out += R"(<li><a href="#method">Method</a></li>)";
  return out;
}

}  // namespace polariscope::report
