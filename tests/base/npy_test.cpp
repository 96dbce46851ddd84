#include "polariscope/base/npy.h"

#include "polariscope/base/error.h"
#include "polariscope/base/files.h"
#include "support/temporary_folder.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>

namespace polariscope {
namespace {

const std::vector<double> kLoss = {1.5, -2.25};
const std::vector<double> kSigma = {0.1, 0.2, 0.7, 1e-300, std::numeric_limits<double>::infinity(), 1.0};

std::string example() { return npy_records(2, {{"loss", 1, kLoss}, {"sigma", 3, kSigma}}); }

TEST(Npy, TheHeaderIsVersionOneAlignedAndDescribesTheFields) {
  if (std::endian::native != std::endian::little) GTEST_SKIP() << "the header differs on a big-endian machine";
  const std::string bytes = example();
  EXPECT_EQ(bytes.substr(0, 8), std::string("\x93NUMPY\x01\x00", 8));
  const std::size_t header = static_cast<unsigned char>(bytes[8]) + 256U * static_cast<unsigned char>(bytes[9]);
  EXPECT_EQ((10 + header) % 64, 0U);
  EXPECT_EQ(bytes[10 + header - 1], '\n');
  const std::string text = bytes.substr(10, header);
  EXPECT_EQ(text.substr(0, text.find_last_not_of(" \n") + 1),
            "{'descr': [('loss', '<f8'), ('sigma', '<f8', (3,)), ], 'fortran_order': False, 'shape': (2,), }");
}

TEST(Npy, TheBytesAreTheRecordsOneAfterTheOther) {
  const std::string bytes = example();
  std::array<double, 8> values{};
  ASSERT_GT(bytes.size(), sizeof values);
  std::memcpy(values.data(), bytes.data() + bytes.size() - sizeof values, sizeof values);
  EXPECT_EQ(values, (std::array{kLoss[0], kSigma[0], kSigma[1], kSigma[2], kLoss[1], kSigma[3], kSigma[4], kSigma[5]}));
  EXPECT_EQ((bytes.size() - sizeof values) % 64, 0U);
}

TEST(Npy, NumPyLoadsWhatWasWritten) {
  if (std::system("/usr/bin/python3 -c 'import numpy' > /dev/null 2>&1") != 0) {
    GTEST_SKIP() << "/usr/bin/python3 has no NumPy (Debian: python3-numpy)";
  }
  const testing::TemporaryFolder folder;
  write_file(folder.path() / "x.npy", example());
  const std::string program = fmt::format(
      "import numpy\n"
      "x = numpy.load('{}')\n"
      "assert x.shape == (2,) and x['sigma'].shape == (2, 3), (x.shape, x['sigma'].shape)\n"
      "assert x['loss'].tolist() == [1.5, -2.25], x['loss']\n"
      "assert x['sigma'].tolist() == [[0.1, 0.2, 0.7], [1e-300, float('inf'), 1.0]], x['sigma']\n",
      (folder.path() / "x.npy").string());
  write_file(folder.path() / "load.py", program);
  const std::string command = fmt::format("/usr/bin/python3 {}", (folder.path() / "load.py").string());
  EXPECT_EQ(std::system(command.c_str()), 0);
}

TEST(Npy, ATableWithoutRowsIsValid) {
  const std::string bytes = npy_records(0, {{"loss", 1, {}}});
  EXPECT_EQ(bytes.size() % 64, 0U);
  EXPECT_NE(bytes.find("'shape': (0,)"), std::string::npos);
}

TEST(Npy, RefusesAFieldOfTheWrongLengthByName) {
  try {
    npy_records(3, {{"sigma", 3, kSigma}});
    FAIL() << "expected an Error";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(),
                 "npy: field \"sigma\" has 6 numbers, expected 3 rows of 3 (at least 1): give rows * width numbers");
  }
}

TEST(Npy, RefusesNamesThatWouldBreakTheHeader) {
  EXPECT_THROW(npy_records(2, {{"it's", 1, kLoss}}), Error);
  EXPECT_THROW(npy_records(2, {{"σ", 1, kLoss}}), Error);
  EXPECT_THROW(npy_records(2, {{"", 1, kLoss}}), Error);
  EXPECT_THROW(npy_records(2, {{std::string(70'000, 'x'), 1, kLoss}}), Error);
}

TEST(Npy, AFieldIsReadBackAsItWasWritten) {
  const std::string bytes = example();
  EXPECT_EQ(npy_field(bytes, "loss").values, kLoss);
  const NpyValues sigma = npy_field(bytes, "sigma");
  EXPECT_EQ(sigma.rows, 2U);
  EXPECT_EQ(sigma.width, 3U);
  EXPECT_EQ(sigma.values, kSigma);
}

TEST(Npy, RefusesToReadWhatIsNoSuchFile) {
  const std::string bytes = example();
  for (const std::string& broken : {std::string(), bytes.substr(0, 9), bytes.substr(0, 40),
                                    bytes.substr(0, bytes.size() - 1), bytes + "x", "X" + bytes}) {
    EXPECT_THROW(npy_field(broken, "loss"), Error) << broken.size();
  }
  EXPECT_THROW(npy_field(bytes, "gain"), Error);
}

std::string file_with_header(const std::string& header) {
  return std::string("\x93NUMPY\x01\x00", 8) + static_cast<char>(header.size() & 0xFF) +
         static_cast<char>(header.size() >> 8) + header;
}

TEST(Npy, RefusesSizesThatWrapAround) {
  // 2^34 rows of 2^27 doubles are 2^64 bytes, which a product of 64 bits takes for none.
  const std::string bytes = file_with_header(
      "{'descr': [('loss', '<f8', (134217728,)), ], 'fortran_order': False, 'shape': (17179869184,), }\n");
  EXPECT_THROW(npy_field(bytes, "loss"), Error);
  EXPECT_THROW(npy_field(file_with_header("{'descr': [('a', '<f8', (18446744073709551615,)), ('loss', '<f8'), ], "
                                          "'fortran_order': False, 'shape': (1,), }\n"),
                         "loss"),
               Error);
}

TEST(Npy, RefusesALongHeaderWithoutOverflowingTheStack) {
  for (const char letter : {'a', '(', '\'', '9'}) {
    const std::string long_text(65'000, letter);
    EXPECT_THROW(npy_field(file_with_header("{'descr': [('" + long_text), "loss"), Error);
    EXPECT_THROW(npy_field(file_with_header("'shape': (" + long_text), "loss"), Error);
  }
}

}  // namespace
}  // namespace polariscope
