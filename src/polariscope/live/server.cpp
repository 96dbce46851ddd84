// On GNU libmicrohttpd, which keeps to the limits that it is given: https://www.gnu.org/software/libmicrohttpd/
#include "polariscope/live/server.h"

#include "polariscope/base/error.h"

#include <arpa/inet.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <exception>
#include <mutex>
#include <set>
#include <string>
#include <utility>

namespace polariscope::live {
namespace {

// The page runs its own script and asks its own server, and no page shows it in a frame.
constexpr std::array<std::pair<const char*, const char*>, 7> kHeaders{
    {{"Content-Security-Policy",
      "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri "
      "'none'; "
      "form-action 'none'; frame-ancestors 'none'"},
     {"X-Content-Type-Options", "nosniff"},
     {"X-Frame-Options", "DENY"},
     {"Referrer-Policy", "no-referrer"},
     {"Cross-Origin-Resource-Policy", "same-origin"},
     {"Cross-Origin-Opener-Policy", "same-origin"},
     {"Cache-Control", "no-store"}}};

MHD_Result keep_argument(void* query, MHD_ValueKind, const char* name, const char* value) {
  (*static_cast<std::map<std::string, std::string>*>(query))[name] = value != nullptr ? value : "";
  return MHD_YES;
}

Request request_of(MHD_Connection* connection, const char* url, const char* method) {
  Request request{.method = method, .path = url, .host = "", .query = {}};
  const char* host = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_HOST);
  if (host != nullptr) request.host = host;
  MHD_get_connection_values(connection, MHD_GET_ARGUMENT_KIND, keep_argument, &request.query);
  return request;
}

MHD_Result send(MHD_Connection* connection, Answer answer) {
  MHD_Response* response =
      MHD_create_response_from_buffer(answer.body.size(), answer.body.data(), MHD_RESPMEM_MUST_COPY);
  if (response == nullptr) return MHD_NO;
  MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, answer.type.c_str());
  for (const auto& [name, value] : kHeaders) MHD_add_response_header(response, name, value);
  if (answer.status == MHD_HTTP_METHOD_NOT_ALLOWED) {
    MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
  }
  const MHD_Result queued = MHD_queue_response(connection, static_cast<unsigned>(answer.status), response);
  MHD_destroy_response(response);
  return queued;
}

// The library calls it when a request's headers are there, and again when its body is over, until it has an answer. A
// body is never read: a request that may have one is answered at its headers.
MHD_Result handle(void* handler, MHD_Connection* connection, const char* url, const char* method, const char*,
                  const char*, std::size_t*, void** seen) {
  static char mark = 0;
  const bool may_have_body = std::strcmp(method, "GET") != 0 && std::strcmp(method, "HEAD") != 0;
  if (*seen == nullptr && !may_have_body) {
    *seen = &mark;
    return MHD_YES;
  }
  try {
    return send(connection, (*static_cast<const Server::Handler*>(handler))(request_of(connection, url, method)));
  } catch (const std::exception&) {  // no memory: this connection ends, the others go on
    return MHD_NO;
  }
}

// The sockets of the connections that are open.
class Sockets {
 public:
  void add(int socket) {
    const std::lock_guard lock(mutex_);
    open_.insert(socket);
    if (ending_) shutdown(socket, SHUT_RDWR);
  }
  // Before the library closes it.
  void remove(int socket) {
    const std::lock_guard lock(mutex_);
    open_.erase(socket);
    closed_.notify_all();
  }
  // Ends what they send and are sent, and waits until the library has closed them.
  void end() {
    constexpr std::chrono::seconds kPatience{5};
    std::unique_lock lock(mutex_);
    ending_ = true;
    for (const int socket : open_) shutdown(socket, SHUT_RDWR);
    closed_.wait_for(lock, kPatience, [&] { return open_.empty(); });
  }

 private:
  std::mutex mutex_;
  std::condition_variable closed_;
  std::set<int> open_;
  bool ending_ = false;
};

void keep_socket(void* sockets, MHD_Connection* connection, void**, MHD_ConnectionNotificationCode what) {
  const MHD_ConnectionInfo* info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
  if (info == nullptr) return;
  auto& all = *static_cast<Sockets*>(sockets);
  what == MHD_CONNECTION_NOTIFY_STARTED ? all.add(info->connect_fd) : all.remove(info->connect_fd);
}

}  // namespace

struct Server::Daemon {
  Daemon() = default;
  // A daemon that is told to stop answers what it cannot read as if an answer were there, and crashes (0.9.75). So
  // nobody is to have a connection by then.
  ~Daemon() {
    if (running == nullptr) return;
    const MHD_socket listening = MHD_quiesce_daemon(running);
    sockets.end();
    MHD_stop_daemon(running);
    if (listening != MHD_INVALID_SOCKET) close(listening);
  }
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;

  Sockets sockets;
  MHD_Daemon* running = nullptr;
};

Server::Server(int port, Handler handler) : handler_(std::move(handler)), daemon_(std::make_unique<Daemon>()) {
  constexpr unsigned kThreads = 4, kSilence = 15;  // seconds
  constexpr std::size_t kLongestRequest = 16 << 10;
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  // Not epoll: beyond the limit of connections its threads slept until the silence was over (0.9.75).
  errno = 0;
  daemon_->running = MHD_start_daemon(MHD_USE_POLL_INTERNAL_THREAD | MHD_USE_ITC, 0, nullptr, nullptr, handle,
                                      &handler_, MHD_OPTION_SOCK_ADDR, &address, MHD_OPTION_THREAD_POOL_SIZE, kThreads,
                                      MHD_OPTION_CONNECTION_LIMIT, kMostConnections, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
                                      kLongestRequest, MHD_OPTION_CONNECTION_TIMEOUT, kSilence,
                                      MHD_OPTION_NOTIFY_CONNECTION, keep_socket, &daemon_->sockets, MHD_OPTION_END);
  if (daemon_->running == nullptr) {
    throw Error("port {} of this machine cannot be listened at ({}): choose another one", port, std::strerror(errno));
  }
  const MHD_DaemonInfo* info = MHD_get_daemon_info(daemon_->running, MHD_DAEMON_INFO_BIND_PORT);
  port_ = info != nullptr ? info->port : port;
}

Server::~Server() = default;

}  // namespace polariscope::live
