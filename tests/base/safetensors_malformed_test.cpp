// Files that no writer of the format makes: each is refused with one sentence, none is read.
#include "polariscope/base/error.h"
#include "polariscope/base/files.h"
#include "polariscope/base/safetensors.h"
#include "support/complaint.h"
#include "support/temporary_folder.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <random>
#include <utility>

namespace polariscope {
namespace {

using testing::complaint_of;
using testing::TemporaryFolder;

std::string file_of(const std::string& header, std::size_t data_bytes) {
  std::string bytes(8, '\0');
  const std::uint64_t length = header.size();
  std::memcpy(bytes.data(), &length, 8);
  return bytes + header + std::string(data_bytes, 'd');
}

struct Case {
  std::string header;
  std::size_t data_bytes;
  std::string complaint;  // after the file's name
};

const std::string kWhole = "\" that is a list of whole numbers from 0 to 2^63 - 1";
const Case kCases[] = {
    {R"([])", 0, ": its header of 2 bytes is not a JSON object: give a file in the safetensors format"},
    {R"( {})", 0, ": its header of 3 bytes is not a JSON object: give a file in the safetensors format"},
    {R"({"w":)", 0, ": its header of 5 bytes is not a JSON object: give a file in the safetensors format"},
    {"{\"\xff\":1}", 0, ": its header of 7 bytes is not a JSON object: give a file in the safetensors format"},
    {R"({"w":1e999})", 0, ": its header of 11 bytes is not a JSON object: give a file in the safetensors format"},
    {R"({"w":1})", 0, ": tensor \"w\" is described by no JSON object"},
    {R"({"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"w":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
     8, ": \"w\" stands twice in the header"},
    {R"({"w":{"dtype":"F32","dtype":"F64","shape":[1],"data_offsets":[0,4]}})", 4,
     ": \"dtype\" stands twice in the header"},
    {R"({"__metadata__":{"a":1}})", 0, ": \"__metadata__\" is not an object of texts"},
    {R"({"__metadata__":"a"})", 0, ": \"__metadata__\" is not an object of texts"},
    {R"({"w":{"shape":[1],"data_offsets":[0,4]}})", 4, ": tensor \"w\" has no \"dtype\" that is a text"},
    {R"({"w":{"dtype":4,"shape":[1],"data_offsets":[0,4]}})", 4, ": tensor \"w\" has no \"dtype\" that is a text"},
    {R"({"w":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[0,1]}})", 2,
     ": the last 1 bytes of the data belong to no tensor"},
    {R"({"w":{"dtype":"F4","shape":[2],"data_offsets":[0,1]},"v":{"dtype":"F8_E5M2","shape":[1],"data_offsets":[0,1]}})",
     1, " of the data, but the one before it ends at 1"},
    {R"({"w":{"dtype":"F32","data_offsets":[0,4]}})", 4, ": tensor \"w\" has no \"shape" + kWhole},
    {R"({"w":{"dtype":"F32","shape":4,"data_offsets":[0,4]}})", 4, ": tensor \"w\" has no \"shape" + kWhole},
    {R"({"w":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}})", 4, ": tensor \"w\" has no \"shape" + kWhole},
    {R"({"w":{"dtype":"F32","shape":[1.0],"data_offsets":[0,4]}})", 4, ": tensor \"w\" has no \"shape" + kWhole},
    {R"({"w":{"dtype":"F32","shape":[9223372036854775808],"data_offsets":[0,4]}})", 4,
     ": tensor \"w\" has no \"shape" + kWhole},
    {R"({"w":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}})", 0,
     ": tensor \"w\" of shape [4294967296, 4294967296] and dtype F32 has 0 bytes, which is not what the shape needs"},
    {R"({"w":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", 4,
     ": tensor \"w\" of shape [2] and dtype F32 has 4 bytes, which is not what the shape needs"},
    {R"({"w":{"dtype":"F32","shape":[1]}})", 4, ": tensor \"w\" has no \"data_offsets" + kWhole},
    {R"({"w":{"dtype":"F32","shape":[1],"data_offsets":[-4,0]}})", 4, ": tensor \"w\" has no \"data_offsets" + kWhole},
    {R"({"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4,4]}})", 4,
     ": tensor \"w\" has data_offsets [0, 4, 4], expected a begin and an end"},
    {R"({"w":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}})", 4,
     ": tensor \"w\" has data_offsets [4, 0], expected a begin and an end"},
    {R"({"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 3,
     ": tensor \"w\" ends at byte 4 of the data, of which there are 3: the file is cut short or damaged"},
    {R"({"w":{"dtype":"F32","shape":[1],"data_offsets":[9223372036854775803,9223372036854775807]}})", 4,
     ": tensor \"w\" ends at byte 9223372036854775807 of the data, of which there are 4: the file is cut short or "
     "damaged"},
    {R"({"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"v":{"dtype":"F32","shape":[1],"data_offsets":[2,6]}})",
     6, ": tensor \"v\" begins at byte 2 of the data, but the one before it ends at 4"},
    {R"({"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"v":{"dtype":"F32","shape":[1],"data_offsets":[6,10]}})",
     10, ": tensor \"v\" begins at byte 6 of the data, but the one before it ends at 4"},
    {R"({"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"v":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
     4, " of the data, but the one before it ends at 4"},
    {R"({"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 6,
     ": the last 2 bytes of the data belong to no tensor"},
};

TEST(MalformedSafetensors, AreRefusedWithTheFileAndTheTensor) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "x";
  for (const Case& malformed : kCases) {
    SCOPED_TRACE(malformed.header);
    write_file(path, file_of(malformed.header, malformed.data_bytes));
    const std::string complaint = complaint_of([&] { Safetensors{path}; });
    EXPECT_TRUE(complaint.starts_with(path.string())) << complaint;
    EXPECT_TRUE(complaint.ends_with(malformed.complaint)) << complaint;
  }
}

TEST(MalformedSafetensors, AHeaderLongerThanTheFileIsRefused) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "x";
  const auto complaint = [&](const std::string& bytes) {
    write_file(path, bytes);
    return complaint_of([&] { Safetensors{path}; });
  };
  EXPECT_EQ(complaint(""),
            path.string() + ": has 0 bytes, of which a safetensors file needs 8 for its header's length");
  EXPECT_NE(complaint("1234567"), "");
  EXPECT_EQ(complaint(std::string("\3\0\0\0\0\0\0\0{}", 10)),
            path.string() +
                ": says that its header has 3 bytes, but the file has 10 and the format allows 100000000: "
                "give a whole file in the safetensors format");
  EXPECT_NE(complaint(std::string(16, '\xff')), "");
}

TEST(MalformedSafetensors, ADeeplyNestedHeaderDoesNotOverflowTheStack) {
  const TemporaryFolder folder;
  for (const auto& [open, close] : {std::pair("[", "]"), std::pair("{\"w\":", "}")}) {
    std::string header = "{\"w\":";
    for (int i = 0; i < 200'000; ++i) header += open;
    header += "1";
    for (int i = 0; i < 200'000; ++i) header += close;
    write_file(folder.path() / "x", file_of(header + "}", 0));
    EXPECT_THROW(Safetensors{folder.path() / "x"}, Error);
  }
}

// Flips bits and cuts the end of a valid file: what is still read has tensors whose bytes are there.
TEST(MalformedSafetensors, DamagedFilesAreReadOrRefused) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "x";
  const std::vector<double> numbers = {1.5, -2.5, 0.0, 1e300};
  const std::span bytes = std::as_bytes(std::span(numbers));
  write_safetensors(path,
                    std::vector<StoredTensor>{{"flags", Dtype::kBool, {5}, bytes.first(5)},
                                              {"weight", Dtype::kF32, {2, 4}, bytes},
                                              {"empty", Dtype::kI16, {0, 3}, {}},
                                              {"half", Dtype::kF16, {10}, bytes.first(20)}},
                    {{"step", "7"}});
  const std::string valid = read_file(path);
  std::mt19937 random(4);
  int read = 0;
  for (int i = 0; i < 10'000; ++i) {
    std::string damaged = valid;
    for (std::size_t flips = random() % 4; flips > 0; --flips) {
      damaged[random() % damaged.size()] ^= static_cast<char>(1U << random() % 8);
    }
    if (random() % 4 == 0) damaged.resize(random() % damaged.size());
    std::filesystem::remove(path);  // some file systems sync a file that is cut to nothing and written again
    std::ofstream(path, std::ios::binary) << damaged;
    try {
      const Safetensors file(path);
      ++read;
      for (const StoredTensor& tensor : file.tensors()) {
        ASSERT_EQ(tensor_bytes(tensor.dtype, tensor.shape), tensor.bytes.size());
        ASSERT_EQ(to_doubles(tensor).size(), tensor.bytes.size() / dtype_bytes(tensor.dtype));
      }
    } catch (const Error& error) {
      ASSERT_TRUE(std::string(error.what()).starts_with(path.string())) << error.what();
    }
  }
  EXPECT_GT(read, 1000) << "hardly a file was whole: this test tests little";
  EXPECT_LT(read, 9000) << "hardly a file was damaged: this test tests little";
}

}  // namespace
}  // namespace polariscope
