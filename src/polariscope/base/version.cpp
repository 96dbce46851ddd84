// What is running where and when.
#include "polariscope/base/version.h"

#include "polariscope/base/parallel.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <polariscope_commit.h>
#include <sys/utsname.h>

#include <ctime>
#include <fstream>

namespace polariscope {
namespace {

std::string processor_name() {
  std::ifstream cpuinfo("/proc/cpuinfo");
  for (std::string line; std::getline(cpuinfo, line);) {
    const std::size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  // Linux names the model only on some processors; the architecture is better than nothing.
  utsname system = {};
  return uname(&system) == 0 ? system.machine : "unknown processor";
}

}  // namespace

std::string version() { return POLARISCOPE_VERSION; }

std::string commit() { return POLARISCOPE_COMMIT; }

std::string now_utc() { return fmt::format("{:%Y-%m-%d %H:%M} UTC", fmt::gmtime(std::time(nullptr))); }

std::string machine() {
  const int processors = processor_count();
  return fmt::format("{}, {} processor{}", processor_name(), processors, processors == 1 ? "" : "s");
}

}  // namespace polariscope
