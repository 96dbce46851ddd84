// The server on a real socket: what browsers send, and what nobody should.
#include "polariscope/live/server.h"

#include "support/complaint.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace polariscope::testing {
namespace {

using live::Answer;
using live::Request;
using live::Server;

class Connection {
 public:
  explicit Connection(int port) : socket_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    const timeval patience{.tv_sec = 30, .tv_usec = 0};
    setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    connected_ = connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  }
  ~Connection() { close(socket_); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  bool connected() const { return connected_; }
  // False where the other side has closed it.
  bool send(std::string_view bytes) const {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }
  // All that comes until the other side closes, or sends nothing for half a minute.
  std::string rest() const {
    std::string text;
    char chunk[65536];
    for (ssize_t count = 0; (count = recv(socket_, chunk, sizeof chunk, 0)) > 0;)
      text.append(chunk, static_cast<std::size_t>(count));
    return text;
  }

 private:
  int socket_;
  bool connected_ = false;
};

std::string get(int port, const std::string& path) {
  const Connection connection(port);
  connection.send("GET " + path + " HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n");
  return connection.rest();
}

std::string body_of(const std::string& reply) {
  const std::size_t end = reply.find("\r\n\r\n");
  return end == std::string::npos ? "" : reply.substr(end + 4);
}

int status_of(const std::string& reply) { return reply.starts_with("HTTP/1.1 ") ? std::stoi(reply.substr(9, 3)) : 0; }

// Says what it was asked.
Answer echo(const Request& request) {
  if (request.method == "POST") return {405, "text/plain", "read only"};
  std::string text = request.method + " " + request.path + " of " + request.host;
  for (const auto& [name, value] : request.query) text += " " + name + "=" + value;
  return {200, "text/plain", text};
}

TEST(Server, HandsOverWhatWasAskedAndSaysWhatPagesMayDo) {
  const Server server(0, echo);
  const std::string reply = get(server.port(), "/a%20b/c?x=1%2C2&y=&z");
  EXPECT_EQ(status_of(reply), 200) << reply;
  EXPECT_EQ(body_of(reply), "GET /a b/c of 127.0.0.1 x=1,2 y= z=");
  for (const char* header : {"Content-Security-Policy: default-src 'none'; script-src 'self'", "frame-ancestors 'none'",
                             "X-Content-Type-Options: nosniff", "Referrer-Policy: no-referrer",
                             "Cache-Control: no-store", "Cross-Origin-Resource-Policy: same-origin"}) {
    EXPECT_NE(reply.find(header), std::string::npos) << header;
  }
  EXPECT_EQ(reply.find("Access-Control-Allow-Origin"), std::string::npos);
}

TEST(Server, HearsOnThisMachineAlone) {
  const Server server(0, echo);
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1);  // 127.0.0.2: taken by whoever listens at all addresses
  address.sin_port = htons(static_cast<std::uint16_t>(server.port()));
  EXPECT_EQ(bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  close(listener);
}

TEST(Server, AHeadIsAnsweredWithoutABodyAndAPostIsRefusedBeforeItsBody) {
  const Server server(0, echo);
  const Connection head(server.port());
  head.send("HEAD /x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  const std::string reply = head.rest();
  EXPECT_EQ(status_of(reply), 200);
  EXPECT_EQ(body_of(reply), "");
  const Connection post(server.port());
  post.send("POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000000\r\n\r\nsome of it");
  const std::string refusal = post.rest();
  EXPECT_EQ(status_of(refusal), 405) << refusal;
  EXPECT_NE(refusal.find("Allow: GET, HEAD"), std::string::npos);
}

TEST(Server, SeveralRequestsShareAConnection) {
  const Server server(0, echo);
  const Connection connection(server.port());
  connection.send(
      "GET /one HTTP/1.1\r\nHost: localhost\r\n\r\nGET /two HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  const std::string replies = connection.rest();
  EXPECT_NE(replies.find("GET /one of"), std::string::npos);
  EXPECT_NE(replies.find("GET /two of"), std::string::npos);
}

// Whatever came before, the next reader is answered.
void expect_alive(const Server& server) { EXPECT_EQ(body_of(get(server.port(), "/alive")), "GET /alive of 127.0.0.1"); }

TEST(Server, MalformedRequestsAreRefusedAndHurtNobody) {
  const Server server(0, echo);
  const std::string host = "Host: localhost\r\n";
  const std::string long_words(100'000, 'a');
  std::string many_headers;
  for (int i = 0; i < 5000; ++i) many_headers += "X-" + std::to_string(i) + ": y\r\n";
  const std::vector<std::string> requests{
      "\r\n\r\n\r\n\r\n",
      "GET\r\n\r\n",
      "GET / HTTP/9.9\r\n" + host + "\r\n",
      "GET /" + long_words + " HTTP/1.1\r\n" + host + "\r\n",
      "GET / HTTP/1.1\r\n" + host + "X-Long: " + long_words + "\r\n\r\n",
      "GET / HTTP/1.1\r\n" + host + many_headers + "\r\n",
      "GET / HTTP/1.1\r\nno colon here\r\n\r\n",
      "GET / HTTP/1.1\r\n: nothing\r\n\r\n",
      long_words + " / HTTP/1.1\r\n" + host + "\r\n",
      "GET /%00%ff%zz%2e%2e/ HTTP/1.1\r\n" + host + "\r\n",
      "GET / HTTP/1.1\r\n" + host + "Content-Length: -1\r\n\r\n",
      "GET / HTTP/1.1\r\n" + host + "Content-Length: 99999999999999999999999\r\n\r\n",
      "GET / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\nZZZ\r\n",
      "GET / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\nffffffffffffffffffff\r\n",
      std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11),  // the beginning of TLS
      std::string("\0\0\0\0\0\0\0\0", 8),
      "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
  };
  for (const std::string& request : requests) {
    const Connection connection(server.port());
    ASSERT_TRUE(connection.connected());
    connection.send(request);
    expect_alive(server);
  }
}

TEST(Server, BytesAtRandomHurtNobody) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  const Server server(0, echo);
  for (int i = 0; i < 300; ++i) {
    std::string bytes = i % 2 == 0 ? "GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n" : std::string(random() % 3000, '\0');
    for (std::size_t j = 0; j < bytes.size(); ++j) {
      if (i % 2 == 1 || random() % 8 == 0) bytes[j] = static_cast<char>(random() % 256);
    }
    const Connection connection(server.port());
    ASSERT_TRUE(connection.connected());
    connection.send(bytes);
  }
  expect_alive(server);
}

// Told to stop, the library would crash on what it cannot read.
TEST(Server, StopsWhileBytesAtRandomCome) {
  std::mt19937 random(std::random_device{}());
  for (int i = 0; i < 50; ++i) {
    auto server = std::make_unique<Server>(0, echo);
    const int port = server->port();
    std::atomic<bool> over = false;
    std::thread sender([&, seed = random()] {
      std::mt19937 bytes_of(seed);
      while (!over) {
        std::string bytes(200, '\0');
        for (char& byte : bytes) byte = static_cast<char>(bytes_of() % 256);
        const Connection connection(port);
        if (connection.connected()) connection.send(bytes + "\r\n\r\n");
      }
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    server.reset();
    over = true;
    sender.join();
  }
}

TEST(Server, SilentConnectionsKeepNobodyWaiting) {
  const Server server(0, echo);
  std::vector<std::unique_ptr<Connection>> silent;
  for (int i = 0; i < 200; ++i) {
    silent.push_back(std::make_unique<Connection>(server.port()));
    silent.back()->send(i % 2 == 0 ? "" : "GET /slow HTTP/1.1\r\nHost: loc");
  }
  const auto begin = std::chrono::steady_clock::now();
  expect_alive(server);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(10));
}

TEST(Server, MoreConnectionsThanItTakesLeaveItAlive) {
  auto server = std::make_unique<Server>(0, echo);
  {
    std::vector<std::unique_ptr<Connection>> many;
    for (unsigned i = 0; i < Server::kMostConnections + 50; ++i)
      many.push_back(std::make_unique<Connection>(server->port()));
  }
  const auto begin = std::chrono::steady_clock::now();
  bool alive = false;
  for (int i = 0; i < 100 && !alive; ++i) {
    alive = status_of(get(server->port(), "/")) == 200;
    if (!alive) std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  EXPECT_TRUE(alive);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(10));
}

TEST(Server, AHundredClientsAtOnceAreAllAnswered) {
  constexpr int kClients = 100, kRequests = 20;
  const std::string large(200'000, 'x');
  std::atomic<int> asked = 0;
  const Server server(0, [&](const Request&) {
    ++asked;
    return Answer{200, "text/plain", large};
  });
  std::atomic<int> answered = 0;
  std::vector<std::thread> clients;
  for (int i = 0; i < kClients; ++i) {
    clients.emplace_back([&] {
      for (int j = 0; j < kRequests; ++j) answered += body_of(get(server.port(), "/")) == large ? 1 : 0;
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(answered, kClients * kRequests);
  EXPECT_EQ(asked, kClients * kRequests);
}

TEST(Server, AHandlerThatRunsOutOfMemoryLosesOneConnection) {
  const Server server(0, [](const Request& request) -> Answer {
    if (request.path == "/large") throw std::bad_alloc();
    return echo(request);
  });
  EXPECT_EQ(get(server.port(), "/large"), "");
  expect_alive(server);
}

TEST(Server, ComesBackAtTheSamePort) {
  auto server = std::make_unique<Server>(0, echo);
  const int port = server->port();
  const Connection open(port);
  open.send("GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n");
  expect_alive(*server);
  server.reset();
  for (int i = 0; i < 3; ++i) {
    server = std::make_unique<Server>(port, echo);
    expect_alive(*server);
    server.reset();
  }
}

TEST(Server, APortThatIsTakenIsRefused) {
  const Server server(0, echo);
  const std::string complaint = complaint_of([&] { const Server other(server.port(), echo); });
  EXPECT_NE(complaint.find(std::to_string(server.port())), std::string::npos);
  EXPECT_NE(complaint.find("in use"), std::string::npos) << complaint;
}

}  // namespace
}  // namespace polariscope::testing
