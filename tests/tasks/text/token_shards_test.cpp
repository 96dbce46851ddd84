// A folder of token shards as a training opens it: what it reads, and what it refuses.
#include "polariscope/tasks/text/token_shards.h"

#include "polariscope/base/files.h"
#include "polariscope/base/xxh64.h"
#include "support/complaint.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cstring>
#include <numeric>

namespace polariscope::tasks::text {
namespace {

using polariscope::testing::complaint_of;
using polariscope::testing::TemporaryFolder;

template <class Number>
std::string bytes_of(const std::vector<Number>& numbers) {
  std::string bytes(numbers.size() * sizeof(Number), '\0');
  if (!bytes.empty()) std::memcpy(bytes.data(), numbers.data(), bytes.size());
  return bytes;
}

// Writes shards that hold 3, 0 and 4 numbers, and their index.
template <class Number>
TokenIndex written(const std::filesystem::path& folder, std::int64_t vocabulary,
                   const std::vector<std::vector<Number>>& shards) {
  TokenIndex index;
  index.token_bytes = sizeof(Number);
  index.vocabulary = vocabulary;
  index.tokenizer = "by hand";
  for (const auto& numbers : shards) {
    const std::string name = fmt::format("part-{}.bin", index.shards.size());
    write_file(folder / name, bytes_of(numbers));
    index.shards.push_back({name, std::ssize(numbers), fmt::format("{:016x}", xxh64(bytes_of(numbers)))});
    index.tokens += std::ssize(numbers);
  }
  index.fingerprint = fingerprint_of(index);
  write_file(folder / "index.json", to_json(index).dump());
  return index;
}

std::vector<std::int64_t> all_of(const TokenShards& shards) {
  std::vector<std::int64_t> tokens(static_cast<std::size_t>(shards.size()));
  shards.read(0, tokens);
  return tokens;
}

bool says(const std::string& sentence, std::initializer_list<std::string> words) {
  return std::ranges::all_of(words, [&](const std::string& word) { return sentence.find(word) != std::string::npos; });
}

TEST(TokenShards, AreReadAcrossTheirBorders) {
  const TemporaryFolder folder;
  written<std::uint16_t>(folder.path(), 65536, {{1, 2, 3}, {}, {65535, 5, 6, 7}});
  const TokenShards shards(folder.path());
  EXPECT_EQ(shards.size(), 7);
  EXPECT_EQ(shards.vocabulary(), 65536);
  shards.verify();
  const std::vector<std::int64_t> expected{1, 2, 3, 65535, 5, 6, 7};
  for (std::size_t first = 0; first <= expected.size(); ++first) {
    for (std::size_t count = 0; first + count <= expected.size(); ++count) {
      std::vector<std::int64_t> read(count);
      shards.read(static_cast<std::int64_t>(first), read);
      EXPECT_TRUE(std::equal(read.begin(), read.end(), expected.begin() + static_cast<std::ptrdiff_t>(first)))
          << first << ", " << count;
    }
  }
  std::vector<std::int64_t> many(8);
  EXPECT_TRUE(says(complaint_of([&] { shards.read(0, many); }), {"0 to 8", "it has 7"}));
  EXPECT_FALSE(complaint_of([&] { shards.read(-1, std::span(many).first(2)); }).empty());
}

TEST(TokenShards, OfLargeVocabulariesHaveWiderNumbers) {
  const TemporaryFolder folder;
  written<std::uint32_t>(folder.path(), 3'000'000'001, {{1, 70000}, {3'000'000'000}});
  const TokenShards shards(folder.path());
  shards.verify();
  EXPECT_EQ(all_of(shards), (std::vector<std::int64_t>{1, 70000, 3'000'000'000}));
}

TEST(TokenShards, OneThatIsCutShortOrMissingIsNamed) {
  const TemporaryFolder folder;
  written<std::uint16_t>(folder.path(), 100, {{1, 2, 3}, {4, 5}});
  for (const std::string& bytes : {std::string("\4\0\5", 3), std::string("\4\0", 2), std::string("\4\0\5\0\6\0", 6)}) {
    write_file(folder.path() / "part-1.bin", bytes);
    EXPECT_TRUE(says(complaint_of([&] { TokenShards shards(folder.path()); }),
                     {"part-1.bin", fmt::format("has {} bytes", bytes.size()), "2 tokens", "cut short"}));
  }
  std::filesystem::remove(folder.path() / "part-1.bin");
  EXPECT_TRUE(says(complaint_of([&] { TokenShards shards(folder.path()); }), {"part-1.bin", "No such file"}));
  EXPECT_TRUE(says(complaint_of([&] { TokenShards shards(folder.path() / "none"); }), {"none", "index.json"}));
}

TEST(TokenShards, AChangedByteIsFoundByTheFingerprint) {
  const TemporaryFolder folder;
  const TokenIndex index = written<std::uint16_t>(folder.path(), 100, {{1, 2, 3}, {4, 5}});
  write_file(folder.path() / "part-1.bin", bytes_of<std::uint16_t>({4, 6}));
  const TokenShards shards(folder.path());
  EXPECT_TRUE(says(complaint_of([&] { shards.verify(); }), {"part-1.bin", index.shards[1].fingerprint, "changed"}));
}

TEST(TokenShards, ANumberThatNoTokenHasIsNamed) {
  const TemporaryFolder folder;
  written<std::uint16_t>(folder.path(), 5, {{1, 2}, {5}});
  const TokenShards shards(folder.path());
  EXPECT_TRUE(says(complaint_of([&] { shards.verify(); }), {"part-1.bin", "token 5", "5 tokens from 0 on"}));
}

TEST(TokenShards, AnIndexThatContradictsItselfIsRefused) {
  const TemporaryFolder folder;
  const TokenIndex index = written<std::uint16_t>(folder.path(), 100, {{1, 2, 3}, {4, 5}});
  const auto refusal = [&](const auto& change) {
    nlohmann::ordered_json json = to_json(index);
    change(json);
    write_file(folder.path() / "index.json", json.dump());
    return complaint_of([&] { TokenShards shards(folder.path()); });
  };
  EXPECT_EQ(refusal([](auto&) {}), "");
  EXPECT_TRUE(says(refusal([](auto& json) { json["tokens"] = 6; }), {"5 tokens", "6"}));
  EXPECT_TRUE(says(refusal([](auto& json) { json["tokens"] = 4; }), {"more than its 4"}));
  EXPECT_TRUE(says(refusal([](auto& json) { json["vocabulary"] = 99; }), {"fingerprint", index.fingerprint}));
  EXPECT_TRUE(says(refusal([](auto& json) { json["shards"][0]["file"] = "../part-0.bin"; }), {"../part-0.bin"}));
  EXPECT_TRUE(says(refusal([](auto& json) { json["shards"][0]["tokens"] = -1; }), {"tokens", "-1"}));
  EXPECT_TRUE(says(refusal([](auto& json) { json["numbers"] = "int8"; }), {"int8"}));
  EXPECT_TRUE(says(refusal([](auto& json) { json["format"] = "other"; }), {"other"}));
  EXPECT_TRUE(says(refusal([](auto& json) { json.erase("shards"); }), {"shards"}));
  write_file(folder.path() / "index.json", "{");
  EXPECT_TRUE(says(complaint_of([&] { TokenShards shards(folder.path()); }), {"index.json is no index of tokens"}));
}

TEST(TokenShards, AnIndexComesBackAsItWas) {
  const TemporaryFolder folder;
  TokenIndex index = written<std::uint16_t>(folder.path(), 100, {{1, 2, 3}});
  index.separator = {7, "</s>"};
  index.inputs = {{"a.txt", 12, 1, "00"}};
  index.field = "text";
  index.documents = 1;
  index.rough_cuts = 2;
  write_file(folder.path() / "index.json", to_json(index).dump());
  EXPECT_EQ(to_json(read_token_index(folder.path())), to_json(index));
}

}  // namespace
}  // namespace polariscope::tasks::text
