// The whole report: sections -> one self-contained HTML file.
#pragma once

#include "polariscope/report/section.h"

#include <string>
#include <utility>
#include <vector>

namespace polariscope::report {

// What was found, in words, at the head of a page that judges no claims.
struct Remark {
  bool notable = false;   // set apart from what is as it should be
  std::string text;       // "layer 17: 8 of 9 heads are sinks"
  std::string criterion;  // what that means, with its threshold and source
  std::string evidence;   // "section/figure"; "": none
};

struct Page {
  std::string title;                 // "Polariscope: the value–softmax laboratory"
  std::string preset;                // "quick", "paper"
  std::string command;               // repeats the whole
  std::string date;                  // ISO 8601, UTC
  std::string machine;               // processor, threads
  std::string version;               // version and commit
  double wall_seconds = 0.0;         // of its experiments together, though they may have run side by side
  std::vector<Remark> remarks = {};  // in place of a scoreboard of claims
  std::vector<Section> sections;
  std::vector<std::string> unfinished;  // ids asked for and not done (interrupted), named at the top
  std::vector<std::pair<std::string, std::string>> skipped;      // ids that cannot be done here -> why
  std::vector<std::pair<std::string, std::string>> definitions;  // method: quantity -> definition used
};

// Fills date, machine and version: of this program, now.
void stamp(Page& page);

// One HTML document: styles, scripts, figures and CSV inside; no network request.
// Ids, statements and captions may hold any text: all of it is escaped.
std::string render(const Page& page);

}  // namespace polariscope::report
