#include "bench/measure.h"

#include "polariscope/base/quantiles.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <ctime>

namespace polariscope::bench {

Summary summary(std::vector<double> values) {
  if (values.empty()) return {};
  std::sort(values.begin(), values.end());
  return {median_of_sorted(values), quantile_of_sorted(values, 0.25), quantile_of_sorted(values, 0.75)};
}

nlohmann::json to_json(const Summary& s) { return {{"median", s.median}, {"low", s.low}, {"high", s.high}}; }

double seconds_of(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double processor_seconds_of(const std::function<void()>& work) {
  const auto now = [] {
    timespec time{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
  };
  const double start = now();
  work();
  return now() - start;
}

double time_of(int threads, const std::function<void()>& work) {
  return threads == 1 ? processor_seconds_of(work) : seconds_of(work);
}

std::vector<double> ratios_of(const std::vector<double>& first, const std::vector<double>& second) {
  std::vector<double> ratios;
  for (std::size_t i = 0; i < first.size(); ++i) ratios.push_back(second[i] / first[i]);
  return ratios;
}

std::vector<double> Pairs::ratios() const { return ratios_of(ours, peer); }

Pairs interleave(int repeats, const std::function<double()>& ours, const std::function<double()>& peer) {
  ours();
  peer();
  Pairs pairs;
  for (int i = 0; i < repeats; ++i) {
    pairs.ours.push_back(ours());
    pairs.peer.push_back(peer());
  }
  return pairs;
}

std::string spread_text(const Summary& value) {
  return fmt::format("±{:.1f} %", 50.0 * (value.high - value.low) / value.median);
}

std::string seconds_text(const Summary& seconds) {
  const double s = seconds.median;
  const auto [factor, unit] = s < 1e-6   ? std::pair(1e9, "ns")
                              : s < 1e-3 ? std::pair(1e6, "µs")
                              : s < 1.0  ? std::pair(1e3, "ms")
                                         : std::pair(1.0, "s");
  return fmt::format("{:.4g} {} ({})", s * factor, unit, spread_text(seconds));
}

}  // namespace polariscope::bench
