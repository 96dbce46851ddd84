#include "polariscope/base/npy_array.h"

#include "polariscope/base/files.h"
#include "polariscope/base/npy.h"
#include "support/complaint.h"
#include "support/temporary_folder.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>

namespace polariscope {
namespace {

using testing::complaint_of;

template <class T>
std::string raw(const std::vector<T>& values) {
  std::string bytes(values.size() * sizeof(T), '\0');
  if (!values.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

std::string file_of(const std::string& header, const std::string& data, int version = 1) {
  std::string bytes("\x93NUMPY", 6);
  bytes += static_cast<char>(version);
  bytes += '\0';
  const std::size_t length_bytes = version == 1 ? 2 : 4;
  for (std::size_t i = 0; i < length_bytes; ++i) bytes += static_cast<char>(header.size() >> (8 * i) & 0xFF);
  return bytes + header + data;
}

std::string header_of(const std::string& type, const std::string& shape, const std::string& fortran = "False") {
  return fmt::format("{{'descr': '{}', 'fortran_order': {}, 'shape': ({}), }}   \n", type, fortran, shape);
}

TEST(NpyArray, ReadsEveryTypeAndVersion) {
  const std::vector<double> expected{1, 2, 3, 4, 5, 6};
  for (const int version : {1, 2, 3}) {
    const NpyArray array = npy_array(file_of(header_of("<f8", "2, 3"), raw(expected), version), "x.npy");
    EXPECT_EQ(array.shape, (std::vector<std::int64_t>{2, 3}));
    EXPECT_EQ(array.values, expected);
  }
  EXPECT_EQ(npy_array(file_of(header_of("<f4", "6,"), raw(std::vector<float>{1, 2, 3, 4, 5, 6})), "x").values,
            expected);
  EXPECT_EQ(npy_array(file_of(header_of("<i4", "6,"), raw(std::vector<std::int32_t>{1, 2, 3, 4, 5, 6})), "x").values,
            expected);
  EXPECT_EQ(npy_array(file_of(header_of("|u1", "6,"), "\x01\x02\x03\x04\x05\x06"), "x").values, expected);
}

TEST(NpyArray, ReadsUnsignedNumbers) {
  EXPECT_EQ(npy_array(file_of(header_of("<u2", "2,"), raw(std::vector<std::uint16_t>{1, 65535})), "x").values,
            (std::vector<double>{1, 65535}));
  EXPECT_EQ(npy_array(file_of(header_of("<u4", "1,"), raw(std::vector<std::uint32_t>{4294967295U})), "x").values,
            std::vector<double>{4294967295.0});
  EXPECT_EQ(npy_array(file_of(header_of("<u8", "1,"), raw(std::vector<std::uint64_t>{1ULL << 63U})), "x").values,
            std::vector<double>{0x1p63});
}

// As machines of IBM, or files of astronomers, have them.
TEST(NpyArray, TurnsBigEndianNumbersRound) {
  const std::string double_pi("\x40\x09\x21\xFB\x54\x44\x2D\x18", 8), float_minus_two("\xC0\0\0\0", 4);
  EXPECT_EQ(npy_array(file_of(header_of(">f8", "2,"), double_pi + double_pi), "x").values,
            (std::vector<double>{0x1.921fb54442d18p1, 0x1.921fb54442d18p1}));
  EXPECT_EQ(npy_array(file_of(header_of(">f4", ""), float_minus_two), "x").values, std::vector<double>{-2});
  EXPECT_EQ(npy_array(file_of(header_of(">f2", "1,"), "\x3C\x01"), "x").values, std::vector<double>{1.0009765625});
  EXPECT_EQ(npy_array(file_of(header_of(">i4", "1,"), "\xFF\xFF\xFF\xFE"), "x").values, std::vector<double>{-2});
  EXPECT_EQ(npy_array(file_of(header_of(">u2", "3,"), std::string("\0\1\0\2\1\0", 6)), "x").values,
            (std::vector<double>{1, 2, 256}));
  EXPECT_TRUE(npy_array(file_of(header_of(">i8", "0,"), ""), "x").values.empty());
  // [[1, 2], [3, 4]] by columns, with both.
  EXPECT_EQ(npy_array(file_of(header_of(">i2", "2, 2", "True"), std::string("\0\1\0\3\0\2\0\4", 8)), "x").values,
            (std::vector<double>{1, 2, 3, 4}));
}

TEST(NpyArray, TurnsFortranOrderRound) {
  // [[1, 2, 3], [4, 5, 6]] by columns.
  const NpyArray array =
      npy_array(file_of(header_of("<f8", "2, 3", "True"), raw(std::vector<double>{1, 4, 2, 5, 3, 6})), "x.npy");
  EXPECT_EQ(array.values, (std::vector<double>{1, 2, 3, 4, 5, 6}));
  // x[i, j, k] = 100 i + 10 j + k of shape (2, 2, 2).
  const NpyArray cube = npy_array(
      file_of(header_of("<f8", "2, 2, 2", "True"), raw(std::vector<double>{0, 100, 10, 110, 1, 101, 11, 111})),
      "x.npy");
  EXPECT_EQ(cube.values, (std::vector<double>{0, 1, 10, 11, 100, 101, 110, 111}));
}

TEST(NpyArray, OfNoDimensionsIsOneNumberAndOfAZeroOneIsNone) {
  EXPECT_EQ(npy_array(file_of(header_of("<f8", ""), raw(std::vector<double>{7})), "x").values, std::vector<double>{7});
  EXPECT_TRUE(npy_array(file_of(header_of("<f8", "0, 3"), ""), "x").values.empty());
}

TEST(NpyArray, ReadsWhatNumPySaves) {
  const testing::TemporaryFolder folder;
  const std::string path = (folder.path() / "x.npy").string();
  const std::string program = fmt::format(
      "import numpy; numpy.save('{}', numpy.asfortranarray(numpy.arange(12, dtype=numpy.float16).reshape(3, 4)))",
      path);
  if (std::system(fmt::format("/usr/bin/python3 -c \"{}\" > /dev/null 2>&1", program).c_str()) != 0) {
    GTEST_SKIP() << "/usr/bin/python3 has no NumPy (Debian: python3-numpy)";
  }
  const NpyArray array = npy_array(read_file(path), path);
  EXPECT_EQ(array.shape, (std::vector<std::int64_t>{3, 4}));
  for (std::size_t i = 0; i < 12; ++i) EXPECT_EQ(array.values[i], static_cast<double>(i));
}

TEST(NpyArray, RefusesMalformedFilesWithOneSentenceThatNamesThem) {
  const std::string good = file_of(header_of("<f8", "2,"), raw(std::vector<double>{1, 2}));
  const std::vector<double> records{1, 2};
  struct Case {
    std::string bytes, word;
  };
  const std::vector<Case> cases{
      {"", "does not begin"},
      {"PK\x03\x04 an archive", "does not begin"},
      {good.substr(0, 6), "does not begin"},
      {good.substr(0, 9), "ends inside its header"},
      {good.substr(0, 40), "ends inside its header"},
      {good.substr(0, good.size() - 1), "do not agree"},
      {good + "x", "do not agree"},
      {file_of(header_of("<f8", "2,"), raw(records), 9), "version 9"},
      {file_of(header_of("=f8", "2,"), raw(records)), "\"=f8\""},
      {file_of(header_of("|f8", "2,"), raw(records)), "\"|f8\""},
      {file_of(header_of("<f16", "1,"), raw(records)), "\"<f16\""},
      {file_of(header_of("f8", "2,"), raw(records)), "\"f8\""},
      {file_of(header_of("<c16", "1,"), raw(records)), "\"<c16\""},
      {file_of(header_of("|O", "2,"), raw(records)), "\"|O\""},
      {file_of(header_of("<f8", "-2,"), raw(records)), "(-2,)"},
      {file_of(header_of("<f8", "two,"), raw(records)), "(two,)"},
      {file_of(header_of("<f8", "99999999999999999999,"), raw(records)), "not a list of whole numbers"},
      {file_of(header_of("<f8", "4294967296, 4294967296"), ""), "do not agree"},
      {file_of("{'fortran_order': False, 'shape': (2,)}", raw(records)), "'descr'"},
      {file_of("{'descr': '<f8', 'shape': (2,)}", raw(records)), "'fortran_order'"},
      {file_of("{'descr': '<f8', 'fortran_order': False}", raw(records)), "'shape'"},
      {npy_records(1, {{"loss", 2, records}}), "'descr'"}};
  for (const Case& one : cases) {
    const std::string complaint = complaint_of([&] { npy_array(one.bytes, "weights.npy"); });
    EXPECT_TRUE(complaint.starts_with("weights.npy: ")) << complaint;
    EXPECT_NE(complaint.find(one.word), std::string::npos) << complaint << " for " << one.word;
  }
}

}  // namespace
}  // namespace polariscope
