// How runs are doing, as the page wants it.
#pragma once

#include "polariscope/live/probes.h"
#include "polariscope/live/watcher.h"

#include <string>

namespace polariscope::live {

// {"now": seconds, "runs": [{"id", "name", "phase", "step", "planned", "rate", "written", "loss", "alarms", "rescues",
// "note"}]}: "step" and "loss" are null before the first step.
std::string runs_json(const WatchedRuns& runs, double now);
// {"runs": [eight colours], "layers": [a ramp of many]}: the report's.
std::string colours_json();
// {id: {option: value}}
std::string configs_json(const WatchedRuns& runs);
// {"count": N, "rescues": N, "alarms": [{"step", "kind", "layer", "head", "sentence"}]}, of the last ones; a rescue has
// "back_to" in place of layer and head
std::string alarms_json(const RunReading& reading);

// {"step": S, "sentences": [{"tokens": [], "heads": [heads of each layer]}]}
std::string probes_json(const Probes& probes);
// {"step": S, "heads": [[N·N weights]]} of a sentence, counted from 0, in a layer, counted from 1; "" where there is
// none.
std::string probe_json(const Probes& probes, std::size_t sentence, std::size_t layer);

}  // namespace polariscope::live
