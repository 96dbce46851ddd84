#include "polariscope/audit/documents.h"

#include "polariscope/base/error.h"
#include "polariscope/base/files.h"
#include "polariscope/checkpoints/checkpoint.h"
#include "polariscope/tasks/text/tokenizer.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <string_view>
#include <utility>

namespace polariscope::audit {
namespace {

namespace fs = std::filesystem;

bool is_blank(std::string_view text) { return text.find_first_not_of(" \t\r\n") == std::string_view::npos; }

void read_lines(const fs::path& path, std::int64_t most, std::vector<Document>& documents) {
  const std::string contents = read_file(path);
  std::string_view rest = contents;
  for (std::int64_t number = 1; !rest.empty() && std::ssize(documents) < most; ++number) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    if (is_blank(line)) continue;
    const nlohmann::json object = nlohmann::json::parse(line, nullptr, false);
    const bool has_text = object.is_object() && object.contains("text") && object["text"].is_string();
    if (!has_text) throw Error("{}, line {}: expected a JSON object with a \"text\"", path.string(), number);
    std::string text = object["text"].get<std::string>();
    if (!is_blank(text)) documents.push_back({fmt::format("{}:{}", path.filename().string(), number), std::move(text)});
  }
}

std::vector<fs::path> text_files(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code trouble;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, trouble)) {
    if (entry.path().extension() == ".txt") files.push_back(entry.path());
  }
  if (trouble) throw Error("{} cannot be read: {}", folder.string(), trouble.message());
  std::ranges::sort(files);
  return files;
}

}  // namespace

std::vector<Document> read_documents(const fs::path& path, std::int64_t most) {
  std::vector<Document> documents;
  if (path.extension() == ".jsonl") {
    read_lines(path, most, documents);
  } else {
    for (const fs::path& file : fs::is_directory(path) ? text_files(path) : std::vector{path}) {
      if (std::ssize(documents) >= most) break;
      std::string text = read_file(file);
      if (!is_blank(text)) documents.push_back({file.filename().string(), std::move(text)});
    }
  }
  if (documents.empty()) {
    throw Error(
        "{} has no text: expected a text file, a folder of .txt files or a .jsonl file with a \"text\" in each "
        "line",
        path.string());
  }
  return documents;
}

tasks::text::Tokenizer tokenizer_of(const checkpoints::Checkpoint& checkpoint, const std::string& given) {
  if (!given.empty()) return tasks::text::Tokenizer::open(given);
  if (checkpoint.format() == checkpoints::Format::kGguf) {
    return tasks::text::Tokenizer::from_gguf(checkpoint.config(), checkpoint.path().string());
  }
  return tasks::text::Tokenizer::open(checkpoint.folder());
}

std::vector<TokenizedDocument> tokenized(const std::vector<Document>& documents,
                                         const tasks::text::Tokenizer& tokenizer, tasks::text::SpecialTokens special,
                                         std::int64_t context) {
  std::vector<TokenizedDocument> all;
  for (const Document& document : documents) {
    TokenizedDocument& one =
        all.emplace_back(TokenizedDocument{document.name, tokenizer.encode(document.text, special)});
    one.left_out = std::max<std::int64_t>(0, std::ssize(one.ids) - context);
    one.ids.resize(one.ids.size() - static_cast<std::size_t>(one.left_out));
    if (one.ids.empty()) throw Error("{} has no tokens: the model's tokenizer leaves nothing of it", document.name);
  }
  return all;
}

}  // namespace polariscope::audit
