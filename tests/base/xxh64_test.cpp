// XXH64 against the numbers of its reference.
#include "polariscope/base/xxh64.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>

namespace polariscope {
namespace {

std::string some_bytes(std::size_t count) {
  std::string bytes(count, '\0');
  for (std::size_t i = 0; i < count; ++i) bytes[i] = static_cast<char>((i * i * 7 + i / 256) % 256);
  return bytes;
}

// Expectations: xxhash.xxh64(bytes).intdigest() of Python's xxhash 3.6.
TEST(Xxh64, IsThatOfTheReference) {
  EXPECT_EQ(xxh64("a"), 0xd24ec4f1a98c6e5b);
  EXPECT_EQ(xxh64("Nobody inspects the spammish repetition"), 0xfbcea83c8a378bf1);
  for (const auto& [count, expected] : {std::pair<std::size_t, std::uint64_t>{0, 0xef46db3751d8e999},
                                        {1, 0xe934a84adb052768},
                                        {3, 0x2df787a32136c8e8},
                                        {4, 0x6abc37415c938cd6},
                                        {7, 0xe29dd4efd50fe9d4},
                                        {8, 0xbf7c7e57921f98e0},
                                        {14, 0x9411e8ce87604aac},
                                        {31, 0x544511ab403f4417},
                                        {32, 0xfd37b51547633eaa},
                                        {33, 0xf1b270a65117f7bc},
                                        {63, 0x5f1d3b4d38cf13c9},
                                        {64, 0x5aad849ed2871a62},
                                        {100, 0x6ad8cbb6376430a8},
                                        {1000, 0xfa94303fa1cb9444}}) {
    EXPECT_EQ(xxh64(some_bytes(count)), expected) << count << " bytes";
  }
}

TEST(Xxh64, IsTheSameForBytesInPieces) {
  const std::string bytes = some_bytes(333);
  for (std::size_t piece = 1; piece < 100; ++piece) {
    Xxh64 hash;
    for (std::size_t at = 0; at < bytes.size(); at += piece) hash.add(std::string_view(bytes).substr(at, piece));
    EXPECT_EQ(hash.value(), xxh64(bytes)) << "pieces of " << piece;
  }
}

}  // namespace
}  // namespace polariscope
