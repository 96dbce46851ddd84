#include "polariscope/runs/event_file.h"

#include "polariscope/base/files.h"
#include "polariscope/runs/crc32c.h"
#include "support/complaint.h"
#include "support/small_disk.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>
#include <stdexcept>
#include <utility>
#include <vector>

namespace polariscope {
namespace {

using testing::complaint_of;
using testing::SmallDisk;
using testing::TemporaryFolder;

struct Event {
  double wall_time = 0.0;
  std::uint64_t step = 0;
  std::string version;
  std::vector<std::pair<std::string, float>> scalars;
  std::size_t end = 0;  // of its record in the file
};

// Reads by the formats' definitions, in any order of fields, and throws at whatever is not as they say.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}

  bool at_end() const { return bytes_.empty(); }
  std::string_view take(std::size_t count) {
    if (count > bytes_.size()) throw std::runtime_error("a record ends early");
    const std::string_view taken = bytes_.substr(0, count);
    bytes_.remove_prefix(count);
    return taken;
  }
  template <class T>
  T number() {
    T value;
    std::memcpy(&value, take(sizeof value).data(), sizeof value);
    return value;
  }
  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (unsigned shift = 0;; shift += 7) {
      const auto byte = number<std::uint8_t>();
      value |= std::uint64_t{byte & 0x7FU} << shift;
      if (byte < 0x80) return value;
    }
  }
  std::string_view counted() { return take(varint()); }

 private:
  std::string_view bytes_;
};

void check_crc(std::string_view bytes, std::uint32_t masked) {
  const std::uint32_t rotated = masked - 0xA282EAD8U;
  if ((rotated >> 17U | rotated << 15U) != runs::crc32c(bytes)) throw std::runtime_error("a checksum is wrong");
}

std::pair<std::string, float> scalar_of(Reader value) {
  std::pair<std::string, float> scalar;
  while (!value.at_end()) {
    switch (value.varint()) {
      case 1 << 3 | 2: scalar.first = value.counted(); break;
      case 2 << 3 | 5: scalar.second = value.number<float>(); break;
      default: throw std::runtime_error("unknown field of a value");
    }
  }
  return scalar;
}

Event event_of(Reader data) {
  Event event;
  while (!data.at_end()) {
    switch (data.varint()) {
      case 1 << 3 | 1: event.wall_time = data.number<double>(); break;
      case 2 << 3 | 0: event.step = data.varint(); break;
      case 3 << 3 | 2: event.version = data.counted(); break;
      case 5 << 3 | 2:
        for (Reader summary(data.counted()); !summary.at_end();) {
          if (summary.varint() != (1 << 3 | 2)) throw std::runtime_error("unknown field of a summary");
          event.scalars.push_back(scalar_of(Reader(summary.counted())));
        }
        break;
      default: throw std::runtime_error("unknown field of an event");
    }
  }
  return event;
}

std::vector<Event> events_of(const std::string& bytes) {
  std::vector<Event> events;
  std::size_t position = 0;
  for (Reader reader(bytes); !reader.at_end();) {
    const std::string_view length = reader.take(8);
    check_crc(length, reader.number<std::uint32_t>());
    const std::string_view data = reader.take(Reader(length).number<std::uint64_t>());
    check_crc(data, reader.number<std::uint32_t>());
    events.push_back(event_of(Reader(data)));
    events.back().end = position += 16 + data.size();
  }
  return events;
}

std::vector<std::uint64_t> steps_of(const std::filesystem::path& path) {
  std::vector<std::uint64_t> steps;
  for (const Event& event : events_of(read_file(path))) {
    if (event.version.empty()) steps.push_back(event.step);
  }
  return steps;
}

class EventFileTest : public ::testing::Test {
 protected:
  // Steps 0 to `last`, the step as the only number.
  std::string write_steps(std::int64_t last) {
    {
      runs::EventFile file(path_, -1, 1e9);
      for (std::int64_t step = 0; step <= last; ++step) {
        file.write(step, 1e9, std::vector<runs::NamedNumber>{{"step", static_cast<double>(step)}});
      }
    }
    return read_file(path_);
  }

  TemporaryFolder folder_;
  std::filesystem::path path_ = folder_.path() / "events.out.tfevents.0.polariscope";
};

TEST_F(EventFileTest, BeginsAsEveryFileOfTensorBoard) {
  runs::EventFile(path_, -1, 1.7e9);
  const std::string bytes = read_file(path_);
  // Length 24 and its checksum as in any file that TensorFlow wrote.
  EXPECT_EQ(bytes.substr(0, 13), std::string("\x18\0\0\0\0\0\0\0\xa3\x7fK\"\x09", 13));
  EXPECT_EQ(bytes.substr(21, 15),
            "\x1a\x0d"
            "brain.Event:2");
  const auto events = events_of(bytes);
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events[0].wall_time, 1.7e9);
  EXPECT_EQ(events[0].step, 0U);
}

TEST_F(EventFileTest, PointsComeBackAsTheyWereWritten) {
  const std::string long_tag(300, 't');
  {
    runs::EventFile file(path_, -1, 1.0);
    file.write(0, 2.5, std::vector<runs::NamedNumber>{{"loss", 0.25}, {"layer 0/entropy", -1e-3}, {long_tag, 1e300}});
    file.write(std::int64_t{1} << 40, 3.5, std::vector<runs::NamedNumber>{{"loss", std::nan("")}});
    file.write((std::int64_t{1} << 40) + 1, 4.5, {});
  }
  const auto events = events_of(read_file(path_));
  ASSERT_EQ(events.size(), 4U);
  EXPECT_EQ(events[0].version, "brain.Event:2");
  EXPECT_EQ(events[1].wall_time, 2.5);
  EXPECT_EQ(events[1].step, 0U);
  EXPECT_EQ(events[1].scalars,
            (std::vector<std::pair<std::string, float>>{
                {"loss", 0.25F}, {"layer 0/entropy", -1e-3F}, {long_tag, std::numeric_limits<float>::infinity()}}));
  EXPECT_EQ(events[2].step, std::uint64_t{1} << 40);
  EXPECT_TRUE(std::isnan(events[2].scalars.at(0).second));
  EXPECT_TRUE(events[3].scalars.empty());
}

TEST_F(EventFileTest, FlushWritesWhatWaits) {
  runs::EventFile file(path_, -1, 1.0);
  file.write(0, 1.0, {});
  file.flush();
  EXPECT_EQ(events_of(read_file(path_)).size(), 2U);
}

TEST_F(EventFileTest, AResumedRunHasNoPointTwice) {
  write_steps(300);
  {
    runs::EventFile file(path_, 199, 2e9);
    file.write(200, 2e9, {});
  }
  const auto steps = steps_of(path_);
  ASSERT_EQ(steps.size(), 201U);
  for (std::size_t i = 0; i < steps.size(); ++i) ASSERT_EQ(steps[i], i);
  EXPECT_EQ(events_of(read_file(path_))[0].wall_time, 1e9) << "the beginning is the first run's";
}

TEST_F(EventFileTest, MinusOneBeginsAnew) {
  write_steps(3);
  runs::EventFile(path_, -1, 2e9);
  const auto events = events_of(read_file(path_));
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events[0].wall_time, 2e9);
}

TEST_F(EventFileTest, WhereverAKillCutTheFileItsWholeRecordsAreKept) {
  const std::string whole = write_steps(3);
  const auto events = events_of(whole);
  for (std::size_t size = 0; size <= whole.size(); ++size) {
    write_file(path_, whole.substr(0, size));
    runs::EventFile(path_, 3, 1e9);
    std::size_t kept = events[0].end;  // the version, which a file that lost it gets again
    for (const Event& event : events) kept = event.end <= size ? event.end : kept;
    ASSERT_EQ(read_file(path_), whole.substr(0, kept)) << size;
  }
}

TEST_F(EventFileTest, ADamagedRecordAndWhatFollowsAreCut) {
  const std::string whole = write_steps(3);
  const auto events = events_of(whole);
  for (std::size_t at = events[1].end; at < events[2].end; ++at) {
    std::string damaged = whole;
    damaged[at] ^= 0x10;
    write_file(path_, damaged);
    runs::EventFile(path_, 3, 1e9);
    ASSERT_EQ(read_file(path_), whole.substr(0, events[1].end)) << at;
  }
}

TEST_F(EventFileTest, ResumesAFileOfAnySizeFromItsEnd) {
  const std::string records = write_steps(5000);
  const auto events = events_of(records);
  constexpr std::uint64_t kHole = std::uint64_t{5} << 30;
  write_file(path_, "");
  std::filesystem::resize_file(path_, kHole);
  std::ofstream(path_, std::ios::app) << records;
  { const runs::EventFile file(path_, 5000, 1e9); }
  EXPECT_EQ(std::filesystem::file_size(path_), kHole + records.size());
  { const runs::EventFile file(path_, 1000, 1e9); }
  EXPECT_EQ(std::filesystem::file_size(path_), kHole + events[1001].end);
}

TEST_F(EventFileTest, AFullDiskLeavesWholeRecords) {
  const SmallDisk disk(16);
  if (!disk.unavailable().empty()) GTEST_SKIP() << disk.unavailable();
  const auto path = disk.path() / "tfevents";
  runs::EventFile file(path, -1, 1.0);
  file.flush();
  const std::string complaint = complaint_of([&] {
    for (int step = 0; step < 1000; ++step) file.write(step, 1.0, std::vector<runs::NamedNumber>{{"loss", 1.0}});
    file.flush();
  });
  EXPECT_NE(complaint.find("No space left on device"), std::string::npos) << complaint;
  EXPECT_EQ(events_of(read_file(path)).size(), 1U);
}

}  // namespace
}  // namespace polariscope
