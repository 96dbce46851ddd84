#include "polariscope/base/fingerprint.h"

namespace polariscope {
namespace {

// Of the reference's table of test vectors (http://www.isthe.com/chongo/src/fnv/test_fnv.c).
static_assert(fingerprint("") == 0xcbf29ce484222325);
static_assert(fingerprint("a") == 0xaf63dc4c8601ec8c);
static_assert(fingerprint("foobar") == 0x85944171f73967e8);

}  // namespace
}  // namespace polariscope
