#include "polariscope/base/appended_file.h"

#include "polariscope/base/files.h"
#include "support/complaint.h"
#include "support/small_disk.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>

#include <string>
#include <thread>

namespace polariscope {
namespace {

using testing::complaint_of;
using testing::SmallDisk;
using testing::TemporaryFolder;

std::size_t nothing(std::string_view /*contents*/) { return 0; }
std::size_t everything(std::string_view contents) { return contents.size(); }

TEST(AppendedFile, KeepsWhatItIsToldToAndAppends) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "log";
  write_file(path, "one\ntwo\nthr");
  AppendedFile file(path, [](std::string_view contents) { return contents.rfind('\n') + 1; });
  EXPECT_EQ(file.size(), 8U);
  file.append("three\n");
  EXPECT_EQ(file.size(), 14U);
  file.flush();
  EXPECT_EQ(read_file(path), "one\ntwo\nthree\n");
}

TEST(AppendedFile, MakesAFileThatIsNotThere) {
  const TemporaryFolder folder;
  AppendedFile(folder.path() / "log", everything).append("x");
  EXPECT_EQ(read_file(folder.path() / "log"), "x");
}

TEST(AppendedFile, WritesAboutOnceASecond) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "log";
  AppendedFile file(path, nothing);
  file.append("a");
  EXPECT_EQ(read_file(path), "");
  std::this_thread::sleep_for(std::chrono::milliseconds(1100));
  file.append("b");
  EXPECT_EQ(read_file(path), "ab");
}

TEST(AppendedFile, AFullDiskLeavesWholeRecordsAndTheRestWaits) {
  const SmallDisk disk(64);
  if (!disk.unavailable().empty()) GTEST_SKIP() << disk.unavailable();
  const auto path = disk.path() / "log";
  const std::string record(10'000, 'r');
  write_file(disk.path() / "ballast", std::string(40'000, 'b'));
  AppendedFile file(path, nothing);
  file.append(record);
  file.flush();
  const std::string complaint = complaint_of([&] {
    for (int i = 0; i < 4; ++i) file.append(record);
    file.flush();
  });
  EXPECT_NE(complaint.find("No space left on device"), std::string::npos) << complaint;
  EXPECT_NE(complaint.find(path.string()), std::string::npos) << complaint;
  EXPECT_EQ(read_file(path), record);
  std::filesystem::remove(disk.path() / "ballast");
  file.flush();
  EXPECT_EQ(read_file(path).size(), 5 * record.size());
}

TEST(AppendedFile, RefusesAPlaceThatCannotBeWritten) {
  const TemporaryFolder folder;
  const std::string complaint = complaint_of([&] { AppendedFile(folder.path() / "none" / "log", nothing); });
  EXPECT_NE(complaint.find("No such file or directory"), std::string::npos) << complaint;
  EXPECT_NE(complaint_of([&] { AppendedFile("/dev/full", nothing); }), "");
}

}  // namespace
}  // namespace polariscope
