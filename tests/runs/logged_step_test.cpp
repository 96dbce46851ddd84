// One line of a metrics.jsonl, and the last one of a long file.
#include "polariscope/runs/logged_step.h"

#include "polariscope/base/files.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>

namespace polariscope::testing {
namespace {

TEST(LoggedStep, HoldsNumbersAndHeads) {
  const auto step = runs::logged_step(R"({"step":3,"loss":0.5,"gradient_norm":null,"entropy":[[0.1,0.2],[null]]})");
  ASSERT_TRUE(step);
  EXPECT_EQ(step->step, 3);
  ASSERT_EQ(step->numbers.size(), 2U);
  EXPECT_EQ(step->numbers[1].name, "loss");
  EXPECT_EQ(step->numbers[1].value, 0.5);
  EXPECT_TRUE(std::isnan(step->numbers[0].value));
  ASSERT_EQ(step->heads.size(), 1U);
  EXPECT_EQ(step->heads[0].values[0], (std::vector<double>{0.1, 0.2}));
  EXPECT_TRUE(std::isnan(step->heads[0].values[1].at(0)));
}

TEST(LoggedStep, IsNothingOfALineThatIsNone) {
  for (const char* line :
       {"", "{", "[]", "3", "{\"loss\":1}", "{\"step\":\"3\"}", "{\"step\":1.5}", "\xff\xfe", "null"}) {
    EXPECT_FALSE(runs::logged_step(line)) << line;
  }
}

TEST(LoggedStep, TheLastOneIsFoundFromTheEndOfAFile) {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder.path() / "metrics.jsonl";
  EXPECT_FALSE(runs::last_logged_step(path));
  write_file(path, "");
  EXPECT_FALSE(runs::last_logged_step(path));
  write_file(path, "{\"step\":1}");
  EXPECT_FALSE(runs::last_logged_step(path)) << "a line without its end is not whole";
  write_file(path, "{\"step\":1}\n{\"step\":2}\n\x01\x02garbage\n{\"step\":3");
  EXPECT_EQ(runs::last_logged_step(path).value().step, 2);
  const std::string filling(300'000, ' ');
  write_file(path, "{\"step\":1}\n{\"step\":7" + filling + "}\n");
  EXPECT_EQ(runs::last_logged_step(path).value().step, 7) << "a line longer than the first look";
  EXPECT_FALSE(runs::last_logged_step(folder.path())) << "a folder";
}

TEST(LoggedStep, TheMeanIsOfWhatIsFinite) {
  const double nan = std::nan("");
  EXPECT_EQ(runs::mean_of_finite({1.0, nan, 3.0}), 2.0);
  EXPECT_TRUE(std::isnan(runs::mean_of_finite({nan, nan})));
  EXPECT_TRUE(std::isnan(runs::mean_of_finite({})));
}

}  // namespace
}  // namespace polariscope::testing
