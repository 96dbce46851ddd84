// Repeated, interleaved timings and their summaries.
#pragma once

#include <nlohmann/json.hpp>

#include <functional>
#include <string>
#include <vector>

namespace polariscope::bench {

// Of repeated measurements: the median, and the quartiles as its spread.
struct Summary {
  double median = 0.0, low = 0.0, high = 0.0;
};
Summary summary(std::vector<double> values);
nlohmann::json to_json(const Summary& summary);

double seconds_of(const std::function<void()>& work);  // wall time
// Processor time of this thread: what other programs take of a shared machine is not in it. The peers
// measure themselves alike.
double processor_seconds_of(const std::function<void()>& work);
// One thread by its own time; more by the clock.
double time_of(int threads, const std::function<void()>& work);

struct Pairs {
  std::vector<double> ours, peer;
  // peer / ours of each pair: neighbours in time, so that what else the machine does meets both.
  std::vector<double> ratios() const;
};
// One run of each that is not counted, then `repeats` times ours, peer, ours, peer...
Pairs interleave(int repeats, const std::function<double()>& ours, const std::function<double()>& peer);

// Of two numbers beside each other, second / first of each pair.
std::vector<double> ratios_of(const std::vector<double>& first, const std::vector<double>& second);

// "67.2 ns (±1.3 %)": the spread is half the distance between the quartiles.
std::string seconds_text(const Summary& seconds);
std::string spread_text(const Summary& value);

}  // namespace polariscope::bench
