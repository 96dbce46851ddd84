// The texts of an audit: files as documents, documents as tokens.
#pragma once

#include "polariscope/tasks/text/tokenizer.h"

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace polariscope::checkpoints {
class Checkpoint;
}

namespace polariscope::audit {

struct Document {
  std::string name;  // of its file; of a line of FILE.jsonl "FILE.jsonl:12"
  std::string text;
};

// A text file is a document; a folder has those of its *.txt files, by name; a .jsonl file one in the "text" of each
// line. At most `most` of them; empty ones are left out. Throws Error where there is none, and for a line that is no
// such object.
std::vector<Document> read_documents(const std::filesystem::path& path, std::int64_t most);

// The one at `given`, a file or folder; where that is empty, the one that lies with the checkpoint. Throws Error where
// there is none.
tasks::text::Tokenizer tokenizer_of(const checkpoints::Checkpoint& checkpoint, const std::string& given);

struct TokenizedDocument {
  std::string name;
  std::vector<std::int32_t> ids;
  std::int64_t left_out = 0;  // tokens beyond `context`
};

// Cut after `context` tokens. special: whether the tokenizer begins and ends a text as its model expects.
std::vector<TokenizedDocument> tokenized(const std::vector<Document>& documents,
                                         const tasks::text::Tokenizer& tokenizer, tasks::text::SpecialTokens special,
                                         std::int64_t context);

}  // namespace polariscope::audit
