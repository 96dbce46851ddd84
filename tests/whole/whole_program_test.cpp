// A program that holds the whole house: the kernels of several rooms side by side.
#include "polariscope/attention/attend.h"
#include "polariscope/flow/gradient_flow.h"
#include "polariscope/flow/start.h"
#include "polariscope/models/attention_only.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace polariscope::testing {
namespace {

TEST(WholeProgram, IntegratesAFlowAndAttends) {
  const flow::Start start = flow::random_start(flow::Model::kReduced, flow::Loss::kLogistic,
                                               reweighting::find_reweighting("softmax"), {}, 1, 0);
  EXPECT_GT(flow::integrate(start.problem, start.state, {}).points(), 1U);

  // Two equal keys share a row's attention evenly.
  const float query[1] = {1}, key[2] = {1, 1}, value[2] = {0, 4};
  float output[1], entropy[1];
  attention::AttentionInput<float> in;
  in.shape = {.batch = 1, .heads = 1, .key_heads = 1, .queries = 1, .keys = 2, .width = 1, .value_width = 1};
  in.query = {query, 1, 1, 1};
  in.key = {key, 2, 2, 1};
  in.value = {value, 2, 2, 1};
  in.form = reweighting::find_attention_form("softmax");
  attention::AttentionOutput<float> out;
  out.output = {output, 1, 1, 1};
  out.statistics.entropy = entropy;
  attention::attend(in, out);
  EXPECT_FLOAT_EQ(output[0], 2.0F);
  EXPECT_NEAR(entropy[0], std::log(2.0), 1e-6);
}

}  // namespace
}  // namespace polariscope::testing
