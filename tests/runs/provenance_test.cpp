// Which program made a run, and which went on with it.
#include "polariscope/runs/provenance.h"

#include "polariscope/base/files.h"
#include "polariscope/base/version.h"
#include "support/complaint.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <regex>

namespace polariscope::testing {
namespace {

TEST(Provenance, NamesTheProgramAndWhereItRuns) {
  const runs::Provenance made_by = runs::provenance("AVX2", 3, "1.13.1");
  EXPECT_EQ(made_by.version, version());
  EXPECT_EQ(made_by.commit, commit());
  EXPECT_EQ(made_by.machine, machine());
  EXPECT_EQ(made_by.program, runs::program_fingerprint("/proc/self/exe"));
  EXPECT_TRUE(std::regex_match(made_by.begun, std::regex(R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)"))) << made_by.begun;
}

TEST(Provenance, OfAProgramChangesWithAnyByteOfItsFile) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "program";
  write_file(path, std::string("\x7f"
                               "ELF and so on\0 and on",
                               20));
  const std::string before = runs::program_fingerprint(path);
  EXPECT_EQ(before.size(), 16U);
  write_file(path, std::string("\x7f"
                               "ELF and so on\1 and on",
                               20));
  EXPECT_NE(runs::program_fingerprint(path), before);
}

TEST(Provenance, ReadsBackAsItWasWritten) {
  const TemporaryFolder folder;
  EXPECT_TRUE(runs::read_provenance(folder.path()).empty());
  const runs::Provenance made_by = runs::provenance("SCALAR", 1);
  runs::record_provenance(folder.path(), made_by);
  const auto read = runs::read_provenance(folder.path());
  ASSERT_EQ(read.size(), 1U);
  EXPECT_EQ(read[0].program, made_by.program);
  EXPECT_EQ(read[0].simd_target, "SCALAR");
  EXPECT_EQ(read[0].threads, 1);
  EXPECT_EQ(read[0].libtorch, "");
  EXPECT_EQ(read[0].begun, made_by.begun);
}

TEST(Provenance, ListsEveryProgramThatWentOnWithARunInOtherWays) {
  const TemporaryFolder folder;
  runs::Provenance made_by = runs::provenance("AVX2", 2);
  made_by.begun = "2026-01-01T00:00:00Z";
  runs::record_provenance(folder.path(), made_by);
  made_by.begun = "2026-01-02T00:00:00Z";
  runs::record_provenance(folder.path(), made_by);  // it only went on
  EXPECT_EQ(runs::read_provenance(folder.path()).size(), 1U);
  made_by.program = "0123456789abcdef";
  runs::record_provenance(folder.path(), made_by);
  made_by.threads = 1;
  runs::record_provenance(folder.path(), made_by);
  const auto read = runs::read_provenance(folder.path());
  ASSERT_EQ(read.size(), 3U);
  EXPECT_EQ(read[0].begun, "2026-01-01T00:00:00Z");
  EXPECT_EQ(read[1].program, "0123456789abcdef");
  EXPECT_EQ(read[2].threads, 1);
}

TEST(Provenance, RefusesAFileThatIsNoneOfItsOwn) {
  const TemporaryFolder folder;
  for (const char* bad : {"", "{}x", "[1]", "[{\"version\":\"1\"}]"}) {
    write_file(folder.path() / "provenance.json", bad);
    const std::string complaint = complaint_of([&] { runs::read_provenance(folder.path()); });
    EXPECT_NE(complaint.find("provenance.json"), std::string::npos) << bad << ": " << complaint;
  }
}

}  // namespace
}  // namespace polariscope::testing
