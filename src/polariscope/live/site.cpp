#include "polariscope/live/site.h"

#include "polariscope/base/error.h"
#include "polariscope/live/internal/assets.h"
#include "polariscope/live/internal/curves_json.h"
#include "polariscope/live/internal/json_text.h"
#include "polariscope/live/internal/prometheus.h"
#include "polariscope/live/internal/runs_json.h"
#include "polariscope/live/token.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <string_view>
#include <utility>

namespace polariscope::live {
namespace {

constexpr const char* kJson = "application/json";

Answer not_found() { return {404, "text/plain; charset=utf-8", "not found\n"}; }

// The names of this machine to itself; a port that ssh forwards may be another one than ours.
bool is_this_machine(std::string_view host) {
  const std::size_t colon = host.find(':');
  if (colon != std::string_view::npos && host.find_first_not_of("0123456789", colon + 1) != std::string_view::npos) {
    return false;
  }
  const std::string_view name = host.substr(0, colon);
  return name == "127.0.0.1" || name == "localhost";
}

std::string text_of(const Request& request, const std::string& name) {
  const auto found = request.query.find(name);
  return found == request.query.end() ? std::string() : found->second;
}

// 0 for what is none.
std::uint64_t number_of(const Request& request, const std::string& name) {
  const std::string text = text_of(request, name);
  std::uint64_t number = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
  return failure == std::errc() && end == text.data() + text.size() ? number : 0;
}

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    if (end > begin) parts.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

Answer series(const Request& request, Watcher& watcher, WatchedRun& run) {
  const HeldCurves held{
      .epoch = number_of(request, "epoch"), .width = number_of(request, "width"), .from = number_of(request, "from")};
  Answer answer{200, kJson, ""};
  bool begun = false;
  run.with_curves(wall_clock(), [&](const RunCurves& curves) {
    begun = curves.history.buckets() > 0;
    answer.body = curves_json(curves, split(text_of(request, "columns")), held);
  });
  if (!begun) watcher.hurry();
  return answer;
}

Answer strips(const Request& request, WatchedRun& run) {
  constexpr std::size_t kMostColumns = 240;
  Answer answer{200, kJson, ""};
  run.with_curves(wall_clock(), [&](const RunCurves& curves) {
    answer.body = strips_json(curves, text_of(request, "statistic"), kMostColumns);
  });
  return answer.body.empty() ? not_found() : answer;
}

// A file that cannot be read is said to be so by the page.
Answer probes(const Request& request, WatchedRun& run, bool weights) {
  try {
    const auto found = run.probes();
    if (found == nullptr) return {200, kJson, "{\"sentences\":[]}"};
    if (!weights) return {200, kJson, probes_json(*found)};
    std::string body = probe_json(*found, number_of(request, "sentence"), number_of(request, "layer"));
    return body.empty() ? not_found() : Answer{200, kJson, std::move(body)};
  } catch (const Error& error) {
    return {200, kJson, "{\"sentences\":[],\"note\":" + json_string(error.what()) + "}"};
  }
}

Answer of_run(const Request& request, std::string_view what, Watcher& watcher) {
  const auto run = watcher.find(text_of(request, "run"));
  if (run == nullptr) return not_found();
  if (what == "series") return series(request, watcher, *run);
  if (what == "strips") return strips(request, *run);
  if (what == "alarms") return {200, kJson, alarms_json(*run->reading())};
  if (what == "probes") return probes(request, *run, false);
  if (what == "probe") return probes(request, *run, true);
  return not_found();
}

// Of an address below the token.
Answer page_or_data(const Request& request, std::string_view what, Watcher& watcher) {
  if (what.empty()) return {200, "text/html; charset=utf-8", std::string(watch_page())};
  if (what == "watch.css") return {200, "text/css; charset=utf-8", std::string(watch_style())};
  if (what == "watch.js") return {200, "text/javascript; charset=utf-8", std::string(watch_script())};
  if (what == "metrics") return {200, kPrometheusType, prometheus_text(watcher.runs())};
  if (what == "api/runs") return {200, kJson, runs_json(watcher.runs(), wall_clock())};
  if (what == "api/colours") return {200, kJson, colours_json()};
  if (what == "api/configs") return {200, kJson, configs_json(watcher.runs())};
  constexpr std::string_view kData = "api/";
  return what.starts_with(kData) ? of_run(request, what.substr(kData.size()), watcher) : not_found();
}

}  // namespace

Answer Site::answer(const Request& request) const {
  if (request.method != "GET" && request.method != "HEAD") return {405, "text/plain; charset=utf-8", "read only\n"};
  std::string_view path = request.path;
  if (!is_this_machine(request.host) || !path.starts_with('/')) return not_found();
  path.remove_prefix(1);
  const std::size_t slash = path.find('/');
  if (slash == std::string_view::npos || !same_token(token_, path.substr(0, slash))) return not_found();
  return page_or_data(request, path.substr(slash + 1), watcher_);
}

}  // namespace polariscope::live
