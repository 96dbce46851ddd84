// What may be asked for, who gets it, and what it says.
#include "polariscope/live/site.h"

#include "live/made_run.h"
#include "polariscope/live/internal/prometheus.h"
#include "polariscope/live/probes.h"
#include "polariscope/live/token.h"
#include "support/complaint.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>

#include <chrono>
#include <regex>
#include <set>
#include <sstream>
#include <thread>

namespace polariscope::testing {
namespace {

using Json = nlohmann::json;
using live::Answer;
using live::Request;

const std::string kToken = "0123456789abcdef0123456789abcdef";

class SiteTest : public ::testing::Test {
 protected:
  Answer get(const std::string& what, std::map<std::string, std::string> query = {}) const {
    return site_.answer(
        {.method = "GET", .path = "/" + kToken + what, .host = "127.0.0.1:7171", .query = std::move(query)});
  }
  Json json(const std::string& what, std::map<std::string, std::string> query = {}) const {
    const Answer answer = get("/api/" + what, std::move(query));
    EXPECT_EQ(answer.status, 200) << what;
    return Json::parse(answer.body, nullptr, false);
  }
  std::string id() const { return watcher_.runs().at(0)->id(); }

  // As a page does it: again until the log was read.
  Json series(const std::map<std::string, std::string>& query, std::size_t last) const {
    for (int i = 0;; ++i) {
      std::map<std::string, std::string> whole = query;
      whole["run"] = id();
      Json reply = json("series", whole);
      if (i == 300 || (!reply["last"].empty() && reply["last"].back() == last)) return reply;
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
  }

  TemporaryFolder folder_;
  MadeRun run_ = [this] {
    MadeRun run(folder_.path() / "a \"run\"");
    run.add_steps(1, 40);
    run.add_alarm(17, "collapse <under> way");
    return run;
  }();
  live::Watcher watcher_{{run_.folder}};
  live::Site site_{watcher_, kToken};
};

TEST_F(SiteTest, WhoHasNoTokenGetsNothing) {
  for (const std::string& path : std::vector<std::string>{
           "", "/", "/api/runs", "/watch.js", "/metrics", "/0123456789abcdef0123456789abcdee/", "/" + kToken,
           "/" + kToken + "0/", "//" + kToken + "/", "/" + kToken.substr(1) + "/", "/x/" + kToken + "/"}) {
    const Answer answer = site_.answer({.method = "GET", .path = path, .host = "127.0.0.1", .query = {}});
    EXPECT_EQ(answer.status, 404) << path;
    EXPECT_EQ(answer.body, "not found\n") << path;
  }
}

TEST_F(SiteTest, AHostThatIsNotThisMachineGetsNothing) {
  const auto status_for = [&](const std::string& host) {
    return site_.answer({.method = "GET", .path = "/" + kToken + "/api/runs", .host = host, .query = {}}).status;
  };
  for (const char* host : {"127.0.0.1:7171", "localhost", "localhost:9000", "127.0.0.1"})
    EXPECT_EQ(status_for(host), 200);
  for (const char* host : {"", "evil.example", "evil.example:7171", "127.0.0.1.evil.example", "localhost:80:80",
                           "localhost:x", "user@localhost", "0.0.0.0", "[::1]:7171", "LOCALHOST.evil", "127.0.0.1 "}) {
    EXPECT_EQ(status_for(host), 404) << host;
  }
}

TEST_F(SiteTest, NothingButReadingIsAllowed) {
  for (const char* method : {"POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "get", ""}) {
    EXPECT_EQ(site_.answer({.method = method, .path = "/" + kToken + "/", .host = "localhost", .query = {}}).status,
              405);
  }
  EXPECT_EQ(site_.answer({.method = "HEAD", .path = "/" + kToken + "/", .host = "localhost", .query = {}}).status, 200);
}

TEST_F(SiteTest, NoPathOfARequestIsOneOfAFile) {
  for (const char* path : {"/../config.toml", "/config.toml", "/metrics.jsonl", "/api/../config.toml", "//etc/passwd",
                           "/api/", "/api/runs/", "/api/nothing", "/watch.html", "/%2e%2e/", "/metrics/", "/."}) {
    EXPECT_EQ(get(path).status, 404) << path;
  }
  for (const std::string& run :
       std::vector<std::string>{"", "0", "../run", run_.folder.string(), std::string("0000000000000000")}) {
    for (const char* what : {"series", "strips", "alarms", "probes", "probe"}) {
      EXPECT_EQ(get(std::string("/api/") + what, {{"run", run}}).status, 404) << run;
    }
  }
}

TEST_F(SiteTest, ThePageLoadsNothingFromElsewhere) {
  const Answer page = get("/"), script = get("/watch.js"), style = get("/watch.css");
  EXPECT_TRUE(page.type.starts_with("text/html"));
  EXPECT_TRUE(script.type.starts_with("text/javascript"));
  EXPECT_TRUE(style.type.starts_with("text/css"));
  for (const Answer& answer : {page, script, style}) {
    EXPECT_EQ(answer.body.find("http"), std::string::npos);
    EXPECT_EQ(answer.body.find("//cdn"), std::string::npos);
  }
  EXPECT_EQ(page.body.find("onclick"), std::string::npos);
  EXPECT_EQ(page.body.find("style="), std::string::npos) << "the page's policy lets no such style be";
}

TEST_F(SiteTest, TellsHowEveryRunIsDoing) {
  const Json reply = json("runs");
  ASSERT_EQ(reply["runs"].size(), 1U);
  const Json& run = reply["runs"][0];
  EXPECT_EQ(run["name"], "a \"run\"");
  EXPECT_EQ(run["phase"], "stopped");
  EXPECT_EQ(run["step"], 40);
  EXPECT_EQ(run["planned"], 8);
  EXPECT_DOUBLE_EQ(run["loss"], 1.0 / 40);
  EXPECT_EQ(run["alarms"], 1);
  EXPECT_EQ(json("configs")[id()]["attention"], "softmax");
  EXPECT_EQ(json("colours")["runs"].size(), 8U);
  const Json alarms = json("alarms", {{"run", id()}});
  EXPECT_EQ(alarms["count"], 1);
  EXPECT_EQ(alarms["alarms"][0]["sentence"], "collapse <under> way");
  EXPECT_EQ(alarms["alarms"][0]["step"], 17);
}

TEST_F(SiteTest, GivesCurvesAndThenOnlyWhatIsNew) {
  const std::map<std::string, std::string> wanted{{"columns", "loss,entropy,entropy:1,entropy:9,nothing,,"}};
  const Json all = series(wanted, 40);
  EXPECT_EQ(all["from"], 0);
  EXPECT_EQ(all["first"].size(), 40U);
  EXPECT_EQ(all["read"], 1.0);
  EXPECT_EQ(all["curves"].size(), 3U);
  EXPECT_EQ(all["curves"]["loss"][0]["mean"].size(), 40U);
  EXPECT_EQ(all["curves"]["loss"][0]["mean"][3], 0.25);
  EXPECT_FALSE(all["curves"]["loss"][0].contains("low")) << "each bucket is one step";
  EXPECT_EQ(all["curves"]["entropy"].size(), 2U);
  EXPECT_EQ(all["curves"]["entropy:1"][1]["mean"][0], 0.3);
  EXPECT_EQ(all["numbers"], (Json{"gradient_norm", "loss"}));
  EXPECT_EQ(all["heads"]["entropy"], (Json{2, 2}));

  run_.add_steps(41, 45);
  std::map<std::string, std::string> further = wanted;
  further["epoch"] = all["epoch"];
  further["width"] = "1";
  further["from"] = "39";
  const Json more = series(further, 45);
  EXPECT_EQ(more["from"], 39);
  EXPECT_EQ(more["first"], (Json{40, 41, 42, 43, 44, 45}));
  EXPECT_EQ(more["curves"]["loss"][0]["mean"].size(), 6U);

  further["epoch"] = "1";
  EXPECT_EQ(series(further, 45)["from"], 0) << "of another epoch: all comes again";
  further["epoch"] = all["epoch"];
  for (const char* from : {"46", "-1", "99999999999999999999", "x"}) {
    further["from"] = from;
    EXPECT_EQ(series(further, 45)["from"], 0) << from;
  }
}

TEST_F(SiteTest, ALongRunIsThinnedAndKeepsItsSpike) {
  run_.add_steps(41, 5000);
  const Json reply = series({{"columns", "loss"}}, 5000);
  const std::size_t width = reply["width"];
  EXPECT_GE(width, 8U);
  const Json& loss = reply["curves"]["loss"][0];
  EXPECT_LE(loss["mean"].size(), live::StepHistory::kMostBuckets);
  double most = 0.0;
  for (const Json& high : loss["high"]) most = std::max(most, high.get<double>());
  EXPECT_EQ(most, 1000.0);
  const Json strips = json("strips", {{"run", id()}, {"statistic", "entropy"}});
  EXPECT_EQ(strips["layers"], (Json{2, 2}));
  EXPECT_EQ(strips["rows"].size(), 4U);
  EXPECT_LE(strips["steps"].size(), 240U);
  EXPECT_EQ(strips["rows"][0].size(), strips["steps"].size());
  EXPECT_DOUBLE_EQ(strips["rows"][1][7], 0.3);
  EXPECT_TRUE(strips["rows"][3][0].is_null());
  EXPECT_EQ(strips["last"], 5000);
  EXPECT_EQ(get("/api/strips", {{"run", id()}, {"statistic", "loss"}}).status, 404);
}

TEST_F(SiteTest, ShowsProbeSentencesWhereTheRunHasSome) {
  EXPECT_TRUE(json("probes", {{"run", id()}})["sentences"].empty());
  make_folder(run_.folder / "probes");
  const std::filesystem::path file = run_.folder / "probes" / "latest.json";
  write_file(file, R"({"step":12,"sentences":[{"tokens":["The"," cat"],"layers":[[[1,0,0.25,0.75],[1,0,0.5,0.5]]]}]})");
  const Json probes = json("probes", {{"run", id()}});
  EXPECT_EQ(probes["step"], 12);
  EXPECT_EQ(probes["sentences"][0]["tokens"][1], " cat");
  EXPECT_EQ(probes["sentences"][0]["heads"], (Json{2}));
  const Json probe = json("probe", {{"run", id()}, {"sentence", "0"}, {"layer", "1"}});
  EXPECT_EQ(probe["heads"][0], (Json{1.0, 0.0, 0.25, 0.75}));
  for (const char* layer : {"0", "2", "-1", ""}) {
    EXPECT_EQ(get("/api/probe", {{"run", id()}, {"sentence", "0"}, {"layer", layer}}).status, 404) << layer;
  }
  EXPECT_EQ(get("/api/probe", {{"run", id()}, {"sentence", "1"}, {"layer", "1"}}).status, 404);

  for (const auto& [text, words] : std::vector<std::pair<std::string, std::string>>{
           {R"({"step":1,"sentences":[{"tokens":["a","b"],"layers":[[[1,0,1]]]}]})",
            "layer 1, head 1 has 3 weights: expected 4"},
           {"{\"step\":1}", "expected probe sentences"},
           {"[[[[", "expected probe sentences"},
           {R"({"step":1,"sentences":[{"tokens":[3],"layers":[]}]})", "expected probe sentences"}}) {
    write_file(file, text);
    EXPECT_NE(complaint_of([&] { live::read_probes(file); }).find(words), std::string::npos) << text;
  }
}

// Prometheus' text form, by its definition: every sample is of a family that was declared just before.
TEST_F(SiteTest, MetricsAreInPrometheusForm) {
  const Answer answer = get("/metrics");
  EXPECT_TRUE(answer.type.starts_with("text/plain; version=0.0.4"));
  static const std::regex kHelp(R"(# HELP ([a-zA-Z_:][a-zA-Z0-9_:]*) .+)"),
      kType(R"(# TYPE ([a-zA-Z_:][a-zA-Z0-9_:]*) gauge)"),
      kSample(
          R"sample(([a-zA-Z_:][a-zA-Z0-9_:]*)\{((?:[a-z_]+="(?:[^"\\\n]|\\["\\n])*",?)+)\} (NaN|[+-]Inf|-?[0-9.e+-]+))sample");
  std::istringstream lines(answer.body);
  std::string family;
  std::set<std::string> families, samples;
  std::smatch match;
  for (std::string line; std::getline(lines, line);) {
    if (std::regex_match(line, match, kHelp)) {
      family = match[1];
      EXPECT_TRUE(families.insert(family).second) << family << " stands in two places";
    } else if (std::regex_match(line, match, kType)) {
      EXPECT_EQ(match[1], family);
    } else {
      ASSERT_TRUE(std::regex_match(line, match, kSample)) << line;
      EXPECT_EQ(match[1], family);
      EXPECT_TRUE(samples.insert(match.str(1) + match.str(2)).second) << line << " stands there twice";
    }
  }
  EXPECT_NE(answer.body.find("polariscope_run_step{run=\"a \\\"run\\\"\"} 40\n"), std::string::npos) << answer.body;
  EXPECT_NE(answer.body.find("polariscope_loss{run=\"a \\\"run\\\"\"} 0.025\n"), std::string::npos);
  EXPECT_NE(answer.body.find("polariscope_entropy{run=\"a \\\"run\\\"\",layer=\"1\",head=\"2\"} 0.3\n"),
            std::string::npos);
  EXPECT_NE(answer.body.find("polariscope_entropy{run=\"a \\\"run\\\"\",layer=\"2\",head=\"2\"} NaN\n"),
            std::string::npos);
  EXPECT_NE(answer.body.find("phase=\"stopped\"} 1\n"), std::string::npos);
}

TEST(Token, IsKeptForItsOwnerAloneAndAnotherEachTimeWithoutAFile) {
  const TemporaryFolder folder;
  const std::filesystem::path file = folder.path() / "state" / "watch-token";
  const std::string token = live::kept_token(file);
  EXPECT_EQ(token.size(), 32U);
  EXPECT_EQ(live::kept_token(file), token);
  EXPECT_NE(live::new_token(), live::new_token());
  struct stat status = {};
  ASSERT_EQ(stat(file.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0600U);
  chmod(file.c_str(), 0644);  // others have read it by now
  const std::string next = live::kept_token(file);
  EXPECT_NE(next, token);
  for (const char* text : {"", "short", "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz\n"}) {
    write_file(file, text);
    chmod(file.c_str(), 0600);
    EXPECT_EQ(live::kept_token(file).size(), 32U) << text;
  }
  std::filesystem::remove(file);
  std::filesystem::create_symlink("/etc/hostname", file);
  EXPECT_EQ(live::kept_token(file).size(), 32U);
  EXPECT_FALSE(std::filesystem::is_symlink(file));
  write_file(folder.path() / "file", "");
  EXPECT_FALSE(complaint_of([&] { live::kept_token(folder.path() / "file" / "token"); }).empty());
}

TEST(Token, OnlyTheSameOneIsTheSame) {
  EXPECT_TRUE(live::same_token("abc", "abc"));
  for (const char* other : {"", "ab", "abd", "abcd", "Abc"}) EXPECT_FALSE(live::same_token("abc", other)) << other;
}

}  // namespace
}  // namespace polariscope::testing
