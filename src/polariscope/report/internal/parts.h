// The parts of the page as HTML.
#pragma once

#include "polariscope/report/page.h"

#include <string>
#include <vector>

namespace polariscope::report {

struct Counts {
  std::size_t holds = 0, fails = 0, inconclusive = 0;
  std::size_t total() const { return holds + fails + inconclusive; }
};
Counts count(const std::vector<Claim>& claims);
Counts count(const Page& page);

// "31 of 36 claims hold, 3 fail, 2 inconclusive at this size".
std::string headline(const Counts& counts);

// Anchors, so that links and their targets are spelt in one place.
std::string section_anchor(const Section& section);
std::string claim_anchor(const Section& section, const Claim& claim);
std::string figure_anchor(const Section& section, const Figure& figure);
std::string listing_anchor(const Section& section, const Listing& listing);

// "✓" with its word beside it for those who do not see the mark.
std::string verdict_badge(Verdict verdict, bool with_word);

// Claims with their verdicts, or remarks where there are some.
std::string scoreboard_name(const Page& page);
std::string scoreboard(const Page& page);
std::string contents(const Page& page);

// "A.fig2-sigma": a file name from the ids of a section and a part of it.
std::string file_stem(const Section& section, const std::string& part);

std::string listing_html(const Section& section, const Listing& listing);

// One experiment. `table_steps[f]`: every how many rows of figure f's table are put into the page.
std::string section_html(const Section& section, const std::vector<std::size_t>& table_steps);

}  // namespace polariscope::report
