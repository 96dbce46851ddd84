// polariscope sweep: its commands' mistakes, and a sweep from run to export.
#include "command.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>

#include <filesystem>

namespace polariscope::testing {
namespace {

// Nothing that could be trained: such runs fail at once, which is all that these tests need.
const std::string kGrid = "task = \"induction\"\nheads = 3\nlayers = 1\nseed = [1, 2]\n";

TEST(SweepCommand, IsRefusedAtOnceWhereNothingCanTrain) {
  if (POLARISCOPE_LIBTORCH) GTEST_SKIP() << "transformers can be trained";
  expect_refused({"sweep", "run", "induction", "--out", "x"}, {"training a transformer needs LibTorch"});
}

TEST(SweepCommand, RefusesMistakesInOneSentence) {
  const std::vector<std::pair<std::vector<std::string>, std::vector<std::string>>> refusals{
      {{"sweep", "stauts"}, {"unknown command \"stauts\"", "did you mean \"status\"?"}},
      {{"sweep", "run"}, {"run needs to know what", "induction-quick"}},
      {{"sweep", "run", "induction"}, {"run needs --out"}},
      {{"sweep", "run", "inducton", "--out", "x"}, {"unknown grid \"inducton\"", "\"induction\""}},
      {{"sweep", "run", "gone.toml", "--out", "x"}, {"gone.toml", "cannot be read"}},
      {{"sweep", "run", "induction", "--out", ""}, {"--out is empty"}},
      {{"sweep", "run", "induction", "--out", "x", "--jbos", "2"}, {"unknown option \"--jbos\"", "\"--jobs\""}},
      {{"sweep", "run", "induction", "--out", "x", "--jobs", "-1"}, {"--jobs is -1"}},
      {{"sweep", "run", "induction", "--out", "x", "--jobs", "two"}, {"--jobs is \"two\"", "a number"}},
      {{"sweep", "run", "induction", "--out", "x", "--limit", "0"}, {"--limit is 0", "above 0"}},
      {{"sweep", "run", "induction", "--out", "x", "--shard", "3"}, {"--shard: \"3\"", "3/8"}},
      {{"sweep", "run", "induction", "x", "--out", "x"}, {"\"x\" is one argument too many"}},
      {{"sweep", "status"}, {"status needs to know what"}},
      {{"sweep", "status", "nowhere"}, {"nowhere: holds no sweep"}},
      {{"sweep", "report", "nowhere"}, {"nowhere: holds no sweep"}},
      {{"sweep", "retry", "nowhere"}, {"nowhere: holds no sweep"}},
      {{"sweep", "export", "nowhere"}, {"nowhere: holds no sweep"}},
      {{"sweep", "export", "nowhere", "--csv"}, {"unknown option \"--csv\""}},
  };
  for (const auto& [arguments, words] : refusals) expect_refused(arguments, words);
}

TEST(SweepCommand, NamesTheLineOfAGrid) {
  const TemporaryFolder folder;
  write_bytes(folder.path() / "grid.toml", "task = \"induction\"\nattention = [\"softmax\", \"sofmax\"]\n");
  expect_refused_in(folder.path(), {"sweep", "run", "grid.toml", "--out", "x"},
                    {"grid.toml, line 2", "unknown attention \"sofmax\"", "\"softmax\""});
}

TEST(SweepCommand, TakesAShippedGridThoughAFolderHasItsName) {
  if (!POLARISCOPE_LIBTORCH) GTEST_SKIP() << "there is no LibTorch to train transformers with";
  const TemporaryFolder folder;
  std::filesystem::create_directory(folder.path() / "induction");
  write_bytes(folder.path() / "induction/cat.jpg", "miaow");
  expect_refused_in(folder.path(), {"sweep", "run", "induction", "--out", "induction"},
                    {"holds no run of Polariscope"});
}

TEST(SweepCommand, AloneShowsItsHelp) {
  const Outcome outcome = polariscope_run({"sweep"});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_EQ(outcome.out, polariscope_run({"sweep", "--help"}).out);
}

TEST(SweepCommand, RunsRecordsRetriesAndExports) {
  if (!POLARISCOPE_LIBTORCH) GTEST_SKIP() << "there is no LibTorch to train transformers with";
  const TemporaryFolder folder;
  write_bytes(folder.path() / "grid.toml", kGrid);
  Surroundings surroundings;
  surroundings.folder = folder.path();
  const auto run = [&](std::vector<std::string> arguments) {
    return polariscope_run(std::move(arguments), surroundings);
  };
  const Outcome swept = run({"sweep", "run", "grid.toml", "--out", "sweep"});
  EXPECT_EQ(swept.code, 1) << swept.err;
  EXPECT_NE(swept.out.find("failed       2\n"), std::string::npos) << swept.out;
  EXPECT_EQ(swept.out, run({"sweep", "status", "sweep"}).out);
  const std::string csv = run({"sweep", "export", "sweep"}).out;
  EXPECT_TRUE(csv.starts_with("run,state,task,heads,layers,seed,")) << csv;
  EXPECT_EQ(run({"sweep", "export", "sweep", "--out", "sweep.csv"}).code, 0);
  EXPECT_EQ(bytes_of(folder.path() / "sweep.csv"), csv);
  const Outcome report = run({"sweep", "report", "sweep"});
  EXPECT_EQ(report.code, 2);
  EXPECT_NE(report.err.find("none of its 2 runs is done yet"), std::string::npos) << report.err;
  EXPECT_EQ(run({"sweep", "retry", "sweep"}).out,
            "2 failed runs put back: the command that began the sweep goes on with them\n");
  EXPECT_NE(run({"sweep", "status", "sweep"}).out.find("waiting      2\n"), std::string::npos);
}

}  // namespace
}  // namespace polariscope::testing
