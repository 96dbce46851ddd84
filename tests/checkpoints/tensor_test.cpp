#include "polariscope/checkpoints/tensor.h"

#include "polariscope/base/files.h"
#include "support/complaint.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

namespace polariscope::checkpoints {
namespace {

using polariscope::testing::complaint_of;

std::string from_hexadecimal(const std::string& digits) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < digits.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(digits.substr(i, 2), nullptr, 16));
  }
  return bytes;
}

Tensor tensor_over(TensorType type, const std::string& bytes) {
  const Block block = block_of(type);
  const std::int64_t numbers = static_cast<std::int64_t>(bytes.size()) / block.bytes * block.numbers;
  return {"w", type, {numbers}, std::as_bytes(std::span(bytes))};
}

template <class Number>
std::vector<float> read(TensorType type, const std::vector<Number>& numbers) {
  std::string bytes(numbers.size() * sizeof(Number), '\0');
  std::memcpy(bytes.data(), numbers.data(), bytes.size());
  return read_floats(tensor_over(type, bytes));
}

// tests/golden/quantised_blocks.py
TEST(ReadFloats, AgreesWithThePackageGgufOnEveryQuantisedType) {
  const auto golden = nlohmann::json::parse(
      read_file(std::filesystem::path(POLARISCOPE_SOURCE_DIR) / "tests/golden/quantised_blocks.json"));
  int types = 0;
  for (int i = 0; i <= static_cast<int>(TensorType::kQ10); ++i) {
    const auto type = static_cast<TensorType>(i);
    if (!is_quantised(type) || !is_read(type)) continue;
    ++types;
    const auto& entry = golden.at(std::string(type_name(type)));
    const std::string blocks = from_hexadecimal(entry.at("blocks")), expected = from_hexadecimal(entry.at("floats"));
    const Tensor tensor = tensor_over(type, blocks);
    const std::vector<float> found = read_floats(tensor);
    ASSERT_EQ(found.size() * sizeof(float), expected.size());
    float largest = 0;
    for (const float number : found) largest = std::max(largest, std::abs(number));
    for (std::size_t k = 0; k < found.size(); ++k) {
      float number = 0;
      std::memcpy(&number, expected.data() + k * sizeof number, sizeof number);
      // Equal but where a compiler fuses a product and a sum.
      ASSERT_NEAR(found[k], number, largest * 0x1p-23) << type_name(type) << ", number " << k;
    }
    // A block alone is what it is among the others.
    const Block block = block_of(type);
    std::vector<float> second(static_cast<std::size_t>(block.numbers));
    read_floats(tensor, block.numbers, block.numbers, second.data());
    EXPECT_TRUE(std::equal(second.begin(), second.end(), found.begin() + block.numbers)) << type_name(type);
  }
  EXPECT_EQ(types, static_cast<int>(golden.size()));
}

TEST(ReadFloats, OfHalvesAreTheirNumbers) {
  std::vector<std::uint16_t> halves;
  for (unsigned bits = 0; bits < 0x10000; ++bits) halves.push_back(static_cast<std::uint16_t>(bits));
  const std::vector<float> found = read(TensorType::kF16, halves), wide = read(TensorType::kBf16, halves);
  for (unsigned bits = 0; bits < 0x10000; ++bits) {
    // IEEE 754: (-1)^sign 2^(exponent - 15) (1 + mantissa / 1024), subnormal for exponent 0.
    const int exponent = static_cast<int>(bits >> 10U) & 31, mantissa = static_cast<int>(bits) & 1023;
    double expected = exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024 + mantissa, exponent - 25);
    if (exponent == 31) expected = mantissa == 0 ? HUGE_VAL : std::nan("");
    if (bits >= 0x8000) expected = -expected;
    if (std::isnan(expected)) {
      ASSERT_TRUE(std::isnan(found[bits])) << bits;
    } else {
      ASSERT_EQ(found[bits], expected) << bits;
      ASSERT_EQ(std::signbit(found[bits]), bits >= 0x8000) << bits;
    }
    std::uint32_t whole = 0;
    std::memcpy(&whole, &wide[bits], sizeof whole);
    ASSERT_EQ(whole, bits << 16U);
  }
}

TEST(ReadFloats, OfEightBitFloatsAreTheirNumbers) {
  using Bytes = std::vector<std::uint8_t>;
  // OCP 8-bit Floating Point Specification 1.0, table 2: smallest subnormal, smallest normal, 1, largest, special.
  const std::vector<float> e4m3 = read(TensorType::kF8E4M3, Bytes{0x00, 0x01, 0x08, 0x38, 0x7E, 0xFE, 0x7F, 0xC0});
  EXPECT_EQ(std::vector<float>(e4m3.begin(), e4m3.begin() + 6),
            (std::vector<float>{0, 0x1p-9F, 0x1p-6F, 1, 448, -448}));
  EXPECT_TRUE(std::isnan(e4m3[6]));
  EXPECT_EQ(e4m3[7], -2);
  const std::vector<float> e5m2 = read(TensorType::kF8E5M2, Bytes{0x01, 0x04, 0x3C, 0x7B, 0x7C, 0xFC, 0x7F, 0xBE});
  const float infinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(std::vector<float>(e5m2.begin(), e5m2.begin() + 6),
            (std::vector<float>{0x1p-16F, 0x1p-14F, 1, 57344, infinity, -infinity}));
  EXPECT_TRUE(std::isnan(e5m2[6]));
  EXPECT_EQ(e5m2[7], -1.5);
}

TEST(ReadFloats, OfPlainNumbersAreTheNearest) {
  using Floats = std::vector<float>;
  EXPECT_EQ(read(TensorType::kF64, std::vector<double>{0.1, -1e-300}), (Floats{0.1F, 0}));
  EXPECT_EQ(read(TensorType::kF32, std::vector<float>{0.1F, 3}), (Floats{0.1F, 3}));
  EXPECT_EQ(read(TensorType::kI64, std::vector<std::int64_t>{-(1LL << 40) - 1}), Floats{-0x1p40F});
  EXPECT_EQ(read(TensorType::kU64, std::vector<std::uint64_t>{1ULL << 63}), Floats{0x1p63F});
  EXPECT_EQ(read(TensorType::kI32, std::vector<std::int32_t>{-7}), Floats{-7});
  EXPECT_EQ(read(TensorType::kU32, std::vector<std::uint32_t>{4000000000}), Floats{4e9F});
  EXPECT_EQ(read(TensorType::kI16, std::vector<std::int16_t>{-300}), Floats{-300});
  EXPECT_EQ(read(TensorType::kU16, std::vector<std::uint16_t>{60000}), Floats{60000});
  EXPECT_EQ(read(TensorType::kI8, std::vector<std::int8_t>{-100}), Floats{-100});
  EXPECT_EQ(read(TensorType::kU8, std::vector<std::uint8_t>{200}), Floats{200});
  EXPECT_EQ(read(TensorType::kBool, std::vector<std::uint8_t>{0, 1, 2}), (Floats{0, 1, 1}));
}

TEST(ReadFloats, RefusesWhatIsOutsideOrNotWholeBlocksOrNotRead) {
  const std::string bytes(68, '\0');
  const Tensor tensor = tensor_over(TensorType::kQ80, bytes);
  std::vector<float> out(64);
  const auto complaint = [&](std::int64_t first, std::int64_t count) {
    return complaint_of([&] { read_floats(tensor, first, count, out.data()); });
  };
  EXPECT_EQ(complaint(32, 32), "");
  EXPECT_EQ(complaint(64, 0), "");
  EXPECT_EQ(complaint(16, 32),
            "tensor \"w\" of 64 numbers: cannot read 32 from number 16: ask for whole blocks of 32 within the tensor");
  const std::pair<std::int64_t, std::int64_t> outside[] = {{32, 64}, {0, -32}, {-32, 32},
                                                           {96, 0},  {0, 16},  {1LL << 62, 1LL << 62}};
  for (const auto& [first, count] : outside) EXPECT_NE(complaint(first, count), "") << first << ", " << count;
  EXPECT_NE(complaint_of([&] {
              read_floats(tensor_over(TensorType::kF4, bytes));
            }).find("has type F4, which is not read: convert it to one of BOOL, U8, I8, F8_E5M2"),
            std::string::npos);
}

TEST(TensorTypes, HaveNamesBlocksAndSizes) {
  for (int i = 0; i <= static_cast<int>(TensorType::kQ10); ++i) {
    const auto type = static_cast<TensorType>(i);
    EXPECT_EQ(type_named(type_name(type)), type);
    const std::int64_t row[] = {2, block_of(type).numbers};
    EXPECT_EQ(bytes_needed(type, row), 2 * block_of(type).bytes) << type_name(type);
  }
  EXPECT_EQ(type_named("Q9_0"), std::nullopt);
  using Shape = std::vector<std::int64_t>;
  EXPECT_EQ(bytes_needed(TensorType::kF32, Shape{}), 4);
  EXPECT_EQ(bytes_needed(TensorType::kF6E2M3, Shape{2, 2}), 3);
  EXPECT_EQ(bytes_needed(TensorType::kF6E2M3, Shape{2, 3}), std::nullopt);
  EXPECT_EQ(bytes_needed(TensorType::kQ4K, Shape{0, 256}), 0);
  EXPECT_EQ(bytes_needed(TensorType::kQ4K, Shape{256, 1}), std::nullopt);
  EXPECT_EQ(bytes_needed(TensorType::kQ40, Shape{}), std::nullopt);
  EXPECT_EQ(bytes_needed(TensorType::kF32, Shape{-1}), std::nullopt);
  EXPECT_EQ(bytes_needed(TensorType::kF32, Shape{1LL << 62}), std::nullopt);
  EXPECT_EQ(bytes_needed(TensorType::kF32, Shape{1LL << 32, 1LL << 32}), std::nullopt);
}

}  // namespace
}  // namespace polariscope::checkpoints
