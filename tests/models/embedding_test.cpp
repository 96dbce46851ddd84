// Embeddings against ATen's, values and gradients.
#include "polariscope/models/embedding.h"

#include "support/complaint.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/sin.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <vector>

namespace polariscope {
namespace {

at::Tensor numbers(std::vector<std::int64_t> sizes, at::ScalarType type) {
  std::int64_t count = 1;
  for (const std::int64_t size : sizes) count *= size;
  return at::arange(count, at::kDouble).sin().view(sizes).to(type);
}

at::Tensor by_aten(const at::Tensor& tokens, const at::Tensor& table, const at::Tensor& positions,
                   models::Positions how) {
  const at::Tensor of_token = at::embedding(table, tokens);
  if (how == models::Positions::kNone) return of_token;
  const at::Tensor of_position = positions.narrow(0, 0, tokens.size(1)).unsqueeze(0).expand_as(of_token);
  return how == models::Positions::kAdd ? of_token + of_position : at::cat({of_token, of_position}, -1);
}

TEST(Embed, IsATensWithItsGradients) {
  const at::Tensor tokens = at::tensor({3, 0, 3, 1, 4, 0}, at::kLong).view({2, 3});
  for (const at::ScalarType type : {at::kFloat, at::kDouble}) {
    for (const models::Positions how :
         {models::Positions::kConcat, models::Positions::kAdd, models::Positions::kNone}) {
      const at::Tensor table = numbers({5, 7}, type).set_requires_grad(true);
      const at::Tensor positions =
          how == models::Positions::kNone ? at::Tensor() : numbers({4, 7}, type).cos().detach().set_requires_grad(true);
      const at::Tensor ours = models::embed(tokens, table, positions, how),
                       theirs = by_aten(tokens, table, positions, how);
      EXPECT_TRUE(ours.equal(theirs));
      std::vector<at::Tensor> leaves{table};
      if (positions.defined()) leaves.push_back(positions);
      const std::vector<at::Tensor> due{numbers(ours.sizes().vec(), type)};
      const auto found = torch::autograd::grad({ours}, leaves, due, true),
                 again = torch::autograd::grad({ours}, leaves, due);
      const auto expected = torch::autograd::grad({theirs}, leaves, due);
      for (std::size_t i = 0; i < leaves.size(); ++i) {
        EXPECT_TRUE(found[i].allclose(expected[i], 0.0, 1e-6));
        EXPECT_TRUE(found[i].equal(again[i]));
      }
    }
  }
}

TEST(Embed, TakesNoSequenceAndTokensThatLieApart) {
  const at::Tensor table = numbers({5, 7}, at::kDouble), positions = numbers({4, 7}, at::kDouble);
  EXPECT_EQ(models::embed(at::zeros({0, 3}, at::kLong), table, positions, models::Positions::kConcat).sizes(),
            at::IntArrayRef({0, 3, 14}));
  const at::Tensor tokens = at::tensor({3, 0, 2, 1, 4, 0}, at::kLong).view({3, 2}).t();
  EXPECT_TRUE(models::embed(tokens, table, positions, models::Positions::kAdd)
                  .equal(by_aten(tokens, table, positions, models::Positions::kAdd)));
}

TEST(Embed, RefusesATokenOutOfTheVocabulary) {
  const at::Tensor table = numbers({5, 7}, at::kDouble);
  for (const std::int64_t token : {-1, 5}) {
    const std::string complaint = testing::complaint_of([&] {
      models::embed(at::tensor({std::int64_t{1}, token}).view({1, 2}), table, at::Tensor(), models::Positions::kNone);
    });
    EXPECT_EQ(complaint, fmt::format("token {} is not in the vocabulary: its tokens are 0 to 4", token));
  }
}

TEST(Positions, AreFoundByName) {
  EXPECT_EQ(models::find_positions("add"), models::Positions::kAdd);
  EXPECT_NE(testing::complaint_of([] { models::find_positions("concta"); }).find("concat"), std::string::npos);
}

}  // namespace
}  // namespace polariscope
