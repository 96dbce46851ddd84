// A TFRecord is the length of its data (uint64), the masked CRC-32C of those eight bytes (uint32), the data, their
// masked CRC-32C (uint32), all little-endian. The data are one protocol buffer of tensorflow/core/util/event.proto:
//
//   Event   { double wall_time = 1; int64 step = 2; string file_version = 3; Summary summary = 5; }
//   Summary { repeated Value value = 1; }   Value { string tag = 1; float simple_value = 2; }
#include "polariscope/runs/event_file.h"

#include "polariscope/runs/crc32c.h"
#include "polariscope/runs/internal/resume_point.h"

#include <bit>
#include <cstddef>
#include <optional>
#include <string_view>

namespace polariscope::runs {
namespace {

constexpr std::size_t kHeaderBytes = 12, kFooterBytes = 4;
constexpr std::string_view kVersion = "brain.Event:2";

// A field's number and how its value is stored, as the byte before it.
constexpr char key(unsigned field, unsigned wire_type) { return static_cast<char>(field << 3U | wire_type); }
constexpr unsigned kVarint = 0, kEightBytes = 1, kCounted = 2, kFourBytes = 5;
constexpr char kWallTime = key(1, kEightBytes), kStep = key(2, kVarint), kFileVersion = key(3, kCounted),
               kSummary = key(5, kCounted), kValue = key(1, kCounted), kTag = key(1, kCounted),
               kSimpleValue = key(2, kFourBytes);

template <class Unsigned>
void add_little_endian(std::string& out, Unsigned number) {
  for (std::size_t i = 0; i < sizeof number; ++i) out += static_cast<char>(number >> 8 * i & 0xFFU);
}

template <class Unsigned>
Unsigned little_endian(std::string_view bytes) {
  Unsigned number = 0;
  for (std::size_t i = sizeof number; i-- > 0;) number = number << 8U | static_cast<unsigned char>(bytes[i]);
  return number;
}

// Seven bits a byte, the lowest first; all but the last byte have their highest bit set.
void add_varint(std::string& out, std::uint64_t number) {
  for (; number >= 0x80; number >>= 7U) out += static_cast<char>(number | 0x80U);
  out += static_cast<char>(number);
}

std::size_t varint_bytes(std::uint64_t number) {
  std::size_t bytes = 1;
  while ((number >>= 7U) != 0) ++bytes;
  return bytes;
}

void add_counted(std::string& out, char field, std::string_view bytes) {
  out += field;
  add_varint(out, bytes.size());
  out += bytes;
}

// So that the checksum of data that hold checksums is none of them.
std::uint32_t masked_crc(std::string_view bytes) { return std::rotr(crc32c(bytes), 15) + 0xA282EAD8U; }

// The data of the record with which `bytes` begin, if it is whole.
std::optional<std::string_view> first_record(std::string_view bytes) {
  if (bytes.size() < kHeaderBytes + kFooterBytes) return std::nullopt;
  const auto length = little_endian<std::uint64_t>(bytes);
  if (little_endian<std::uint32_t>(bytes.substr(8)) != masked_crc(bytes.substr(0, 8))) return std::nullopt;
  if (length > bytes.size() - kHeaderBytes - kFooterBytes) return std::nullopt;
  const std::string_view data = bytes.substr(kHeaderBytes, length);
  if (little_endian<std::uint32_t>(bytes.substr(kHeaderBytes + length)) != masked_crc(data)) return std::nullopt;
  return data;
}

// The fields stand in the order of their numbers. An event without a step, such as the version, is of step 0.
std::int64_t step_of(std::string_view event) {
  constexpr std::size_t kAt = 9;  // after wall_time
  if (event.size() <= kAt || event[kAt] != kStep) return 0;
  std::uint64_t step = 0;
  unsigned shift = 0;
  for (const char byte : event.substr(kAt + 1)) {
    step |= (static_cast<unsigned char>(byte) & 0x7FULL) << shift;
    shift += 7;
    if ((static_cast<unsigned char>(byte) & 0x80U) == 0 || shift > 63) break;
  }
  return static_cast<std::int64_t>(step);
}

// A record is known by its checksums wherever in the bytes it begins.
struct EventRecords {
  static std::optional<LogRecord> read(std::string_view contents, std::size_t at) {
    const auto event = first_record(contents.substr(at));
    if (!event) return std::nullopt;
    return LogRecord{.end = at + kHeaderBytes + event->size() + kFooterBytes, .step = step_of(*event)};
  }
  static std::size_t next(std::string_view contents, std::size_t at) {
    while (at < contents.size() && !first_record(contents.substr(at))) ++at;
    return at;
  }
};

}  // namespace

EventFile::EventFile(const std::filesystem::path& path, std::int64_t last_step, double wall_time)
    : file_(path,
            [last_step](std::string_view contents) { return last_up_to<EventRecords>(last_step, contents).end; }) {
  if (file_.size() > 0) return;
  event_ = kWallTime;
  add_little_endian(event_, std::bit_cast<std::uint64_t>(wall_time));
  add_counted(event_, kFileVersion, kVersion);
  append();
}

void EventFile::write(std::int64_t step, double wall_time, std::span<const NamedNumber> numbers) {
  summary_.clear();
  for (const NamedNumber& number : numbers) {
    constexpr std::size_t kOfValue = 1 + sizeof(float);
    summary_ += kValue;
    add_varint(summary_, 1 + varint_bytes(number.name.size()) + number.name.size() + kOfValue);
    add_counted(summary_, kTag, number.name);
    summary_ += kSimpleValue;
    add_little_endian(summary_, std::bit_cast<std::uint32_t>(static_cast<float>(number.value)));
  }
  event_ = kWallTime;
  add_little_endian(event_, std::bit_cast<std::uint64_t>(wall_time));
  event_ += kStep;
  add_varint(event_, static_cast<std::uint64_t>(step));
  add_counted(event_, kSummary, summary_);
  append();
}

// Appends the event as a record.
void EventFile::append() {
  record_.clear();
  add_little_endian(record_, std::uint64_t{event_.size()});
  add_little_endian(record_, masked_crc(record_));
  record_ += event_;
  add_little_endian(record_, masked_crc(event_));
  file_.append(record_);
}

}  // namespace polariscope::runs
