// polariscope-train of a build without LibTorch.
#include "command.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>

#include <filesystem>

namespace polariscope::testing {
namespace {

TEST(WithoutLibTorch, AttentionAloneIsTrained) {
  const TemporaryFolder folder;
  const std::filesystem::path run = folder.path() / "run";
  const Outcome outcome = polariscope_run({"train", "--task", "in-context-regression", "--steps", "3", "--batch", "8",
                                           "--threads", "1", "--quiet", "--out", run.string()});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(lines_of(bytes_of(run / "metrics.jsonl")).size(), 3U);
  EXPECT_NE(bytes_of(run / "provenance.json").find("\"libtorch\": \"\""), std::string::npos);
}

TEST(WithoutLibTorch, TransformersAreRefusedInOneSentence) {
  for (const char* task : {"induction", "token-groups"}) {
    expect_refused({"train", "--task", task, "--out", "run"},
                   {task, "needs LibTorch", "install libtorch-dev and run ./dev build"});
  }
}

}  // namespace
}  // namespace polariscope::testing
