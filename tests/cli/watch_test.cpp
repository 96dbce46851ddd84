// polariscope watch: the process. Its page is tested in tests/browser, what it answers in tests/live.
#include "command.h"
#include "support/temporary_folder.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <string>

namespace polariscope::testing {
namespace {

namespace fs = std::filesystem;

sockaddr_in address_of(int port) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  return address;
}

// That nobody listens at now.
int free_port() {
  const int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = address_of(0);
  socklen_t size = sizeof address;
  EXPECT_EQ(bind(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  EXPECT_EQ(getsockname(descriptor, reinterpret_cast<sockaddr*>(&address), &size), 0);
  close(descriptor);
  return ntohs(address.sin_port);
}

// All of its answer; "" where nobody listens.
std::string get(int port, const std::string& path) {
  const int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_in address = address_of(port);
  std::string reply;
  if (connect(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
    const std::string request = "GET " + path + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    if (send(descriptor, request.data(), request.size(), MSG_NOSIGNAL) > 0) {
      char chunk[4096];
      for (ssize_t count = 0; (count = recv(descriptor, chunk, sizeof chunk, 0)) > 0;) {
        reply.append(chunk, static_cast<std::size_t>(count));
      }
    }
  }
  close(descriptor);
  return reply;
}

class WatchTest : public ::testing::Test {
 protected:
  WatchTest() {
    fs::create_directories(folder_.path() / "run");
    write_bytes(folder_.path() / "run" / "metrics.jsonl", "{\"step\":1,\"loss\":0.5}\n{\"step\":2,\"loss\":0.25}\n");
  }

  Surroundings surroundings() const {
    Surroundings here;
    here.folder = folder_.path();
    here.environment = {"XDG_STATE_HOME=" + (folder_.path() / "state").string()};
    return here;
  }
  std::string token() const {
    const std::string text = bytes_of(folder_.path() / "state" / "polariscope" / "watch-token");
    return text.substr(0, text.find('\n'));
  }
  // Once it answers.
  std::string answer(Running& running, const std::string& path) const {
    std::string reply;
    while (reply.empty() && !running.ended()) {
      reply = get(port_, path);
      if (reply.empty()) usleep(10'000);
    }
    return reply;
  }

  TemporaryFolder folder_;
  int port_ = free_port();
  std::vector<std::string> command_ = polariscope_command({"watch", "run", "--port", std::to_string(port_)});
};

TEST_F(WatchTest, ServesTheRunUntilItIsInterruptedAndChangesNothing) {
  const std::string before = listing(folder_.path() / "run");
  Running running(command_, surroundings());
  ASSERT_NE(answer(running, "/"), "");
  const std::string runs = get(port_, "/" + token() + "/api/runs");
  EXPECT_NE(runs.find("\"name\":\"run\""), std::string::npos) << runs;
  EXPECT_NE(runs.find("\"loss\":0.25"), std::string::npos) << runs;
  EXPECT_TRUE(get(port_, "/api/runs").starts_with("HTTP/1.1 404")) << "without the token";
  running.send(SIGINT);
  const Outcome outcome = running.wait();
  EXPECT_EQ(outcome.code, 130) << outcome.err;
  EXPECT_EQ(outcome.out, "watching 1 run: http://127.0.0.1:" + std::to_string(port_) + "/" + token() + "/\n");
  EXPECT_EQ(outcome.err, "polariscope: interrupted\n");
  EXPECT_EQ(listing(folder_.path() / "run"), before);
}

TEST_F(WatchTest, HasTheSameAddressAfterItWasKilled) {
  {
    Running running(command_, surroundings());
    ASSERT_NE(answer(running, "/"), "");
    running.send(SIGKILL);
    running.wait();
  }
  const std::string address = "/" + token() + "/";
  Running again(command_, surroundings());
  EXPECT_TRUE(answer(again, address).starts_with("HTTP/1.1 200"));
}

TEST_F(WatchTest, WithoutAPlaceForTheTokenTheAddressIsForOnce) {
  Surroundings nowhere = surroundings();
  write_bytes(folder_.path() / "file", "");
  nowhere.environment = {"XDG_STATE_HOME=" + (folder_.path() / "file").string()};
  Running running(command_, nowhere);
  ASSERT_NE(answer(running, "/"), "");
  running.send(SIGTERM);
  const Outcome outcome = running.wait();
  EXPECT_NE(outcome.err.find("for this time alone"), std::string::npos) << outcome.err;
  EXPECT_TRUE(outcome.out.starts_with("watching 1 run: http://127.0.0.1:"));
}

TEST_F(WatchTest, APortThatIsTakenIsRefusedByItsOption) {
  Running running(command_, surroundings());
  ASSERT_NE(answer(running, "/"), "");
  const Outcome outcome = Running(command_, surroundings()).wait();
  EXPECT_EQ(outcome.code, 2);
  EXPECT_TRUE(outcome.err.starts_with("polariscope: --port: ")) << outcome.err;
}

TEST(Watch, WhatIsNoFolderIsRefused) {
  expect_refused({"watch"}, {"watch needs to know what"});
  expect_refused({"watch", "nowhere"}, {"\"nowhere\" is no folder", "polariscope train"});
  for (const char* port : {"0", "65536", "-1", "1.5", "nan", "x"})
    expect_refused({"watch", ".", "--port", port}, {"--port"});
  expect_refused({"watch", ".", "--prot", "1"}, {"unknown option", "\"--port\""});
}

}  // namespace
}  // namespace polariscope::testing
