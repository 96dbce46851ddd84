// A training of in-context regression in a folder, from its beginning or its checkpoint to its result.
#pragma once

#include "polariscope/base/progress.h"
#include "polariscope/runs/run_options.h"
#include "polariscope/train/regression_options.h"

#include <filesystem>

namespace polariscope::train {

// Trains, or goes on where checkpoint/last.safetensors in `folder` stands, and leaves there metrics.jsonl,
// events.out.tfevents.polariscope, the checkpoint of the last step and result.json (the run in a few numbers). The
// first loss or gradient that is not finite ends the run: its line is the log's last, result.json says so, and
// checkpoint/before_divergence.safetensors holds the parameters of the last finite step. alarms.jsonl has the alarms
// (docs/alarms.md), run.on_alarm says what else becomes of them. A folder that holds a result is done. threads: 0 for
// one a processor. Throws Interrupted after the checkpoint that Ctrl-C asks for; Error where a file cannot be written.
// What it has computed is the same bits whether interrupted or not.
void run_regression(const RegressionOptions& options, const runs::RunOptions& run, int threads,
                    const std::filesystem::path& folder, Progress progress);

}  // namespace polariscope::train
