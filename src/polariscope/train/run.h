// A training run in a folder, from its beginning or its checkpoint to its result.
#pragma once

#include "polariscope/base/progress.h"
#include "polariscope/runs/run_options.h"
#include "polariscope/train/evaluation.h"
#include "polariscope/train/training_options.h"

#include <filesystem>

namespace polariscope::train {

// Trains, or goes on where checkpoint/last.safetensors in `folder` stands, and leaves there metrics.jsonl,
// events.out.tfevents.polariscope, the checkpoint of the last step, attention.npy (mean weights, one field a head),
// heads.json (every measured number of every head), alarms.jsonl (docs/alarms.md), of token groups cls_attention.jsonl
// and flip_example.json, and result.json (the run in a few numbers). A folder that holds a result is done. Throws
// Interrupted after the checkpoint that Ctrl-C asks for; Error where a file cannot be written. What it has computed is
// the same bits whether interrupted or not.
void run_training(const TrainingOptions& options, const runs::RunOptions& run, const std::filesystem::path& folder,
                  Progress progress);

}  // namespace polariscope::train
