// A run's two logs have the same steps under the same names.
#include "polariscope/runs/step_logs.h"

#include "polariscope/base/files.h"
#include "support/complaint.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>

#include <array>

namespace polariscope::testing {
namespace {

void write(runs::StepLogs& logs, std::int64_t step) {
  const std::array<runs::NamedNumber, 1> numbers{{{"loss", 0.5}}};
  const std::array<double, 4> values{1, 2, 3, 4};
  logs.write(step, numbers, std::array<runs::NamedNumbers, 1>{{{"entropy", values, 2}}});
}

TEST(StepLogs, HaveANumberACurveAndAListACurveAHead) {
  const TemporaryFolder folder;
  {
    runs::StepLogs logs(folder.path(), 0);
    for (const std::int64_t step : {1, 2, 3}) write(logs, step);
    logs.flush();
  }
  const std::string line = R"(,"loss":0.5,"entropy":[[1,2],[3,4]]})";
  EXPECT_EQ(read_file(folder.path() / "metrics.jsonl"),
            R"({"step":1)" + line + "\n" + R"({"step":2)" + line + "\n" + R"({"step":3)" + line + "\n");
  const std::string events = read_file(folder.path() / "events.out.tfevents.polariscope");
  for (const char* tag : {"training/loss", "entropy/layer 1 head 1", "entropy/layer 1 head 2", "entropy/layer 2 head 1",
                          "entropy/layer 2 head 2"}) {
    EXPECT_NE(events.find(tag), std::string::npos) << tag;
  }
  EXPECT_EQ(events.find("layer 3"), std::string::npos);
}

TEST(StepLogs, GoOnTogetherAndBeginAnewTogether) {
  const TemporaryFolder folder;
  const auto sizes = [&] {
    return std::pair{read_file(folder.path() / "metrics.jsonl").size(),
                     read_file(folder.path() / "events.out.tfevents.polariscope").size()};
  };
  const auto after = [&](std::int64_t last_step, std::initializer_list<std::int64_t> steps) {
    runs::StepLogs logs(folder.path(), last_step);
    for (const std::int64_t step : steps) write(logs, step);
    logs.flush();
    return sizes();
  };
  const auto two = after(0, {1, 2}), three = after(2, {3});
  EXPECT_GT(three.first, two.first);
  EXPECT_GT(three.second, two.second);
  EXPECT_EQ(after(2, {}), two) << "the third is of after the checkpoint";
  EXPECT_EQ(after(0, {1, 2}), two);
}

TEST(StepLogs, RefuseToGoOnAfterAStepThatTheyDoNotHave) {
  const TemporaryFolder folder;
  const std::string metrics = (folder.path() / "metrics.jsonl").string();
  const auto complaint = [&](std::int64_t last_step) {
    return complaint_of([&] { runs::StepLogs(folder.path(), last_step); });
  };
  EXPECT_EQ(complaint(1), metrics + " lacks steps: expected those up to 1, after which the run goes on, found none");
  {
    runs::StepLogs logs(folder.path(), 0);
    for (const std::int64_t step : {1, 2}) write(logs, step);
  }
  EXPECT_EQ(complaint(3),
            metrics + " lacks steps: expected those up to 3, after which the run goes on, found those up to 2");
  EXPECT_EQ(complaint(2), "");
}

}  // namespace
}  // namespace polariscope::testing
