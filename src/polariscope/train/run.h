// A training in a folder, from its beginning or its checkpoint to its result.
#pragma once

#include "polariscope/base/progress.h"
#include "polariscope/runs/run_folder.h"
#include "polariscope/runs/run_options.h"
#include "polariscope/train/trainable.h"

namespace polariscope::train {

// Trains from step 0, or goes on where checkpoint/last.safetensors in `folder` stands, and leaves there metrics.jsonl,
// events.out.tfevents.polariscope, alarms.jsonl (docs/alarms.md), the checkpoint of the last step, what the training
// adds, provenance.json and result.json (the run in a few numbers). The first loss or gradient that is not finite ends
// the run: its line is the log's last, the result says `diverged`, and checkpoint/before_divergence.safetensors holds
// the parameters before it. With options.rescue an alarm or such a number takes the run back to checkpoint/
// rescue-STEP.safetensors, the latest of a hundred steps before or more, and on another course (train/course.h): the
// logs are cut back to that step, what they had of the steps behind it is kept as rescue-N.jsonl, and alarms.jsonl has
// a line for it. The alarm after the last rescue ends the run. A folder that holds a result is done. Throws Interrupted
// after the checkpoint that Ctrl-C asks for; Error where a file cannot be written or the checkpoint is of another run.
// What it has computed is the same bits whether interrupted or not.
void run_training(Trainable& training, const runs::RunOptions& options, const runs::RunFolder& folder,
                  Progress progress);

}  // namespace polariscope::train
