#include "polariscope/base/safetensors.h"

#include "polariscope/base/error.h"
#include "polariscope/base/files.h"
#include "support/complaint.h"
#include "support/small_disk.h"
#include "support/temporary_folder.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace polariscope {
namespace {

using testing::complaint_of;
using testing::entries;
using testing::SmallDisk;
using testing::TemporaryFolder;

constexpr const char* kEveryByte = "the bytes of which every tensor of this test takes as many as it needs";

StoredTensor tensor(const std::string& name, Dtype dtype, std::vector<std::int64_t> shape) {
  const std::size_t bytes = tensor_bytes(dtype, shape).value();
  return {name, dtype, std::move(shape), std::as_bytes(std::span(kEveryByte, bytes))};
}

const std::vector<StoredTensor> kEveryDtype = {
    tensor("flags", Dtype::kBool, {3}), tensor("bytes", Dtype::kU8, {1, 1, 1}), tensor("i8", Dtype::kI8, {2}),
    tensor("half", Dtype::kF16, {3}),   tensor("i16", Dtype::kI16, {5}),        tensor("i32", Dtype::kI32, {1}),
    tensor("bf16", Dtype::kBf16, {1}),  tensor("float", Dtype::kF32, {2, 3}),   tensor("i64", Dtype::kI64, {2}),
    tensor("u16", Dtype::kU16, {3}),    tensor("u32", Dtype::kU32, {1, 2}),     tensor("u64", Dtype::kU64, {1}),
    tensor("double", Dtype::kF64, {3}), tensor("scalar", Dtype::kF64, {}),      tensor("empty", Dtype::kF32, {4, 0, 2}),
};

void expect_same(const StoredTensor& found, const StoredTensor& expected) {
  EXPECT_EQ(found.name, expected.name);
  EXPECT_EQ(found.dtype, expected.dtype);
  EXPECT_EQ(found.shape, expected.shape);
  EXPECT_TRUE(std::equal(found.bytes.begin(), found.bytes.end(), expected.bytes.begin(), expected.bytes.end()))
      << expected.name;
}

TEST(Safetensors, EveryDtypeComesBackInTheGivenOrder) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "x.safetensors";
  write_safetensors(path, kEveryDtype, {{"step", "12"}, {"σ \"quoted\"\n", ""}});
  EXPECT_EQ(entries(folder.path()), 1);
  const Safetensors file(path);
  ASSERT_EQ(file.tensors().size(), kEveryDtype.size());
  for (std::size_t i = 0; i < kEveryDtype.size(); ++i) expect_same(file.tensors()[i], kEveryDtype[i]);
  EXPECT_EQ(file.metadata(), (SafetensorsMetadata{{"step", "12"}, {"σ \"quoted\"\n", ""}}));
  ASSERT_NE(file.find("half"), nullptr);
  expect_same(*file.find("half"), kEveryDtype[3]);
  EXPECT_EQ(file.find("Half"), nullptr);
  EXPECT_EQ(file.find("__metadata__"), nullptr);
}

TEST(Safetensors, EveryNumberIsAligned) {
  const TemporaryFolder folder;
  write_safetensors(folder.path() / "x", kEveryDtype);
  const Safetensors file(folder.path() / "x");
  for (const StoredTensor& found : file.tensors()) {
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(found.bytes.data()) % dtype_bytes(found.dtype), 0U) << found.name;
  }
}

TEST(Safetensors, TensorsOutliveTheObjectIfACopyDoes) {
  const TemporaryFolder folder;
  write_safetensors(folder.path() / "x", kEveryDtype);
  const Safetensors copy = [&] {
    const Safetensors file(folder.path() / "x");
    return Safetensors(file);
  }();
  write_safetensors(folder.path() / "x", {});
  expect_same(copy.tensors()[7], kEveryDtype[7]);
}

TEST(Safetensors, AFileOfNoTensorsIsValid) {
  const TemporaryFolder folder;
  write_safetensors(folder.path() / "x", {});
  EXPECT_EQ(read_file(folder.path() / "x"), std::string("\x08\0\0\0\0\0\0\0{}      ", 16));
  EXPECT_TRUE(Safetensors(folder.path() / "x").tensors().empty());
}

// Checkpoints of language models keep scales or quantised weights beside what one wants to read.
TEST(Safetensors, ATensorOfAnotherDtypeIsRefusedOnlyWhenItIsRead) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "x";
  for (const std::string dtype : {"F8_E4M3", "F8_E5M2", "F8_E8M0", "F6_E2M3", "F4", "C64", "F128"}) {
    const std::string header = R"({"q":{"dtype":")" + dtype + R"(","shape":[4],"data_offsets":[0,3]},)" +
                               R"("w":{"dtype":"U8","shape":[2],"data_offsets":[3,5]}})";
    const std::uint64_t length = header.size();
    std::string bytes(8, '\0');
    std::memcpy(bytes.data(), &length, 8);
    write_file(path, bytes + header + std::string("123\1\2"));
    const Safetensors file(path);
    ASSERT_EQ(file.tensors().size(), 1U) << dtype;
    EXPECT_EQ(to_doubles(*file.find("w")), (std::vector<double>{1, 2}));
    EXPECT_EQ(file.find("v"), nullptr);
    ASSERT_EQ(file.others().size(), 1U);
    EXPECT_EQ(file.others()[0].dtype, dtype);
    EXPECT_EQ(file.others()[0].shape, std::vector<std::int64_t>{4});
    EXPECT_EQ(file.others()[0].bytes.size(), 3U);
    EXPECT_EQ(complaint_of([&] { file.find("q"); }),
              path.string() + ": tensor \"q\" has dtype \"" + dtype +
                  "\": known are F64, F32, F16, BF16, I64, I32, I16, I8, U64, U32, U16, U8, BOOL");
  }
}

// The bytes, read by the format's definition and nothing of ours.
TEST(Safetensors, TheFileIsAsTheFormatDefinesIt) {
  const TemporaryFolder folder;
  write_safetensors(folder.path() / "x", kEveryDtype, {{"format", "pt"}});
  const std::string bytes = read_file(folder.path() / "x");
  std::uint64_t length = 0;
  std::memcpy(&length, bytes.data(), 8);
  EXPECT_EQ(length % 8, 0U);
  const auto header = nlohmann::json::parse(bytes.substr(8, length));
  ASSERT_EQ(header.size(), kEveryDtype.size() + 1);
  EXPECT_EQ(header["__metadata__"], nlohmann::json({{"format", "pt"}}));
  EXPECT_EQ(header["float"]["dtype"], "F32");
  EXPECT_EQ(header["float"]["shape"], nlohmann::json({2, 3}));
  EXPECT_EQ(header["scalar"]["shape"], nlohmann::json::array());
  std::size_t total = 0;
  for (const StoredTensor& expected : kEveryDtype) {
    const std::size_t begin = header[expected.name]["data_offsets"][0], end = header[expected.name]["data_offsets"][1];
    EXPECT_EQ(bytes.substr(8 + length + begin, end - begin), std::string(kEveryByte, expected.bytes.size()));
    total += expected.bytes.size();
  }
  EXPECT_EQ(bytes.size(), 8 + length + total);
}

TEST(Safetensors, RefusesToWriteWhatNobodyCouldRead) {
  const TemporaryFolder folder;
  const auto complaint = [&](const std::vector<StoredTensor>& tensors, const SafetensorsMetadata& metadata = {}) {
    return complaint_of([&] { write_safetensors(folder.path() / "x", tensors, metadata); });
  };
  const StoredTensor good = tensor("w", Dtype::kF32, {2});
  EXPECT_EQ(complaint({good, good}),
            (folder.path() / "x").string() + ": tensor \"w\" needs a name of its own, other than \"__metadata__\"");
  EXPECT_NE(complaint({tensor("__metadata__", Dtype::kF32, {2})}), "");
  EXPECT_EQ(complaint({{"w", Dtype::kF64, {2}, good.bytes}}),
            (folder.path() / "x").string() +
                ": tensor \"w\" of shape [2] and dtype F64 has 8 bytes: give as many as the shape needs");
  EXPECT_NE(complaint({{"w", Dtype::kF64, {-1, -1}, good.bytes}}), "");
  EXPECT_NE(complaint({tensor("\xff", Dtype::kF32, {2})}), "");
  EXPECT_NE(complaint({good}, {{"key", "\xff"}}), "");
  EXPECT_EQ(entries(folder.path()), 0);
}

TEST(Safetensors, AFullDiskKeepsTheOldFile) {
  const SmallDisk disk(64);
  if (!disk.unavailable().empty()) GTEST_SKIP() << disk.unavailable();
  const auto path = disk.path() / "x";
  write_safetensors(path, kEveryDtype);
  const std::vector<double> large(20'000);
  const std::vector<StoredTensor> tensors = {{"large", Dtype::kF64, {20'000}, std::as_bytes(std::span(large))}};
  const std::string complaint = complaint_of([&] { write_safetensors(path, tensors); });
  EXPECT_NE(complaint.find("No space left on device"), std::string::npos) << complaint;
  EXPECT_EQ(Safetensors(path).tensors().size(), kEveryDtype.size());
  EXPECT_EQ(entries(disk.path()), 1);
}

// The folder named by POLARISCOPE_DATA, or shared/data beside the sources.
std::filesystem::path model(const std::string& name) {
  const std::filesystem::path sources = POLARISCOPE_SOURCE_DIR;
  std::vector<std::filesystem::path> places{sources / "../shared/data", sources / "../../shared/data"};
  if (const char* data = std::getenv("POLARISCOPE_DATA")) places.insert(places.begin(), data);
  for (const auto& place : places) {
    if (std::filesystem::exists(place / "models" / name)) return place / "models" / name;
  }
  return {};
}

TEST(SafetensorsOfOthers, Stories260KAgreesWithItsOriginalFile) {
  const auto folder = model("stories260K");
  if (folder.empty()) GTEST_SKIP() << "models/stories260K is not in POLARISCOPE_DATA";
  const Safetensors file(folder / "model.safetensors");
  const StoredTensor* embedding = file.find("model.embed_tokens.weight");
  ASSERT_NE(embedding, nullptr);
  EXPECT_EQ(embedding->shape, (std::vector<std::int64_t>{512, 64}));
  // llama2.c's file: seven int32, then the same table.
  const MappedFile original(folder / "stories260K.bin");
  std::vector<float> expected(std::size_t{512} * 64);
  std::memcpy(expected.data(), original.bytes().data() + 28, expected.size() * sizeof(float));
  EXPECT_EQ(to_floats(*embedding), expected);
}

TEST(SafetensorsOfOthers, TheirTensorsAndMetadataAreFound) {
  const auto sort = model("gpt-nano-sort"), stories = model("tinystories-656k");
  if (sort.empty() || stories.empty())
    GTEST_SKIP() << "models/gpt-nano-sort, tinystories-656k: not in POLARISCOPE_DATA";
  const Safetensors file(sort / "model.safetensors");
  ASSERT_NE(file.find("transformer.h.2.attn.c_attn.weight"), nullptr);
  EXPECT_EQ(file.find("transformer.h.2.attn.c_attn.weight")->shape, (std::vector<std::int64_t>{144, 48}));
  EXPECT_EQ(file.tensors().front().name, "transformer.wte.weight");
  EXPECT_EQ(Safetensors(stories / "model.safetensors").metadata().at("model.embed_tokens.weight"), "lm_head.weight");
}

}  // namespace
}  // namespace polariscope
