// The last numbers of all runs in Prometheus' text form.
#pragma once

#include "polariscope/live/watcher.h"

#include <string>

namespace polariscope::live {

inline constexpr const char* kPrometheusType = "text/plain; version=0.0.4; charset=utf-8";

// https://prometheus.io/docs/instrumenting/exposition_formats: gauges alone. polariscope_run_… say how a run is doing;
// polariscope_NAME is a number of its log's last line, of a head with its layer and head, counted from 1.
std::string prometheus_text(const WatchedRuns& runs);

}  // namespace polariscope::live
