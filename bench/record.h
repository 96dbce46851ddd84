// What --accept keeps of a run, and how a later run stands beside it. A record is the JSON that --json writes.
#pragma once

#include <nlohmann/json.hpp>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace polariscope::bench {

// What keeps two records from being compared, in words ("another processor: …"); "" if nothing does.
std::string difference(const nlohmann::json& record, const nlohmann::json& accepted);

// By how much a case is better than its accepted self, 0.1 for a tenth, by the number that counts: the ratio to the
// peer where there is one, else the part of the peak, a cost, a time, a memory. nullopt if there is none to compare.
std::optional<double> gain(const nlohmann::json& one, const nlohmann::json& accepted);

// The case of that name, null if there is none.
nlohmann::json case_named(const nlohmann::json& record, std::string_view name);

// What --check fails for, each in words: targets missed, and losses of more than a twentieth.
std::vector<std::string> failures(const nlohmann::json& record, const nlohmann::json& accepted);

// The cases as a table of Markdown, and where and when they were measured.
std::string markdown(const nlohmann::json& record);

// `page` with `text` between its lines "<!-- results: NAME -->" and "<!-- end of results -->". Throws Error if it has
// no such place.
std::string with_results(const std::string& page, std::string_view name, const std::string& text);

}  // namespace polariscope::bench
