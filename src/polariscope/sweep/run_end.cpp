#include "polariscope/sweep/run_end.h"

#include "polariscope/base/error.h"
#include "polariscope/base/files.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstring>
#include <regex>
#include <vector>

namespace polariscope::sweep {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr std::size_t kLongestLine = 200;  // bytes of a program's own words

// Some writers print NaN and infinities as such, which JSON does not know.
std::string with_nulls(const std::string& text) {
  static const std::regex kNotFinite(R"((:\s*)[+-]?(nan|inf|infinity)(?=\s*[,}]))", std::regex::icase);
  return std::regex_replace(text, kNotFinite, "$1null");
}

bool is_finite_or_text(const Json& value) {
  if (!value.is_string()) return !value.is_null();
  constexpr std::array<std::string_view, 3> kNotFinite = {"nan", "inf", "-inf"};
  return std::ranges::find(kNotFinite, value.get_ref<const std::string&>()) == kNotFinite.end();
}

// The name is to be a column's.
bool is_plain(const std::string& name) {
  return !name.empty() && std::ranges::none_of(name, [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == '"' || c == '\\' || c == '\'';
  });
}

void judge(const std::string& text, RunEnd& end) {
  Json result = Json::parse(text, nullptr, false);
  if (result.is_discarded()) result = Json::parse(with_nulls(text), nullptr, false);
  if (!result.is_object()) {
    end.failure = "result.json is no JSON object";
    return;
  }
  std::vector<std::string> not_finite;
  for (auto& [name, value] : result.items()) {
    if (value.is_structured() || !is_plain(name)) {
      end.failure = fmt::format("result.json has \"{}\", expected plain names with numbers or texts", name);
      return;
    }
    if (is_finite_or_text(value)) continue;
    not_finite.push_back(name);
    value = nullptr;
  }
  end.metrics = result.dump();
  if (!not_finite.empty()) end.failure = fmt::format("returned NaN or infinity: {}", fmt::join(not_finite, ", "));
}

std::string last_line(const std::string& text) {
  const std::size_t end = text.find_last_not_of(" \r\n\t");
  if (end == std::string::npos) return "";
  const std::size_t before = text.find_last_of("\r\n", end);
  const std::size_t begin = text.find_first_not_of(" \t", before == std::string::npos ? 0 : before + 1);
  std::string line = text.substr(begin, std::min(end + 1 - begin, kLongestLine));
  std::ranges::replace_if(
      line, [](char c) { return static_cast<unsigned char>(c) < 0x20; }, ' ');
  // A database's text is UTF-8, a program's last words may be anything.
  return Json::parse(Json(line).dump(-1, ' ', false, Json::error_handler_t::replace)).get<std::string>();
}

std::string signal_name(int signal) {
  const char* name = sigabbrev_np(signal);
  return name == nullptr ? fmt::format("signal {}", signal) : fmt::format("SIG{}", name);
}

}  // namespace

std::optional<RunEnd> read_result(const fs::path& folder) {
  const fs::path file = folder / "result.json";
  std::error_code error;
  if (!fs::exists(file, error)) return std::nullopt;
  RunEnd end;
  try {
    judge(read_file(file), end);
  } catch (const Error&) {
    end.failure = "result.json cannot be read";
  }
  const auto began = fs::last_write_time(folder / "config.toml", error);
  const auto ended = error ? began : fs::last_write_time(file, error);
  if (!error) end.seconds = std::max(0.0, std::chrono::duration<double>(ended - began).count());
  return end;
}

std::string failure_of(int status, const std::string& errors) {
  std::string failure = "no result";
  if (WIFSIGNALED(status)) failure = "killed by " + signal_name(WTERMSIG(status));
  if (WIFEXITED(status) && WEXITSTATUS(status) != 0) failure = fmt::format("exit code {}", WEXITSTATUS(status));
  const std::string line = last_line(errors);
  return line.empty() ? failure : failure + ": " + line;
}

}  // namespace polariscope::sweep
