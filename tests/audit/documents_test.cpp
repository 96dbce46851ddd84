// Files as documents, and what is refused of them.
#include "polariscope/audit/documents.h"

#include "polariscope/base/files.h"
#include "polariscope/tasks/text/tokenizer.h"
#include "support/complaint.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace polariscope::audit {
namespace {

using namespace polariscope::testing;

class Documents : public ::testing::Test {
 protected:
  std::filesystem::path write(const std::string& name, const std::string& contents) const {
    write_file(folder_.path() / name, contents);
    return folder_.path() / name;
  }
  const TemporaryFolder folder_;
};

std::vector<std::string> names_of(const std::vector<Document>& documents) {
  std::vector<std::string> names;
  for (const Document& document : documents) names.push_back(document.name);
  return names;
}

TEST_F(Documents, AreAFileOrTheTextFilesOfAFolderByName) {
  const auto one = write("b.txt", "two");
  write("a.txt", "one");
  write("c.txt", " \n");
  write("d.md", "no text");
  EXPECT_EQ(names_of(read_documents(one, 10)), std::vector<std::string>{"b.txt"});
  EXPECT_EQ(names_of(read_documents(folder_.path(), 10)), (std::vector<std::string>{"a.txt", "b.txt"}));
  EXPECT_EQ(names_of(read_documents(folder_.path(), 1)), std::vector<std::string>{"a.txt"});
}

TEST_F(Documents, AreTheTextsOfALineEach) {
  const auto lines =
      write("some.jsonl", "{\"text\": \"one\\ntwo\", \"id\": 1}\n\n{\"text\": \"\"}\r\n{\"text\": \"three\"}");
  const std::vector<Document> documents = read_documents(lines, 10);
  EXPECT_EQ(names_of(documents), (std::vector<std::string>{"some.jsonl:1", "some.jsonl:4"}));
  EXPECT_EQ(documents[0].text, "one\ntwo");
}

TEST_F(Documents, ThatAreNoneAreRefused) {
  const auto complaint = [](const std::filesystem::path& path) {
    return complaint_of([&] { read_documents(path, 10); });
  };
  EXPECT_NE(complaint(folder_.path()).find("has no text"), std::string::npos);
  EXPECT_NE(complaint(write("empty.txt", "\n")).find("empty.txt has no text"), std::string::npos);
  EXPECT_NE(complaint(write("a.jsonl", "{\"text\": \"a\"}\n{\"body\": 1}\n")).find("a.jsonl, line 2"),
            std::string::npos);
  EXPECT_NE(complaint(write("b.jsonl", "[1")).find("line 1"), std::string::npos);
  EXPECT_NE(complaint(folder_.path() / "none.txt"), "");
}

TEST_F(Documents, AreCutAfterTheContext) {
  write("vocab.txt", "[UNK]\n[CLS]\n[SEP]\none\ntwo\nthree\n");
  const auto tokenizer = tasks::text::Tokenizer::open(folder_.path() / "vocab.txt");
  const std::vector<Document> documents{{"a", "one two three two one"}, {"b", "three"}};
  const std::size_t whole = tokenizer.encode(documents[0].text).size();
  const std::vector<TokenizedDocument> cut = tokenized(documents, tokenizer, tasks::text::SpecialTokens::kAdded, 4);
  ASSERT_EQ(cut.size(), 2U);
  EXPECT_EQ(cut[0].ids.size(), 4U);
  EXPECT_EQ(cut[0].left_out, static_cast<std::int64_t>(whole) - 4);
  EXPECT_EQ(cut[1].left_out, 0);
}

}  // namespace
}  // namespace polariscope::audit
