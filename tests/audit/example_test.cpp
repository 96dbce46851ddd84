// The model that comes with the program, as it is written out and as it is audited.
#include "polariscope/audit/example.h"

#include "polariscope/audit/audit.h"
#include "polariscope/audit/documents.h"
#include "polariscope/base/files.h"
#include "polariscope/tasks/text/tokenizer.h"
#include "support/complaint.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

namespace polariscope::audit {
namespace {

using namespace polariscope::testing;
namespace fs = std::filesystem;

TEST(ExampleFolder, IsGoneWithTheObject) {
  fs::path model, text;
  {
    const ExampleFolder example;
    model = example.model();
    text = example.text();
    EXPECT_EQ(entries(model), 4);
    EXPECT_TRUE(fs::exists(text));
    const ExampleFolder another;
    EXPECT_NE(another.model(), model);
  }
  EXPECT_FALSE(fs::exists(text));
  EXPECT_FALSE(fs::exists(model));
}

TEST(ExampleFolder, HasTheFilesOfTheSources) {
  const ExampleFolder example;
  const fs::path sources = fs::path(POLARISCOPE_SOURCE_DIR) / "data" / "example";
  std::uintmax_t bytes = 0;
  for (const char* name : {"config.json", "model.safetensors", "tokenizer.json", "text.txt"}) {
    EXPECT_EQ(read_file(example.model() / name), read_file(sources / name)) << name;
    bytes += fs::file_size(sources / name);
  }
  EXPECT_LT(bytes, 600'000U);  // it is part of every program and wheel
}

TEST(ExampleFolder, SaysWhereItCannotBeWritten) {
  const char* before = std::getenv("TMPDIR");
  const std::string usual = before == nullptr ? "" : before;
  setenv("TMPDIR", "/nowhere/at/all", 1);
  const std::string complaint = complaint_of([] { const ExampleFolder example; });
  before == nullptr ? unsetenv("TMPDIR") : setenv("TMPDIR", usual.c_str(), 1);
  EXPECT_NE(complaint.find("TMPDIR"), std::string::npos) << complaint;
  EXPECT_EQ(complaint.find('\n'), std::string::npos);
}

AuditResult audit_of_example(const ExampleFolder& example, std::int64_t context) {
  const models::PretrainedModel model{checkpoints::Checkpoint(example.model().string())};
  const auto texts = tokenized(read_documents(example.text(), 1), tasks::text::Tokenizer::open(example.model()),
                               tasks::text::SpecialTokens::kAdded, context);
  return audit(model.description(), model, {{texts.front().ids}}, {.progress = {}});
}

// As transformers 5.24 finds it.
TEST(ExampleModel, KnowsTextThatItWasNotTrainedOn) {
  const ExampleFolder example;
  const AuditResult result = audit_of_example(example, 2048);
  EXPECT_EQ(result.texts.front().tokens, 2048);
  EXPECT_NEAR(result.nll.value(), 3.3624, 1e-4);
  EXPECT_LT(result.nll.value(), std::log(512.0) - 2.0);
}

}  // namespace
}  // namespace polariscope::audit
