// One experiment's part of the report, as a plain value that its folder keeps as JSON.
#pragma once

#include "polariscope/report/claim.h"
#include "polariscope/report/figure.h"

#include <string>
#include <utility>
#include <vector>

namespace polariscope::report {

// Numbers to be read in the page itself, which the reader may sort by any column.
struct Listing {
  std::string id;  // unique within its section, its figures too
  std::string title, caption;
  Table table;
};

struct Section {
  std::string id;        // "A.fig2"
  std::string title;     // "Softmax weights polarise under logistic loss"
  std::string source;    // "Polarisation paper, figure 2"
  std::string question;  // one sentence
  std::string method;    // what was done, two sentences
  std::string findings;  // what the figures show, computed from the numbers
  std::vector<Claim> claims;
  std::vector<Figure> figures;
  std::vector<Listing> listings = {};
  std::vector<std::pair<std::string, std::string>> configuration;  // complete, in reading order
  std::string differences;                                         // from the paper's protocol; "" for none
  std::string command;                                             // repeats just this one
  std::vector<std::pair<std::string, std::string>> runs;           // what a run is -> its folder, from the report's
  double wall_seconds = 0.0;
};

void to_json(nlohmann::json& json, const Listing& listing);
void from_json(const nlohmann::json& json, Listing& listing);
void to_json(nlohmann::json& json, const Section& section);
void from_json(const nlohmann::json& json, Section& section);

}  // namespace polariscope::report
