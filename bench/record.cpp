#include "bench/record.h"

#include "polariscope/base/error.h"

#include <fmt/format.h>

#include <array>

namespace polariscope::bench {
namespace {

constexpr double kMostLost = 0.05;

struct Measure {
  const char* key;
  bool more_is_better;
};

// The first that a case has is the one that counts.
constexpr std::array kMeasures{
    Measure{"ratio", true},          Measure{"fraction_of_peak", true}, Measure{"on_over_off", false},
    Measure{"over_products", false}, Measure{"ours_seconds", false},    Measure{"ours_extra_bytes", false},
};

std::optional<double> number(const nlohmann::json& one, const char* key) {
  const auto found = one.find(key);
  if (found == one.end()) return std::nullopt;
  return found->is_object() ? found->at("median").get<double>() : found->get<double>();
}

std::string date_and_place(const nlohmann::json& record) {
  return fmt::format("{}, {}; {}, commit {}", record.at("machine").get<std::string>(),
                     record.at("simd").get<std::string>(), record.at("date").get<std::string>(),
                     record.at("commit").get<std::string>());
}

}  // namespace

std::string difference(const nlohmann::json& record, const nlohmann::json& accepted) {
  for (const auto& [key, what] :
       {std::pair("machine", "machine"), {"simd", "instruction set"}, {"threads", "number of threads"}}) {
    if (record.at(key) != accepted.at(key)) {
      return fmt::format("accepted with another {}: {}, here {}", what, accepted.at(key).dump(), record.at(key).dump());
    }
  }
  return "";
}

std::optional<double> gain(const nlohmann::json& one, const nlohmann::json& accepted) {
  for (const Measure& measure : kMeasures) {
    const std::optional<double> now = number(one, measure.key), then = number(accepted, measure.key);
    if (now && then) return measure.more_is_better ? *now / *then - 1.0 : *then / *now - 1.0;
  }
  return std::nullopt;
}

nlohmann::json case_named(const nlohmann::json& record, std::string_view name) {
  for (const nlohmann::json& one : record.at("cases")) {
    if (one.at("name") == name) return one;
  }
  return nullptr;
}

std::vector<std::string> failures(const nlohmann::json& record, const nlohmann::json& accepted) {
  const bool comparable = !accepted.is_null() && difference(record, accepted).empty();
  std::vector<std::string> found;
  for (const nlohmann::json& one : record.at("cases")) {
    const auto name = one.at("name").get<std::string>();
    if (one.at("verdict") == "missed")
      found.push_back(fmt::format("{} missed {}", name, one.at("target").get<std::string>()));
    const std::optional<double> change = comparable ? gain(one, case_named(accepted, name)) : std::nullopt;
    if (change && *change < -kMostLost) found.push_back(fmt::format("{} lost {:.1f} %", name, -100.0 * *change));
  }
  return found;
}

std::string markdown(const nlohmann::json& record) {
  std::string text = "| case | ours | peer | ratio | target |\n|---|---|---|---|---|\n";
  for (const nlohmann::json& one : record.at("cases")) {
    const auto shown = [&](const char* key) { return one.at("shown").at(key).get<std::string>(); };
    const bool has_target = one.at("verdict") == "met" || one.at("verdict") == "missed";
    text += fmt::format(
        "| `{}` | {} | {} | {} | {} |\n", one.at("name").get<std::string>(), shown("ours"), shown("peer"),
        shown("ratio"),
        has_target ? fmt::format("{}, {}", one.at("target").get<std::string>(), one.at("verdict").get<std::string>())
                   : "none");
  }
  return text + fmt::format("\n{}.\n", date_and_place(record));
}

std::string with_results(const std::string& page, std::string_view name, const std::string& text) {
  const std::string begin = fmt::format("<!-- results: {} -->\n", name);
  const std::size_t from = page.find(begin);
  const std::size_t to = from == std::string::npos ? from : page.find("<!-- end of results -->\n", from);
  if (to == std::string::npos) throw Error("the page has no place for the results of \"{}\"", name);
  return page.substr(0, from + begin.size()) + text + page.substr(to);
}

}  // namespace polariscope::bench
