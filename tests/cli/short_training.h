// A training that takes a second, for what is done to one from the command line.
#pragma once

#include "command.h"

#include <gtest/gtest.h>

#include <filesystem>

namespace polariscope::testing {

inline std::vector<std::string> train(const std::vector<std::string>& more, const char* epochs = "2") {
  std::vector<std::string> words{"train",
                                 "--layers=1",
                                 "--heads=2",
                                 "--width=16",
                                 "--batch=8",
                                 "--training-sequences=400",
                                 "--evaluation-sequences=40",
                                 "--threads=1",
                                 "--quiet",
                                 "--epochs",
                                 epochs};
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

inline void expect_done(const std::vector<std::string>& words) {
  const Outcome outcome = polariscope_run(words);
  EXPECT_EQ(outcome.code, 0) << outcome.err;
}

// All that a run computes; only events.out.tfevents.polariscope holds wall times.
inline void expect_same_run(const std::filesystem::path& one, const std::filesystem::path& other) {
  for (const char* name : {"config.toml", "metrics.jsonl", "result.json", "heads.json", "attention.npy", "alarms.jsonl",
                           "checkpoint/last.safetensors"}) {
    EXPECT_TRUE(bytes_of(one / name) == bytes_of(other / name)) << name;
  }
}

inline void expect_no_temporary_files(const std::filesystem::path& folder) {
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder))
    EXPECT_NE(entry.path().extension(), ".tmp") << entry;
}

}  // namespace polariscope::testing
