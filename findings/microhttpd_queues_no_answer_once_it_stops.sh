#!/bin/sh
# libmicrohttpd12 0.9.75-6 (Debian 12), a handler that answers a plain request while another thread has begun to stop the
# daemon.
# A good guess: MHD_queue_response says MHD_NO where it cannot queue an answer, as its manual has it, or the answer is sent
# before the daemon ends.
# Seen: it says MHD_YES, keeps no answer, and the client's connection is closed without a byte. Who counts answers by it
# counts one that never was; a server that is to end politely closes its connections before it calls MHD_stop_daemon.
# Exit code 1 if that changes.
set -e
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get download -qq libmicrohttpd-dev=0.9.75-6 libmicrohttpd12=0.9.75-6
for package in libmicrohttpd*.deb; do dpkg -x "$package" package; done
library=$(dirname "$folder"/package/usr/lib/*/libmicrohttpd.so.12)
cat >late.c <<'PROGRAM'
#include <arpa/inet.h>
#include <microhttpd.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct MHD_Daemon* daemon_;
static pthread_t stopper;
static int queued = -1;

static void* stop(void* unused) {
  MHD_stop_daemon(daemon_);
  return unused;
}
static enum MHD_Result answer(void* a, struct MHD_Connection* connection, const char* b, const char* c, const char* d,
                              const char* e, size_t* f, void** seen) {
  (void)a, (void)b, (void)c, (void)d, (void)e, (void)f;
  static int mark;
  if (*seen == NULL) return *seen = &mark, MHD_YES;
  pthread_create(&stopper, NULL, stop, NULL);
  sleep(1);
  struct MHD_Response* response = MHD_create_response_from_buffer(2, (void*)"ok", MHD_RESPMEM_PERSISTENT);
  queued = MHD_queue_response(connection, 200, response);
  MHD_destroy_response(response);
  return queued;
}
int main(void) {
  daemon_ = MHD_start_daemon(MHD_USE_POLL_INTERNAL_THREAD, 0, NULL, NULL, answer, NULL, MHD_OPTION_END);
  int port = MHD_get_daemon_info(daemon_, MHD_DAEMON_INFO_BIND_PORT)->port;
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int client = socket(AF_INET, SOCK_STREAM, 0);
  if (connect(client, (struct sockaddr*)&to, sizeof to) != 0) return 2;
  const char* request = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
  send(client, request, strlen(request), 0);
  char text[4096];
  ssize_t count = recv(client, text, sizeof text, 0);
  pthread_join(stopper, NULL);
  printf("queued: %s, bytes that the client was sent: %zd\n", queued == MHD_YES ? "yes" : "no", count);
  return queued == MHD_YES && count <= 0 ? 0 : 1;
}
PROGRAM
cc late.c -o late -I"$folder/package/usr/include" -L"$library" -lmicrohttpd -lpthread
LD_LIBRARY_PATH=$library ./late
