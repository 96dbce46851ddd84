#include "polariscope/base/stored_tensor.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

namespace polariscope {
namespace {

template <class T>
StoredTensor tensor_of(Dtype dtype, const std::vector<T>& numbers) {
  return {"x", dtype, {static_cast<std::int64_t>(numbers.size())}, std::as_bytes(std::span(numbers))};
}

TEST(StoredTensor, EveryDtypeIsFoundByItsName) {
  for (const Dtype dtype : {Dtype::kF64, Dtype::kF32, Dtype::kF16, Dtype::kBf16, Dtype::kI64, Dtype::kI32, Dtype::kI16,
                            Dtype::kI8, Dtype::kU64, Dtype::kU32, Dtype::kU16, Dtype::kU8, Dtype::kBool}) {
    EXPECT_EQ(dtype_named(dtype_name(dtype)), dtype);
  }
  EXPECT_EQ(dtype_name(Dtype::kBf16), "BF16");
  EXPECT_EQ(dtype_name(Dtype::kBool), "BOOL");
  EXPECT_EQ(dtype_bytes(Dtype::kBf16), 2U);
  EXPECT_EQ(dtype_bytes(Dtype::kI64), 8U);
  EXPECT_EQ(dtype_named("f32"), std::nullopt);
  EXPECT_EQ(known_dtypes(), "F64, F32, F16, BF16, I64, I32, I16, I8, U64, U32, U16, U8, BOOL");
}

TEST(StoredTensor, BytesOfAShape) {
  const auto bytes = [](const std::vector<std::int64_t>& shape) { return tensor_bytes(Dtype::kF32, shape); };
  EXPECT_EQ(bytes({}), 4U);
  EXPECT_EQ(bytes({3, 5}), 60U);
  EXPECT_EQ(bytes({3, 0}), 0U);
  EXPECT_EQ(bytes({3, -1}), std::nullopt);
  EXPECT_EQ(bytes({std::int64_t{1} << 31, std::int64_t{1} << 30}), std::nullopt);
}

// Values of the format's definition: the table of Wikipedia's article on binary16.
TEST(StoredTensor, HalvesAreConvertedExactly) {
  const auto halves = to_doubles(tensor_of<std::uint16_t>(
      Dtype::kF16, {0x0000, 0x8000, 0x0001, 0x03FF, 0x0400, 0x3555, 0x3C00, 0x3C01, 0xC000, 0x7BFF, 0x7C00, 0xFC00}));
  const double infinity = std::numeric_limits<double>::infinity();
  EXPECT_EQ(halves, (std::vector<double>{0.0, 0.0, std::pow(2, -24), 1023 * std::pow(2, -24), std::pow(2, -14),
                                         0.333251953125, 1.0, 1.0009765625, -2.0, 65504.0, infinity, -infinity}));
  EXPECT_TRUE(std::signbit(halves[1]));
  EXPECT_TRUE(std::isnan(to_floats(tensor_of<std::uint16_t>(Dtype::kF16, {0x7E01}))[0]));
}

TEST(StoredTensor, EveryHalfIsItsDefinition) {
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    const int exponent = static_cast<int>(bits >> 10U & 31U), mantissa = static_cast<int>(bits & 1023U);
    if (exponent == 31) continue;
    const double magnitude = exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024 + mantissa, exponent - 25);
    const float found = to_floats(tensor_of<std::uint16_t>(Dtype::kF16, {static_cast<std::uint16_t>(bits)}))[0];
    ASSERT_EQ(found, bits >> 15U ? -magnitude : magnitude) << bits;
  }
}

TEST(StoredTensor, BrainFloatsAreTheUpperHalfOfAFloat) {
  EXPECT_EQ(to_floats(tensor_of<std::uint16_t>(Dtype::kBf16, {0x3F80, 0xC049, 0x0001, 0xFF80})),
            (std::vector<float>{1.0F, -3.140625F, std::ldexp(1.0F, -133), -std::numeric_limits<float>::infinity()}));
}

TEST(StoredTensor, OtherNumbersAreTheNearest) {
  EXPECT_EQ(to_floats(tensor_of<double>(Dtype::kF64, {0.1, -2.5})), (std::vector<float>{0.1F, -2.5F}));
  EXPECT_EQ(to_doubles(tensor_of<float>(Dtype::kF32, {0.1F})), std::vector<double>{0.1F});
  EXPECT_EQ(to_doubles(tensor_of<std::int64_t>(Dtype::kI64, {-(std::int64_t{1} << 60)})),
            std::vector<double>{-std::pow(2, 60)});
  EXPECT_EQ(to_doubles(tensor_of<std::int32_t>(Dtype::kI32, {-7, 2'147'483'647})),
            (std::vector<double>{-7, 2147483647}));
  EXPECT_EQ(to_floats(tensor_of<std::int16_t>(Dtype::kI16, {-32768})), std::vector<float>{-32768});
  EXPECT_EQ(to_floats(tensor_of<std::int8_t>(Dtype::kI8, {-128})), std::vector<float>{-128});
  EXPECT_EQ(to_doubles(tensor_of<std::uint64_t>(Dtype::kU64, {~std::uint64_t{0}})),
            std::vector<double>{std::pow(2, 64)});
  EXPECT_EQ(to_doubles(tensor_of<std::uint32_t>(Dtype::kU32, {4'294'967'295U})), std::vector<double>{4294967295.0});
  EXPECT_EQ(to_floats(tensor_of<std::uint16_t>(Dtype::kU16, {65535})), std::vector<float>{65535});
  EXPECT_EQ(to_floats(tensor_of<std::uint8_t>(Dtype::kU8, {200})), std::vector<float>{200});
  EXPECT_EQ(to_floats(tensor_of<std::uint8_t>(Dtype::kBool, {0, 1})), (std::vector<float>{0, 1}));
}

TEST(StoredTensor, BytesNeedNotBeAligned) {
  const std::string bytes("?\0\0\x80\x3F", 5);  // 1.0F from the second byte on
  const StoredTensor tensor{"x", Dtype::kF32, {}, std::as_bytes(std::span(bytes)).subspan(1)};
  EXPECT_EQ(to_doubles(tensor), std::vector<double>{1.0});
}

}  // namespace
}  // namespace polariscope
