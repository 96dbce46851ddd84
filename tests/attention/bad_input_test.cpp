// What attend(), attend_columns() and attend_backward() refuse, and what of nothing they accept.
#include "agreement.h"
#include "polariscope/base/error.h"

namespace polariscope::testing {
namespace {

constexpr attention::AttentionShape kShape{
    .batch = 2, .heads = 4, .key_heads = 2, .queries = 3, .keys = 5, .width = 4, .value_width = 6};

// Good input and room for all results, to be spoiled.
struct Call {
  Problem<float> problem;
  Everything<float> all;
  attention::AttentionInput<float> input;
  attention::AttentionOutput<float> output;
  attention::HeadsView<const float> d_output;
  attention::AttentionGradient<float> gradient;

  explicit Call(std::string_view form = "softmax")
      : problem(drawn(form)),
        all(problem),
        input(problem.input()),
        output(all.forward.view()),
        d_output(problem.d_output.constant_view()),
        gradient(all.backward.view()) {}

  static Problem<float> drawn(std::string_view form) {
    RandomStream random(111, 0);
    return random_problem<float>(reweighting::find_attention_form(form), kShape, random);
  }

  void forward() { attention::attend(input, output, 1); }
  void columns() { attention::attend_columns(input, output.shift, output.inverse, all.columns.data(), 1); }
  void weights() { attention::attention_weights(input, 0, input.shape.queries, all.weights.data(), 1); }
  void backward() {
    attention::attend_backward(input, output, d_output, attention::RowStatisticsGradient<float>{}, gradient, 1);
  }

  void expect_refusal() {
    EXPECT_THROW(forward(), Error);
    EXPECT_THROW(columns(), Error);
    EXPECT_THROW(weights(), Error);
    EXPECT_THROW(backward(), Error);
  }
};

TEST(BadInput, TheUnspoiledCallIsAccepted) {
  Call call;
  EXPECT_NO_THROW(call.forward());
  EXPECT_NO_THROW(call.columns());
  EXPECT_NO_THROW(call.weights());
  EXPECT_NO_THROW(call.backward());
}

TEST(BadInput, NegativeSizesAreRefused) {
  for (std::int64_t attention::AttentionShape::*size :
       {&attention::AttentionShape::batch, &attention::AttentionShape::heads, &attention::AttentionShape::key_heads,
        &attention::AttentionShape::queries, &attention::AttentionShape::keys, &attention::AttentionShape::width,
        &attention::AttentionShape::value_width}) {
    Call call;
    call.input.shape.*size = -1;
    call.expect_refusal();
  }
}

TEST(BadInput, HeadsThatAreNoMultipleOfTheKeyHeadsAreRefused) {
  for (const std::int64_t key_heads : {0, 3, 8}) {
    Call call;
    call.input.shape.key_heads = key_heads;
    call.expect_refusal();
  }
}

TEST(BadInput, LengthsOutsideTheKeysAreRefused) {
  for (const std::int64_t length : {-1, 6}) {
    Call call;
    const std::vector<std::int64_t> lengths{5, length};
    call.input.key_lengths = lengths.data();
    call.expect_refusal();
  }
}

TEST(BadInput, AWindowBelowZeroAndAScaleThatIsNoNumberAreRefused) {
  Call window;
  window.input.window = -1;
  window.expect_refusal();
  Call scale;
  scale.input.scale = std::nan("");
  scale.expect_refusal();
}

TEST(BadInput, SizesThatNoIndexCanCountAreRefused) {
  for (std::int64_t attention::AttentionShape::*size :
       {&attention::AttentionShape::batch, &attention::AttentionShape::heads, &attention::AttentionShape::key_heads,
        &attention::AttentionShape::queries, &attention::AttentionShape::keys, &attention::AttentionShape::width,
        &attention::AttentionShape::value_width}) {
    Call call;
    call.input.shape.*size = std::numeric_limits<std::int64_t>::max();
    call.expect_refusal();
  }
}

TEST(BadInput, AScaleBeyondSinglePrecisionIsRefused) {
  Call call;
  call.input.scale = 1e300;
  call.expect_refusal();
}

// Nothing is as far away as that.
TEST(LargestNumber, AsAWindowIsNoWindow) {
  for (const bool causal : {false, true}) {
    Call none, largest;
    none.input.causal = largest.input.causal = causal;
    largest.input.window = std::numeric_limits<std::int64_t>::max();
    for (Call* call : {&none, &largest}) {
      call->forward();
      call->columns();
      call->weights();
      call->backward();
    }
    EXPECT_EQ(largest.all.forward.visible, none.all.forward.visible);
    EXPECT_EQ(largest.all.forward.output.packed(), none.all.forward.output.packed());
    EXPECT_EQ(largest.all.columns, none.all.columns);
    EXPECT_EQ(largest.all.weights, none.all.weights);
    EXPECT_EQ(largest.all.backward.key.packed(), none.all.backward.key.packed());
  }
}

TEST(LargestNumber, OfThreadsIsAsManyAsThereIsWorkFor) {
  Call one, many;
  one.forward();
  attention::attend(many.input, many.output, std::numeric_limits<int>::max());
  one.backward();
  attention::attend_backward(many.input, many.output, many.d_output, attention::RowStatisticsGradient<float>{},
                             many.gradient, std::numeric_limits<int>::max());
  EXPECT_EQ(many.all.forward.output.packed(), one.all.forward.output.packed());
  EXPECT_EQ(many.all.backward.query.packed(), one.all.backward.query.packed());
}

TEST(BadInput, AFormOutOfItsRangeIsRefused) {
  Call call("entmax");
  call.input.form.alpha = 1.0;
  call.expect_refusal();
}

TEST(BadInput, ASinkForAFormThatHasNoneIsRefused) {
  Call call;
  const std::vector<float> sink(4, 0.0F);
  call.input.sink = sink.data();
  call.expect_refusal();
}

TEST(BadInput, MissingArraysAreRefused) {
  for (attention::HeadsView<const float> attention::AttentionInput<float>::*array :
       {&attention::AttentionInput<float>::query, &attention::AttentionInput<float>::key}) {
    Call call;
    (call.input.*array).data = nullptr;
    call.expect_refusal();
  }
  Call value;
  value.input.value.data = nullptr;
  EXPECT_THROW(value.forward(), Error);
  EXPECT_THROW(value.backward(), Error);
  Call output;
  output.output.output.data = nullptr;
  EXPECT_THROW(output.forward(), Error);
  Call d_output;
  d_output.d_output.data = nullptr;
  EXPECT_THROW(d_output.backward(), Error);
}

TEST(BadInput, ASecondPassWithoutWhatTheFirstOneLeftIsRefused) {
  for (float* attention::AttentionOutput<float>::*left :
       {&attention::AttentionOutput<float>::shift, &attention::AttentionOutput<float>::inverse}) {
    Call call;
    call.output.*left = nullptr;
    EXPECT_THROW(call.columns(), Error);
    EXPECT_THROW(call.backward(), Error);
  }
}

TEST(BadInput, GradientsOfParametersSayWhatTheyNeed) {
  std::vector<float> heads(4);
  Call count("relu/count");
  count.gradient.parameters.count_power = heads.data();
  count.forward();
  EXPECT_NO_THROW(count.backward());
  count.output.statistics.visible = nullptr;
  EXPECT_THROW(count.backward(), Error);
  Call factor("ssmax");
  factor.gradient.parameters.transform_factor = heads.data();
  factor.input.form.transform_factor = 0.0;
  factor.forward();
  EXPECT_THROW(factor.backward(), Error);
}

TEST(BadInput, WeightsOfQueriesThatThereAreNotOrWithoutRoomAreRefused) {
  Call call;
  float* room = call.all.weights.data();
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
  const std::pair<std::int64_t, std::int64_t> bad[] = {{-1, 2}, {0, 4}, {3, 1}, {1, -1}, {1, kMost}, {kMost, 1}};
  for (const auto& [first, count] : bad) {
    EXPECT_THROW(attention::attention_weights(call.input, first, count, room, 1), Error) << first << " " << count;
  }
  EXPECT_THROW(attention::attention_weights<float>(call.input, 0, 3, nullptr, 1), Error);
  EXPECT_NO_THROW(attention::attention_weights(call.input, 3, 0, room, 1));
}

TEST(BadInput, TheSentenceNamesWhatWasFound) {
  Call call;
  const std::vector<std::int64_t> lengths{5, 77};
  call.input.key_lengths = lengths.data();
  try {
    call.forward();
    FAIL() << "a length of 77 was accepted";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("77"), std::string::npos) << error.what();
  }
}

TEST(EmptyInput, OfAnySizeIsNoError) {
  for (std::int64_t attention::AttentionShape::*size :
       {&attention::AttentionShape::batch, &attention::AttentionShape::queries, &attention::AttentionShape::keys,
        &attention::AttentionShape::value_width}) {
    Call call;
    call.input.shape.*size = 0;
    EXPECT_NO_THROW(call.forward());
    EXPECT_NO_THROW(call.columns());
    EXPECT_NO_THROW(call.weights());
    EXPECT_NO_THROW(call.backward());
  }
}

TEST(EmptyInput, OfNoHeadsIsNoError) {
  Call call;
  call.input.shape.heads = call.input.shape.key_heads = 0;
  EXPECT_NO_THROW(call.forward());
  EXPECT_NO_THROW(call.columns());
  EXPECT_NO_THROW(call.weights());
  EXPECT_NO_THROW(call.backward());
}

TEST(EmptyInput, WithoutKeysGivesZeros) {
  Call call;
  call.input.shape.keys = 0;
  call.forward();
  for (const float x : call.all.forward.output.packed()) EXPECT_EQ(x, 0.0F);
  EXPECT_EQ(call.all.forward.visible[0], 0);
}

}  // namespace
}  // namespace polariscope::testing
