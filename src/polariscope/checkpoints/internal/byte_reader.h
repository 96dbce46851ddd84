// Numbers and texts out of bytes that may end too early.
#pragma once

#include "polariscope/base/error.h"

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace polariscope::checkpoints {

class ByteReader {
 public:
  // where: the file's name, for complaints
  ByteReader(std::string_view bytes, std::string where) : bytes_(bytes), where_(std::move(where)) {}

  // Little-endian. Throws Error where the bytes end, as the others do. what: what is read, for the complaint.
  template <class Number>
  Number number(std::string_view what) {
    Number read;
    std::memcpy(&read, take(sizeof read, what).data(), sizeof read);
    return read;
  }

  // A length of 64 bits and as many bytes.
  std::string_view text(std::string_view what) { return take(number<std::uint64_t>(what), what); }

  std::string_view take(std::uint64_t count, std::string_view what) {
    if (count > left()) {
      throw Error("{}: {} at byte {} needs {} bytes, of which there are {}: the file is cut short or damaged", where_,
                  what, at_, count, left());
    }
    const std::string_view taken = bytes_.substr(at_, count);
    at_ += count;
    return taken;
  }

  std::size_t position() const { return at_; }
  std::size_t left() const { return bytes_.size() - at_; }
  const std::string& where() const { return where_; }

 private:
  std::string_view bytes_;
  std::string where_;
  std::size_t at_ = 0;
};

}  // namespace polariscope::checkpoints
