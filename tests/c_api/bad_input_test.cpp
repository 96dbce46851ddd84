// Whatever a caller gets wrong ends with 1 and a sentence that names it, and never with a crash.
#include "c_arrays.h"

#include <functional>
#include <thread>

namespace polariscope::testing {
namespace {

struct Call {
  Problem<float> problem = drawn();
  Forward<float> forward{problem};
  Upstream<float> upstream;
  Backward<float> backward{problem};
  CProblem<float> c{problem, forward, upstream, backward};

  static Problem<float> drawn() {
    RandomStream random(97, 0);
    return random_problem<float>(
        reweighting::find_attention_form("softmax"),
        {.batch = 2, .heads = 2, .key_heads = 1, .queries = 3, .keys = 4, .width = 5, .value_width = 6}, random);
  }
  std::int32_t attend() { return polariscope_attend(&c.attention, &c.rows); }
  std::int32_t differentiate() { return polariscope_attend_backward(&c.attention, &c.rows, &c.incoming, &c.gradient); }
};

using testing::expect_refusal;

void expect_refusal(const std::function<void(CProblem<float>&)>& spoil, const std::string& words) {
  Call call;
  spoil(call.c);
  expect_refusal(call.attend(), words);
  EXPECT_EQ(call.forward.statistic("entropy")[0], -7.0F) << "written although refused";
}

TEST(BadC, TheUnspoiledCallIsAccepted) {
  Call call;
  EXPECT_EQ(call.attend(), 0);
  EXPECT_EQ(call.differentiate(), 0) << polariscope_last_error();
}

TEST(BadC, StructuresOfUnknownSizesAreRefused) {
  expect_refusal([](auto& c) { c.attention.size = 0; }, "attention says that its size is 0");
  expect_refusal([](auto& c) { c.attention.size += 8; }, "attention says");
  expect_refusal([](auto& c) { c.rows.size = 16; }, "rows says");
  Call call;
  ASSERT_EQ(call.attend(), 0);
  call.c.incoming.size = 1;
  expect_refusal(call.differentiate(), "incoming says");
  call.c.incoming.size = sizeof(polariscope_rows_gradient);
  call.c.gradient.size = 1;
  expect_refusal(call.differentiate(), "gradient says");
}

TEST(BadC, NullIsRefusedWhereAnArrayIsNeeded) {
  Call call;
  expect_refusal(polariscope_attend(nullptr, &call.c.rows), "attention is missing");
  expect_refusal(polariscope_attend(&call.c.attention, nullptr), "rows is missing");
  expect_refusal(polariscope_attention_weights(&call.c.attention, nullptr), "weights");
  expect_refusal(polariscope_attend_columns(&call.c.attention, &call.c.rows, nullptr), "column_means is missing");
  expect_refusal(polariscope_use_instruction_set("MMX"), "MMX");
  expect_refusal([](auto& c) { c.attention.query.data = nullptr; }, "query is missing");
  expect_refusal([](auto& c) { c.attention.key.data = nullptr; }, "key is missing");
  expect_refusal([](auto& c) { c.attention.value.data = nullptr; }, "value is missing");
  expect_refusal([](auto& c) { c.rows.output.data = nullptr; }, "output is missing");
  expect_refusal([](auto& c) { c.attention.form = nullptr; }, "form is missing");
  expect_refusal([](auto& c) { c.attention.parameter_count = 2; }, "parameter_names");
  ASSERT_EQ(call.attend(), 0);
  call.c.rows.shift = nullptr;
  expect_refusal(call.differentiate(), "shift");
  expect_refusal(polariscope_attend_columns(&call.c.attention, &call.c.rows, call.forward.mass.data()), "shift");
}

TEST(BadC, NamesThatAreNotKnownAreToldWithTheNearest) {
  expect_refusal([](auto& c) { c.attention.form = "sofmax"; }, "did you mean \"softmax\"");
  static const char* const kNames[] = {"alfa"};
  static const double kValues[] = {1.5};
  const auto set = [](auto& c) {
    c.attention.parameter_count = 1;
    c.attention.parameter_names = kNames;
    c.attention.parameter_values = kValues;
  };
  expect_refusal(set, "did you mean \"alpha\"");
  static const char* const kAlpha[] = {"alpha"};
  expect_refusal([&](auto& c) { set(c), c.attention.parameter_names = kAlpha; }, "has no parameter alpha");
}

TEST(BadC, ShapesTypesAndNumbersOutOfRangeAreRefused) {
  expect_refusal([](auto& c) { c.attention.type = 7; }, "type is 7");
  expect_refusal([](auto& c) { c.attention.threads = -1; }, "threads is -1");
  expect_refusal([](auto& c) { c.attention.batch = -1; }, "batch -1");
  expect_refusal([](auto& c) { c.attention.key_heads = 3; }, "heads");
  expect_refusal([](auto& c) { c.attention.window = -2; }, "window is -2");
  expect_refusal([](auto& c) { c.attention.width = 1 << 20; }, "width");
  expect_refusal([](auto& c) { c.attention.scale = INFINITY; }, "scale");
  static const std::int64_t kLengths[] = {5, 1};
  expect_refusal([](auto& c) { c.attention.key_lengths = kLengths; }, "key length 5");
}

TEST(BadC, WhatIsWrittenMayNotLieUponItself) {
  expect_refusal([](auto& c) { c.rows.output.row_stride = 0; }, "output has strides");
  expect_refusal([](auto& c) { c.rows.output.head_stride = 1; }, "output has strides");
  Call call;
  ASSERT_EQ(call.attend(), 0);
  call.c.gradient.key.row_stride = 0;
  expect_refusal(call.differentiate(), "gradient of key");
}

TEST(BadC, EveryThreadHasItsOwnLastError) {
  expect_refusal([](auto& c) { c.attention.type = 7; }, "type is 7");
  std::thread([] { EXPECT_STREQ(polariscope_last_error(), ""); }).join();
  EXPECT_NE(std::string(polariscope_last_error()), "");
}

}  // namespace
}  // namespace polariscope::testing
