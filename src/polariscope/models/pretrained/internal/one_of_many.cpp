#include "polariscope/models/pretrained/internal/one_of_many.h"

namespace polariscope::models {
namespace {

thread_local bool one_of_many = false;

}  // namespace

bool is_one_of_many() { return one_of_many; }

OneOfMany::OneOfMany() : before_(one_of_many) { one_of_many = true; }
OneOfMany::~OneOfMany() { one_of_many = before_; }

}  // namespace polariscope::models
