// Caches of keys and values over the C interface: in pages, and as bfloat16 numbers; and callers who know none.
#include "attention/caches.h"
#include "c_arrays.h"

#include <cmath>
#include <cstddef>
#include <cstring>
#include <string>
#include <vector>

namespace polariscope::testing {
namespace {

constexpr std::uint64_t kSeed = 98;

// Two sequences of unlike lengths, of whose keys one query of each head is asked.
struct Call {
  Problem<float> problem = drawn();
  Forward<float> forward{problem};
  Upstream<float> upstream;
  Backward<float> backward{problem};
  CProblem<float> c{problem, forward, upstream, backward};

  Call() { c.rows.shift = c.rows.inverse = c.rows.mass = nullptr; }  // decoding's own kernels give none of them
  static Problem<float> drawn() {
    RandomStream random(kSeed, 0);
    auto problem = random_problem<float>(
        reweighting::find_attention_form("softmax"),
        {.batch = 2, .heads = 4, .key_heads = 2, .queries = 1, .keys = 150, .width = 32, .value_width = 24}, random);
    problem.key_lengths = {150, 70};
    return problem;
  }
  std::int32_t attend() { return polariscope_attend(&c.attention, &c.rows); }
  void take(LowCache& low) {
    c.attention.bfloat16_key = c_heads(low.key.constant_view());
    c.attention.bfloat16_value = c_heads(low.value.constant_view());
    c.attention.key = c.attention.value = {};
  }
  void take(const attention::PageTable& table) {
    c.attention.pages = table.pages;
    c.attention.pages_stride = table.batch_stride;
    c.attention.page_keys = table.page_keys;
    c.attention.page_count = table.page_count;
  }
};

TEST(CCaches, InPagesHaveTheBitsOfOnePiece) {
  Call plain, paged;
  RandomStream random(kSeed, 1);
  const auto input = plain.problem.input();
  const Pages<float> pages(plain.problem.shape, input.key, input.value, 16, random);
  paged.c.attention.key = c_heads(pages.key_view);
  paged.c.attention.value = c_heads(pages.value_view);
  paged.take(pages.table);
  ASSERT_EQ(plain.attend(), 0) << polariscope_last_error();
  ASSERT_EQ(paged.attend(), 0) << polariscope_last_error();
  expect_same_bits(plain.forward, paged.forward);
}

TEST(CCaches, OfBfloat16AreReadAsTheNumbersThatTheyHold) {
  Call plain, stored;
  LowCache low(stored.problem), same(plain.problem);
  for (Call* call : {&plain, &stored}) LowCache::rounded(call->problem.query);
  stored.take(low);
  ASSERT_EQ(plain.attend(), 0) << polariscope_last_error();
  ASSERT_EQ(stored.attend(), 0) << polariscope_last_error();
  expect_same_bits(plain.forward, stored.forward);

  // Multiplied as such: weights, and no more, are rounded where they multiply values.
  stored.c.attention.bfloat16 = 1;
  ASSERT_EQ(stored.attend(), 0) << polariscope_last_error();
  Problem<float> sizes = plain.problem;
  sizes.value.for_each([](float& x) { x = std::abs(x); });
  const std::vector<float> found = stored.forward.output.packed(), expected = plain.forward.output.packed(),
                           scale = oracle_forward(sizes).output.packed();
  for (std::size_t i = 0; i < found.size(); ++i) {
    EXPECT_NEAR(found[i], expected[i], 0x1p-8 * scale[i] + 1e-7) << i;
  }

  RandomStream random(kSeed, 2);
  Call paged;
  LowCache::rounded(paged.problem.query);
  const Pages<attention::Bfloat16> pages(plain.problem.shape, low.key.constant_view(), low.value.constant_view(), 16,
                                         random);
  paged.take(pages.table);
  paged.c.attention.bfloat16_key = c_heads(pages.key_view);
  paged.c.attention.bfloat16_value = c_heads(pages.value_view);
  paged.c.attention.key = paged.c.attention.value = {};
  paged.c.attention.bfloat16 = 1;
  ASSERT_EQ(paged.attend(), 0) << polariscope_last_error();
  expect_same_bits(stored.forward, paged.forward);
}

// What an earlier version's caller has behind its structure is not of it.
TEST(CCaches, AreAbsentFromTheStructuresOfEarlierVersions) {
  Call now;
  ASSERT_EQ(now.attend(), 0);
  constexpr std::size_t kVersion1 = offsetof(polariscope_attention, bfloat16);
  constexpr std::size_t kVersion2 = offsetof(polariscope_attention, bfloat16_key);
  for (const std::size_t size : {kVersion1, kVersion2}) {
    Call then;
    std::memset(reinterpret_cast<char*>(&then.c.attention) + size, 1, sizeof(polariscope_attention) - size);
    then.c.attention.size = size;
    ASSERT_EQ(then.attend(), 0) << polariscope_last_error();
    expect_same_bits(now.forward, then.forward);
  }
  Call older;
  older.c.attention.size = kVersion1 - 1;
  expect_refusal(older.attend(), "attention says that its size is");
}

TEST(CCaches, ThatContradictThemselvesAreRefused) {
  Call call;
  LowCache low(call.problem);
  call.take(low);
  EXPECT_EQ(call.attend(), 0) << polariscope_last_error();
  expect_refusal(polariscope_attend_backward(&call.c.attention, &call.c.rows, &call.c.incoming, &call.c.gradient),
                 "gradients are of keys and values in one piece");
  call.c.attention.key = c_heads(call.problem.input().key);
  expect_refusal(call.attend(), "its key twice");
  call.c.attention.bfloat16_key = {};
  expect_refusal(call.attend(), "value is bfloat16, key is not");

  Call paged;
  RandomStream random(kSeed, 3);
  const auto input = paged.problem.input();
  Pages<float> pages(paged.problem.shape, input.key, input.value, 16, random);
  paged.c.attention.key = c_heads(pages.key_view);
  paged.c.attention.value = c_heads(pages.value_view);
  paged.take(pages.table);
  pages.pages[3] = 21;
  expect_refusal(paged.attend(), "entry 3 of sequence 0's page table is 21: expected 0 to 20");
  paged.c.attention.page_keys = 0;
  expect_refusal(paged.attend(), "pages of 0 keys");
  paged.take(pages.table);
  paged.c.attention.pages = nullptr;
  expect_refusal(paged.attend(), "21 pages of 16 keys, but pages is missing");
  EXPECT_EQ(paged.forward.statistic("entropy")[0], -7.0F) << "written although refused";
}

}  // namespace
}  // namespace polariscope::testing
