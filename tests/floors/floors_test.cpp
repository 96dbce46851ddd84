#include "floors.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string_view>

namespace polariscope::testing {
namespace {

std::vector<SourceFile> sources_of_the_project() {
  const std::filesystem::path root = POLARISCOPE_SOURCE_DIR;
  std::vector<SourceFile> files;
  for (const char* folder : {"include", "src", "cli", "bench", "python", "tests/support"}) {
    if (!std::filesystem::exists(root / folder)) continue;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(root / folder)) {
      const std::string extension = entry.path().extension().string();
      const bool is_package = std::string_view(folder) == "python" && extension == ".py";
      if (extension != ".h" && extension != ".cpp" && !is_package) continue;
      std::ostringstream text;
      text << std::ifstream(entry.path()).rdbuf();
      files.push_back({std::filesystem::relative(entry.path(), root).generic_string(), text.str()});
    }
  }
  std::sort(files.begin(), files.end(), [](const auto& a, const auto& b) { return a.path < b.path; });
  return files;
}

TEST(Floors, NoFileOfTheProjectBreaksARule) {
  const auto files = sources_of_the_project();
  EXPECT_GT(files.size(), 20U) << "the sources were not found";
  for (const std::string& violation : floor_violations(files)) ADD_FAILURE() << violation;
}

// A sound project in small, to which each test below adds one violation.
std::vector<SourceFile> small_project() {
  return {
      {"src/polariscope/base/error.h", "#include <fmt/format.h>\n"},
      {"src/polariscope/base/files.h", "#pragma once\n"},
      {"src/polariscope/reweighting/table.h", "#include \"polariscope/base/error.h\"\n"},
      {"src/polariscope/reweighting/simd-inl.h", "#include <hwy/highway.h>\n"},
      {"src/polariscope/reweighting/internal/rows.h", "#include <hwy/highway.h>\n"},
      {"src/polariscope/reweighting/table.cpp",
       "#include \"polariscope/reweighting/table.h\"\n#include \"simd-inl.h\"\n"
       "#include \"polariscope/reweighting/internal/rows.h\"\n#include <hwy/highway.h>\n"},
      {"src/polariscope/report/page.h",
       "#include \"polariscope/base/error.h\"\nnamespace polariscope {\nstruct Page {};\n}\n"},
      {"src/polariscope/flow/model.h", "#include \"polariscope/reweighting/table.h\"\n"},
      {"src/polariscope/attention/rows.h", "#pragma once\n"},
      {"src/polariscope/attention/oracle/oracle.h", "#include \"polariscope/attention/rows.h\"\n"},
      {"src/polariscope/attention/oracle/oracle.cpp", "#include \"polariscope/attention/oracle/oracle.h\"\n"},
      {"src/polariscope/attention/torch/attend.h", "#include <torch/library.h>\n"},
      {"python/polariscope/_library.py", "import os\nimport torch\n"},
      {"python/polariscope/operator.py", "from typing import List\nfrom ._library import load\n"},
      {"cli/commands.h", "#include \"polariscope/report/page.h\"\n"},
      {"cli/main.cpp", "#include \"commands.h\"\n#include \"polariscope/flow/model.h\"\n"},
  };
}

// The only complaint about the small project with `file` added (or in place of the one with its path).
std::string complaint_about(const SourceFile& file) {
  auto files = small_project();
  std::erase_if(files, [&](const SourceFile& other) { return other.path == file.path; });
  files.push_back(file);
  const auto violations = floor_violations(files);
  EXPECT_EQ(violations.size(), 1U) << file.path << ": " << file.text;
  return violations.empty() ? "" : violations.front();
}

TEST(Floors, ASoundProjectHasNoViolation) {
  for (const std::string& violation : floor_violations(small_project())) ADD_FAILURE() << violation;
}

TEST(Floors, AnIncludeThatClimbsIsNamedWithBothFloors) {
  EXPECT_EQ(complaint_about({"src/polariscope/base/bad.cpp", "  #  include \"polariscope/flow/model.h\" // why\n"}),
            "src/polariscope/base/bad.cpp includes polariscope/flow/model.h: base (floor 0) may not import from flow "
            "(floor 2)");
  EXPECT_NE(complaint_about({"src/polariscope/report/bad.h", "#include <polariscope/flow/model.h>\n"}), "");
  EXPECT_NE(complaint_about({"src/polariscope/experiments/bad.cpp", "#include \"cli/commands.h\"\n"}), "");
}

TEST(Floors, ARelativePathDoesNotHideAClimb) {
  EXPECT_NE(complaint_about({"src/polariscope/base/bad.cpp", "#include \"../flow/model.h\"\n"}), "");
}

TEST(Floors, FoldersOfOneFloorDoNotIncludeEachOther) {
  EXPECT_NE(complaint_about({"src/polariscope/report/bad.h", "#include \"polariscope/reweighting/table.h\"\n"}), "");
  EXPECT_NE(complaint_about({"src/polariscope/flow/bad.h", "#include \"polariscope/attention/rows.h\"\n"}), "");
}

TEST(Floors, FilesThatIncludeEachOtherInACircleAreNamed) {
  auto files = small_project();
  files.push_back({"src/polariscope/flow/a.h", "#include \"polariscope/flow/b.h\"\n"});
  files.push_back({"src/polariscope/flow/b.h", "#include \"polariscope/flow/c.h\"\n"});
  files.push_back({"src/polariscope/flow/c.h", "#include \"polariscope/flow/b.h\"\n"});
  const auto violations = floor_violations(files);
  ASSERT_EQ(violations.size(), 1U);
  EXPECT_EQ(
      violations[0],
      "src/polariscope/flow/b.h -> src/polariscope/flow/c.h -> src/polariscope/flow/b.h: these include each other "
      "in a circle");
}

TEST(Floors, PrivateHeadersAreIncludedFromTheirOwnFolderOnly) {
  EXPECT_NE(complaint_about({"src/polariscope/flow/bad.cpp", "#include \"polariscope/reweighting/simd-inl.h\"\n"}), "");
  EXPECT_NE(complaint_about({"cli/bad.cpp", "#include \"polariscope/reweighting/internal/rows.h\"\n"}), "");
}

TEST(Floors, KernelsMayBuildOnKernelsOfLowerFloors) {
  const std::vector<SourceFile> files{
      {"src/polariscope/reweighting/simd-inl.h", "#include <hwy/highway.h>\n"},
      {"src/polariscope/flow/internal/kernel-inl.h", "#include \"polariscope/reweighting/simd-inl.h\"\n"}};
  EXPECT_TRUE(floor_violations(files).empty());
  EXPECT_NE(complaint_about(
                {"src/polariscope/reweighting/bad-inl.h", "#include \"polariscope/flow/internal/kernel-inl.h\"\n"}),
            "");
}

TEST(Floors, FilesThatAreNotListedDoNotIncludeLibTorch) {
  for (const char* path : {"src/polariscope/base/bad.cpp", "src/polariscope/flow/bad.cpp", "cli/bad.cpp",
                           "src/polariscope/attention/bad.cpp", "src/polariscope/models/bad.cpp",
                           "src/polariscope/train/bad.cpp", "bench/bad.cpp"}) {
    EXPECT_NE(complaint_about({path, "#include <torch/torch.h>\n"}), "");
    EXPECT_NE(complaint_about({path, "#include <ATen/ATen.h>\n"}), "");
  }
}

TEST(Floors, NorAFileThatIncludesLibTorch) {
  EXPECT_EQ(complaint_about({"cli/bad.cpp", "#include \"polariscope/attention/torch/attend.h\"\n"}),
            "cli/bad.cpp includes polariscope/attention/torch/attend.h, which uses LibTorch: cli/bad.cpp is built "
            "without it");
}

TEST(Floors, ProductsTakeNoNumberFromTheTestsReference) {
  const std::string text = "#include \"polariscope/attention/oracle/oracle.h\"\n";
  for (const char* path : {"src/polariscope/attention/rows.cpp", "src/polariscope/models/layers.cpp", "cli/main.cpp"}) {
    EXPECT_EQ(
        complaint_about({path, text}),
        path + std::string(" includes polariscope/attention/oracle/oracle.h, the tests' reference: use the kernels"));
  }
  auto files = small_project();
  files.push_back({"bench/bench_accuracy.cpp", text});
  EXPECT_TRUE(floor_violations(files).empty());
}

TEST(Floors, NoTypeIsDefinedTwice) {
  EXPECT_EQ(complaint_about({"src/polariscope/flow/more.h", "namespace polariscope {\nstruct Page { int x; };\n}\n"}),
            "src/polariscope/flow/more.h defines polariscope::Page, as src/polariscope/report/page.h does: one of them "
            "needs another name");
}

TEST(Floors, TheLibraryTellsOfNoFlag) {
  const std::string text = "const char* k = \"choose another --out\";\n";
  EXPECT_EQ(complaint_about({"src/polariscope/flow/bad.cpp", text}),
            "src/polariscope/flow/bad.cpp tells of --out, which callers from C++ and Python never typed: say what is "
            "meant");
  auto files = small_project();
  files.push_back({"cli/fine.cpp", text});
  files.push_back({"src/polariscope/sweep/local_workers.cpp", text});
  EXPECT_TRUE(floor_violations(files).empty());
}

TEST(Floors, ThePythonPackageImportsNothingThatUsersNeedNotHave) {
  EXPECT_EQ(complaint_about({"python/polariscope/bad.py", "import sklearn.svm as s\n"}),
            "python/polariscope/bad.py imports sklearn, which users need not have");
  EXPECT_NE(complaint_about({"python/polariscope/_library.py", "from . import operator\n"}), "");
  EXPECT_NE(complaint_about({"python/polariscope/_library.py", "from .operator import attend\n"}), "");
}

TEST(Floors, APythonFileMayAskForAnotherWhereItIsCalled) {
  auto files = small_project();
  files.push_back({"python/polariscope/transformers/register.py", "from ..operator import attend\n"});
  files.push_back({"python/polariscope/_library.py", "def f():\n    from .transformers.register import register\n"});
  std::erase_if(files, [](const SourceFile& file) {
    return file.path == "python/polariscope/_library.py" && file.text.starts_with("import");
  });
  EXPECT_TRUE(floor_violations(files).empty());
  files.back().text = "from .transformers.register import register\n";
  EXPECT_FALSE(floor_violations(files).empty());
}

TEST(Floors, TheFaceOfReweightingHoldsNoSimd) {
  EXPECT_NE(complaint_about({"src/polariscope/reweighting/table.h", "#include <hwy/highway.h>\n"}), "");
}

TEST(Floors, AFolderWithoutAFloorAndAMissingFileAreNamed) {
  EXPECT_NE(complaint_about({"src/polariscope/attic/bad.h", "\n"}), "");
  EXPECT_NE(complaint_about({"src/polariscope/flow/bad.h", "#include \"polariscope/flow/gone.h\"\n"}), "");
}

TEST(Floors, AnIncludeInACommentIsNotOne) {
  auto files = small_project();
  files.push_back({"src/polariscope/base/fine.h", "// #include \"polariscope/flow/model.h\"\n"});
  EXPECT_TRUE(floor_violations(files).empty());
}

}  // namespace
}  // namespace polariscope::testing
