// Small tokenizers of every kind against what Hugging Face's tokenizers and SentencePiece make of the same texts:
// tests/golden/tokenizers.json, written by make_tokenizers.py beside it.
#include "golden_tokenizers.h"

#include "polariscope/base/files.h"
#include "polariscope/tasks/text/tokenizer.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace polariscope::tasks::text {
namespace {

using Ids = std::vector<std::int32_t>;

using testing::description_of;
using testing::golden;

TEST(GoldenTokenizers, HaveTheIdsAndTextsOfHuggingFace) {
  std::map<std::string, nlohmann::json> earlier;
  const auto texts = golden()["texts"].get<std::vector<std::string>>();
  for (const auto& entry : golden()["tokenizers"]) {
    const std::string name = entry["name"];
    SCOPED_TRACE(name);
    const Tokenizer tokenizer = Tokenizer::from_json(description_of(entry, earlier).dump(), name);
    for (std::size_t i = 0; i < texts.size(); ++i) {
      const Ids ids = tokenizer.encode(texts[i]);
      EXPECT_EQ(ids, entry["ids"][i].get<Ids>()) << "text " << i << ": " << texts[i];
      EXPECT_EQ(tokenizer.encode(texts[i], SpecialTokens::kNone).size(), entry["plain"][i].get<std::size_t>());
      if (!entry.contains("decoded")) continue;
      const auto& decoded = entry["decoded"][i];
      EXPECT_EQ(tokenizer.decode(entry["ids"][i].get<Ids>()),
                decoded.is_null() ? texts[i] : decoded.get<std::string>());
    }
  }
}

std::string from_base64(const std::string& text) {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string bytes;
  unsigned bits = 0;
  int count = 0;
  for (const char digit : text) {
    if (digit == '=') break;
    bits = bits << 6 | static_cast<unsigned>(kDigits.find(digit));
    count += 6;
    if (count < 8) continue;
    count -= 8;
    bytes.push_back(static_cast<char>(bits >> count & 0xFF));
  }
  return bytes;
}

TEST(GoldenTokenizers, HaveTheIdsOfSentencePiece) {
  const polariscope::testing::TemporaryFolder folder;
  for (const auto& entry : golden()["sentencepiece"]) {
    SCOPED_TRACE(entry["name"].get<std::string>());
    write_file(folder.path() / "tokenizer.model", from_base64(entry["model"]));
    const Tokenizer tokenizer = Tokenizer::open(folder.path());
    const auto texts = entry["texts"].get<std::vector<std::string>>();
    for (std::size_t i = 0; i < texts.size(); ++i) {
      EXPECT_EQ(tokenizer.encode(texts[i], SpecialTokens::kNone), entry["ids"][i].get<Ids>()) << texts[i];
    }
    EXPECT_EQ(tokenizer.encode("a").front(), tokenizer.bos());
  }
}

}  // namespace
}  // namespace polariscope::tasks::text
