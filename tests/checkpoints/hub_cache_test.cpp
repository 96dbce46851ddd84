// Models by name, in a cache as `hf download` leaves it.
#include "polariscope/checkpoints/internal/hub_cache.h"

#include "polariscope/base/files.h"
#include "polariscope/base/safetensors.h"
#include "polariscope/checkpoints/checkpoint.h"
#include "support/complaint.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <map>

namespace polariscope::checkpoints {
namespace {

using namespace polariscope::testing;  // NOLINT(google-build-using-namespace)
namespace fs = std::filesystem;

const char* const kVariables[] = {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME", "HOME"};

class HubCache : public ::testing::Test {
 protected:
  HubCache() {
    for (const char* name : kVariables) {
      if (const char* value = std::getenv(name)) before_[name] = value;
      unsetenv(name);
    }
    setenv("HOME", path().c_str(), 1);
  }
  ~HubCache() override {
    for (const char* name : kVariables) unsetenv(name);
    for (const auto& [name, value] : before_) setenv(name.c_str(), value.c_str(), 1);
  }

  // As `hf download` leaves a model: links from the snapshot to files named by what is in them.
  static void add(const fs::path& cache, const std::string& folder, const std::string& commit,
                  const std::string& branch) {
    const fs::path model = cache / folder, snapshot = model / "snapshots" / commit;
    for (const fs::path& each : {model / "blobs", model / "refs", snapshot}) fs::create_directories(each);
    const std::vector<float> numbers = {1, 2};
    write_safetensors(model / "blobs" / ("w" + commit),
                      std::vector<StoredTensor>{{"w", Dtype::kF32, {2}, std::as_bytes(std::span(numbers))}});
    write_file(model / "blobs" / ("c" + commit), "{}");
    fs::create_symlink("../../blobs/w" + commit, snapshot / "model.safetensors");
    fs::create_symlink("../../blobs/c" + commit, snapshot / "config.json");
    if (!branch.empty()) write_file(model / "refs" / branch, commit);
  }
  static std::string complaint(const std::string& name) {
    return complaint_of([&] { Checkpoint{name}; });
  }
  const fs::path& path() const { return folder_.path(); }
  fs::path cache() const { return path() / ".cache/huggingface/hub"; }

 private:
  TemporaryFolder folder_;
  std::map<std::string, std::string> before_;
};

TEST_F(HubCache, IsWhereTheVariablesSay) {
  EXPECT_EQ(hub_cache(), cache());
  setenv("XDG_CACHE_HOME", "/xdg", 1);
  EXPECT_EQ(hub_cache(), "/xdg/huggingface/hub");
  setenv("HF_HOME", "~/hf", 1);
  EXPECT_EQ(hub_cache(), path() / "hf/hub");
  setenv("HUGGINGFACE_HUB_CACHE", "/old", 1);
  EXPECT_EQ(hub_cache(), "/old");
  setenv("HF_HUB_CACHE", "/new", 1);
  EXPECT_EQ(hub_cache(), "/new");
}

TEST_F(HubCache, GivesModelsByName) {
  add(cache(), "models--org--name", "0123abc", "main");
  add(cache(), "models--gpt2", "4567def", "main");
  EXPECT_EQ(Checkpoint("org/name").path(), cache() / "models--org--name/snapshots/0123abc");
  EXPECT_EQ(read_floats(*Checkpoint("gpt2").find("w")), (std::vector<float>{1, 2}));
}

TEST_F(HubCache, GivesRevisions) {
  add(cache(), "models--org--name", "aaa", "main");
  add(cache(), "models--org--name", "bbb", "step1000");
  EXPECT_EQ(Checkpoint("org/name").path().filename(), "aaa");
  EXPECT_EQ(Checkpoint("org/name@step1000").path().filename(), "bbb");
  EXPECT_EQ(Checkpoint("org/name@bbb").path().filename(), "bbb");
  const std::string missing = complaint("org/name@step2000");
  EXPECT_NE(missing.find("has no revision \"step2000\" of org/name but aaa, bbb: fetch it with `hf download org/name "
                         "--revision step2000`"),
            std::string::npos)
      << missing;
}

TEST_F(HubCache, WithoutABranchGivesTheOnlySnapshot) {
  add(cache(), "models--org--name", "aaa", "");
  EXPECT_EQ(Checkpoint("org/name").path().filename(), "aaa");
  add(cache(), "models--org--name", "bbb", "");
  EXPECT_NE(complaint("org/name").find("has no revision \"main\" of org/name but aaa, bbb"), std::string::npos);
}

TEST_F(HubCache, WithoutTheModelSaysWhereItLookedAndHowToGetIt) {
  add(cache(), "models--org--name", "aaa", "main");
  EXPECT_EQ(complaint("org/nume"), "\"org/nume\" is neither a file nor a folder here, and no model in the cache " +
                                       cache().string() +
                                       ", where \"org/name\" is: fetch it with `hf download org/nume`, or say with "
                                       "HF_HOME or HF_HUB_CACHE where it lies");
}

TEST_F(HubCache, KeepsToItself) {
  for (const char* name :
       {"../x", "a/..", "a/b/c", "/gone", "gpt2@", "gpt2@../x", "gpt2@/x", "", "a b", "..", "a\nb"}) {
    EXPECT_FALSE(is_model_name(name)) << name;
    EXPECT_NE(complaint(name), "") << name;
  }
  EXPECT_TRUE(is_model_name("gpt2@refs/pr/1"));
  add(cache(), "models--org--name", "aaa", "main");
  write_file(cache() / "models--org--name/refs/main", "../../../x");
  EXPECT_NE(complaint("org/name").find("refs/main: does not name a commit"), std::string::npos);
}

TEST_F(HubCache, WithAModelThatWasNotFetchedWholeSaysWhatIsThere) {
  add(cache(), "models--org--name", "aaa", "main");
  fs::remove(cache() / "models--org--name/snapshots/aaa/model.safetensors");
  EXPECT_NE(complaint("org/name").find("file, but config.json"), std::string::npos);
}

}  // namespace
}  // namespace polariscope::checkpoints
