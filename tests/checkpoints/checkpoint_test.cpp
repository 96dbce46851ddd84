#include "polariscope/checkpoints/checkpoint.h"

#include "gguf_bytes.h"
#include "polariscope/base/files.h"
#include "polariscope/base/safetensors.h"
#include "support/complaint.h"
#include "support/outside_data.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace polariscope::checkpoints {
namespace {

using namespace polariscope::testing;  // NOLINT(google-build-using-namespace)
namespace fs = std::filesystem;

const std::vector<float> kNumbers = {1, 2, 3, 4, 5, 6};

void write_tensor(const fs::path& path, const std::string& name, const std::vector<float>& numbers = kNumbers) {
  write_safetensors(path, std::vector<StoredTensor>{{name, Dtype::kF32, {2, 3}, std::as_bytes(std::span(numbers))}});
}

void write_model(const fs::path& folder) {
  fs::create_directories(folder);
  write_tensor(folder / "model.safetensors", "w");
  write_file(folder / "config.json", R"({"model_type": "x"})");
}

class AFolder : public ::testing::Test {
 protected:
  std::string complaint(const std::string& name = "") {
    return complaint_of([&] { Checkpoint(name.empty() ? path().string() : name); });
  }
  // Whether the complaint has the words.
  ::testing::AssertionResult says(const std::string& words, const std::string& name = "") {
    const std::string said = complaint(name);
    return (said.find(words) == std::string::npos ? ::testing::AssertionFailure() : ::testing::AssertionSuccess())
           << said;
  }
  const fs::path& path() const { return folder_.path(); }

 private:
  TemporaryFolder folder_;
};

TEST_F(AFolder, HasItsTensorsAndItsConfig) {
  write_model(path());
  const Checkpoint checkpoint(path().string());
  EXPECT_EQ(checkpoint.format(), Format::kSafetensors);
  EXPECT_EQ(format_name(checkpoint.format()), "safetensors");
  EXPECT_EQ(checkpoint.path(), path());
  EXPECT_EQ(checkpoint.config().at("model_type"), "x");
  const Tensor* w = checkpoint.find("w");
  ASSERT_NE(w, nullptr);
  EXPECT_EQ(w->shape, (std::vector<std::int64_t>{2, 3}));
  EXPECT_EQ(read_floats(*w), kNumbers);
  EXPECT_EQ(checkpoint.find("v"), nullptr);
}

TEST_F(AFolder, AndItsFileAreTheSame) {
  write_model(path());
  const Checkpoint file((path() / "model.safetensors").string());
  EXPECT_EQ(file.folder(), path());
  EXPECT_EQ(file.config().at("model_type"), "x");
  EXPECT_EQ(file.fingerprint(), Checkpoint(path().string()).fingerprint());
  fs::remove(path() / "config.json");
  EXPECT_TRUE(Checkpoint(path().string()).config().is_null());
}

TEST_F(AFolder, HasAnotherFingerprintForOtherNumbers) {
  write_model(path());
  const auto before = Checkpoint(path().string()).fingerprint();
  write_tensor(path() / "model.safetensors", "w", {1, 2, 3, 4, 5, 7});
  EXPECT_NE(Checkpoint(path().string()).fingerprint(), before);
}

TEST_F(AFolder, KeepsTensorsOfTypesThatAreNotRead) {
  const std::string header = R"({"a":{"dtype":"F8_E8M0","shape":[2],"data_offsets":[0,2]},)"
                             R"("b":{"dtype":"F4","shape":[2],"data_offsets":[2,3]},)"
                             R"("c":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[3,4]}})";
  write_file(path() / "x.safetensors", little_endian<std::uint64_t>(header.size()) + header + "\x01\x02\x03\x38");
  const Checkpoint checkpoint((path() / "x.safetensors").string());
  EXPECT_EQ(checkpoint.tensors().size(), 3U);
  EXPECT_EQ(read_floats(*checkpoint.find("c")), std::vector<float>{1});
  EXPECT_NE(complaint_of([&] { checkpoint.find("a"); }).find("tensor \"a\" has type F8_E8M0, which is not read"),
            std::string::npos);
}

TEST_F(AFolder, WithATypeOrASizeThatNobodyKnowsIsRefused) {
  const auto one = [&](const std::string& dtype, int numbers) {
    const std::string header =
        fmt::format(R"({{"a":{{"dtype":"{}","shape":[{}],"data_offsets":[0,4]}}}})", dtype, numbers);
    write_file(path() / "x.safetensors", little_endian<std::uint64_t>(header.size()) + header + "1234");
    return complaint((path() / "x.safetensors").string());
  };
  EXPECT_EQ(one("F4", 8), "");
  EXPECT_NE(one("F4", 9).find("tensor \"a\" of shape [9] and dtype F4 has 4 bytes, which is not what"),
            std::string::npos);
  EXPECT_NE(one("F8_E4M3", 5), "");
  EXPECT_NE(one("F5", 4).find("tensor \"a\" has dtype \"F5\", which the safetensors format did not know"),
            std::string::npos);
  EXPECT_NE(one("Q4_0", 4), "");
}

class Pieces : public AFolder {
 protected:
  void SetUp() override {
    write_tensor(path() / "model-00001-of-00002.safetensors", "a");
    write_tensor(path() / "model-00002-of-00002.safetensors", "b");
    write_file(path() / "config.json", "{}");
    write_index(R"({"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"})");
  }
  void write_index(const std::string& map) {
    write_file(path() / "model.safetensors.index.json",
               R"({"metadata": {"total_size": 48}, "weight_map": )" + map + "}");
  }
};

TEST_F(Pieces, AreOneModel) {
  const Checkpoint checkpoint(path().string());
  ASSERT_EQ(checkpoint.tensors().size(), 2U);
  EXPECT_EQ(read_floats(*checkpoint.find("b")), kNumbers);
}

TEST_F(Pieces, ThatAreMissingAreNamed) {
  fs::remove(path() / "model-00002-of-00002.safetensors");
  EXPECT_TRUE(
      says("model-00002-of-00002.safetensors: is missing, one of the 2 files that model.safetensors.index.json"));
}

TEST_F(Pieces, WhereTheIndexIsWrongAreRefused) {
  write_index(R"({"a": "model-00002-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"})");
  EXPECT_TRUE(says("says that tensor \"a\" is in model-00002-of-00002.safetensors, where it is not"));
  write_index(R"({"a": "model-00001-of-00002.safetensors", "c": "model-00002-of-00002.safetensors"})");
  EXPECT_TRUE(says("says that tensor \"c\" is in model-00002-of-00002.safetensors, where it is not"));
  for (const char* map : {R"({"a": "../x.safetensors"})", R"({"a": "/etc/x.safetensors"})", R"({"a": ".."})",
                          R"({"a": "x/y.safetensors"})", R"({"a": "pytorch_model.bin"})", R"({"a": 3})",
                          R"({"a": "x\u0000.safetensors"})"}) {
    write_index(map);
    EXPECT_TRUE(says("expected the name of a .safetensors file in the same folder")) << map;
  }
  for (const char* map : {"{}", "[]", "3"}) {
    write_index(map);
    EXPECT_TRUE(says("has no \"weight_map\" from tensors to files")) << map;
  }
}

TEST_F(Pieces, WithATensorInTwoAreRefused) {
  write_tensor(path() / "model-00002-of-00002.safetensors", "a");
  EXPECT_TRUE(says("tensor \"a\" is in two of the model's files"));
}

TEST_F(AFolder, WithPicklesAloneIsRefusedWithTheWayToConvert) {
  write_file(path() / "config.json", "{}");
  for (const char* name : {"pytorch_model.bin", "model.pt", "model.pth", "model.ckpt"}) {
    write_file(path() / name, "PK");
    for (const fs::path& place : {path(), path() / name}) {
      EXPECT_TRUE(says(std::string(name) + ": is a pickle, which may run any program when it is opened: convert it",
                       place.string()));
      EXPECT_TRUE(says("safetensors.torch.save_file", place.string()));
    }
    fs::remove(path() / name);
  }
}

TEST_F(AFolder, WithoutWeightsSaysWhatItHas) {
  EXPECT_TRUE(says("has no model.safetensors, model.safetensors.index.json or .gguf file, but nothing"));
  write_file(path() / "adapter_model.safetensors", "");
  write_file(path() / "pytorch_model.bin", "");
  EXPECT_TRUE(says(".gguf file, but adapter_model.safetensors, pytorch_model.bin: give a model's folder, or the file"));
  write_file(path() / "notes.txt", "");
  EXPECT_TRUE(says("notes.txt: is no checkpoint by its name", (path() / "notes.txt").string()));
}

TEST_F(AFolder, WithOneGgufIsThatModel) {
  write_file(path() / "x.gguf", small_gguf());
  for (const fs::path& place : {path(), path() / "x.gguf"}) {
    const Checkpoint checkpoint(place.string());
    EXPECT_EQ(checkpoint.format(), Format::kGguf);
    EXPECT_EQ(checkpoint.path(), path() / "x.gguf");
    EXPECT_EQ(checkpoint.config().at("general.architecture"), "llama");
    EXPECT_EQ(read_floats(*checkpoint.find("b")), (std::vector<float>{1, 2, 3}));
  }
  write_file(path() / "y.gguf", small_gguf());
  EXPECT_TRUE(says("holds 2 models: give one of x.gguf, y.gguf"));
}

TEST_F(AFolder, WithAGgufInPiecesIsOneModel) {
  const auto piece = [&](const std::string& name, const std::string& tensor, std::uint16_t count) {
    write_file(path() / name, gguf_file({gguf_entry("split.count", 2, little_endian(count))}, {{tensor, {1}, 0, 0}},
                                        little_endian(1.5F)));
  };
  piece("m-00001-of-00002.gguf", "a", 2);
  EXPECT_TRUE(says("m-00002-of-00002.gguf: is missing: of m-00001-of-00002.gguf the 2 pieces belong into one folder"));
  piece("m-00002-of-00002.gguf", "b", 2);
  for (const fs::path& place : {path(), path() / "m-00001-of-00002.gguf", path() / "m-00002-of-00002.gguf"}) {
    const Checkpoint checkpoint(place.string());
    EXPECT_EQ(checkpoint.path(), path() / "m-00001-of-00002.gguf");
    EXPECT_EQ(checkpoint.tensors().size(), 2U);
  }
  piece("m-00002-of-00002.gguf", "a", 2);
  EXPECT_TRUE(says("tensor \"a\" is in two of the model's files"));
  piece("m-00002-of-00002.gguf", "b", 3);
  EXPECT_TRUE(says("is one of 3 pieces, but by its name of 2: give the pieces the names NAME-00001-of-00003.gguf"));
  piece("alone.gguf", "a", 2);
  EXPECT_TRUE(says("is one of 2 pieces, but by its name of 1", (path() / "alone.gguf").string()));
  piece("x-00001-of-00000.gguf", "a", 1);
  EXPECT_TRUE(says("piece of none", (path() / "x-00001-of-00000.gguf").string()));
}

TEST_F(AFolder, ReadsNumbersThatJsonLacks) {
  write_model(path());
  write_file(path() / "config.json", R"({"limits": [0.0, Infinity, -Infinity], "x": NaN, "y": "\"NaN, Infinity"})");
  const Checkpoint checkpoint(path().string());
  EXPECT_EQ(checkpoint.config(), nlohmann::json::parse(R"({"limits": [0.0, {"__float__": "Infinity"},
    {"__float__": "-Infinity"}], "x": {"__float__": "NaN"}, "y": "\"NaN, Infinity"})"));
}

TEST_F(AFolder, WithAnotherKindOfConfigIsRefused) {
  write_model(path());
  const auto config = [&](const std::string& text) { write_file(path() / "config.json", text); };
  config("{\"a\": ");
  EXPECT_TRUE(says("config.json: is not JSON from byte 7 on: give a whole file"));
  config("[1]");
  EXPECT_TRUE(says("config.json: is JSON, but no object"));
  config("");
  EXPECT_TRUE(says("config.json: is not JSON"));
  config("{\"\xff\": 1}");
  EXPECT_TRUE(says("config.json: is not JSON"));
  config(R"({"a": 1e999})");
  EXPECT_TRUE(says("config.json: holds a number that no computer can"));
  config(R"({"a": )" + std::string(200'000, '[') + std::string(200'000, ']') + "}");
  EXPECT_TRUE(says("config.json: is nested deeper than 64"));
  fs::remove(path() / "config.json");
  fs::create_directory(path() / "config.json");
  EXPECT_NE(complaint(), "");
}

TEST(CheckpointsOfOthers, AreOpened) {
  const auto folder = outside_data("models/tinystories-656k");
  if (folder.empty()) GTEST_SKIP() << "models/tinystories-656k is not in POLARISCOPE_DATA";
  const Checkpoint checkpoint(folder.string());
  EXPECT_EQ(checkpoint.config().at("model_type"), "llama");
  EXPECT_NE(checkpoint.find("lm_head.weight"), nullptr);
}

}  // namespace
}  // namespace polariscope::checkpoints
