// Lines of files that are long, that grow, and that are cut back.
#include "polariscope/base/line_reader.h"

#include "polariscope/base/appended_file.h"
#include "polariscope/base/files.h"
#include "support/complaint.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>

#include <fstream>
#include <string>
#include <vector>

namespace polariscope::testing {
namespace {

class LineReaderTest : public ::testing::Test {
 protected:
  void append(const std::string& text) const { std::ofstream(path_, std::ios::app) << text; }
  static std::vector<std::string> all(LineReader& reader) {
    std::vector<std::string> lines;
    while (const auto line = reader.next()) lines.emplace_back(*line);
    return lines;
  }

  TemporaryFolder folder_;
  std::filesystem::path path_ = folder_.path() / "log";
};

using Lines = std::vector<std::string>;

TEST_F(LineReaderTest, GivesWholeLinesAndTheRestOnceItIsWhole) {
  append("one\n\nthree\nfo");
  LineReader reader(path_);
  EXPECT_EQ(all(reader), (Lines{"one", "", "three"}));
  EXPECT_EQ(reader.offset(), 11U);
  EXPECT_EQ(reader.lines(), 3);
  EXPECT_EQ(all(reader), Lines{});
  append("ur");
  EXPECT_EQ(all(reader), Lines{});
  append("\nfive\n");
  EXPECT_EQ(all(reader), (Lines{"four", "five"}));
  EXPECT_EQ(reader.lines(), 5);
}

TEST_F(LineReaderTest, GoesOnWhereAnotherReaderStood) {
  append("one\ntwo\nthr");
  LineReader first(path_);
  all(first);
  append("ee\nfour\n");
  LineReader second(path_, first.offset());
  EXPECT_EQ(all(second), (Lines{"three", "four"}));
  EXPECT_EQ(second.offset(), std::filesystem::file_size(path_));
}

TEST_F(LineReaderTest, GivesLinesOfAnyLengthAcrossItsPieces) {
  Lines lines;
  for (std::size_t length = 0; length < 300'000; length = 3 * length + 1) lines.push_back(std::string(length, 'x'));
  lines.push_back("last");
  for (const std::string& line : lines) append(line + "\n");
  LineReader reader(path_);
  EXPECT_EQ(all(reader), lines);
}

TEST_F(LineReaderTest, FollowsALogThatAResumeCutsBackAndWritesAgain) {
  append("1\n2\n3\n4\n");
  LineReader reader(path_);
  EXPECT_EQ(all(reader), (Lines{"1", "2", "3", "4"}));
  AppendedFile log(path_, [](std::string_view) { return 4; });
  EXPECT_EQ(all(reader), Lines{});
  for (const char* line : {"3\n", "4\n", "5\n"}) log.append(line);
  log.flush();
  EXPECT_EQ(all(reader), Lines{"5"});
}

TEST_F(LineReaderTest, ReadsTheEndOfAFileOfManyGigabytes) {
  constexpr std::uint64_t kHole = std::uint64_t{5} << 30;
  append("");
  std::filesystem::resize_file(path_, kHole);
  append("the end\n");
  LineReader reader(path_, kHole);
  EXPECT_EQ(all(reader), Lines{"the end"});
  // From its beginning the hole is one line without an end, of which only so much is read.
  LineReader endless(path_);
  EXPECT_EQ(complaint_of([&] { endless.next(); }),
            path_.string() + ", line 1: is longer than 64 MB: give a log, a record a line");
}

TEST_F(LineReaderTest, NamesAFileThatCannotBeRead) {
  EXPECT_NE(complaint_of([&] { LineReader reader(path_); }).find(path_.string()), std::string::npos);
  LineReader folder(folder_.path());
  EXPECT_NE(complaint_of([&] { folder.next(); }).find("cannot be read"), std::string::npos);
}

}  // namespace
}  // namespace polariscope::testing
