// embed's CUDA kernel against float64, in the emulation.
#include <gtest/gtest.h>

#include <cmath>

#include "../ops/cuda/embed_kernel.h"
#include "cuda_emulation/emulated_kernels.h"
#include "kernels_tensors.h"

using namespace longformer;
using namespace longformer::test;

namespace {

struct Tables {
  Tensor words, positions, types, weight, bias;
};

Tables tables(ScalarType type, int64_t columns) {
  const auto random = [&](IntList shape) { return randn(shape, type); };
  return {random({50, columns}), random({30, columns}), random({2, columns}), random({columns}),
          random({columns})};
}

Tensor rows(const Tensor& table, const Tensor& ids, int64_t tokens) {
  const Tensor t = table.to(kDouble);
  return ids.defined() ? t.index_select(0, ids) : cat(TensorList(static_cast<size_t>(tokens / t.size(0)), t));
}

Tensor exact(const Embedding& e) {
  Tensor sum = rows(e.words.table, e.words.ids, e.tokens) * e.word_scale +
               rows(e.positions.table, e.positions.ids, e.tokens);
  if (e.types.table.defined()) sum = sum + rows(e.types.table, e.types.ids, e.tokens);
  return layer_norm(sum, e.weight.to(kDouble), e.bias.to(kDouble), e.eps);
}

Embedding checked(const Tensor& words, const OptionalTensor& word_ids, const Tensor& positions,
                  const OptionalTensor& position_ids, const OptionalTensor& types,
                  const OptionalTensor& type_ids, const Tensor& weight, const Tensor& bias, double eps,
                  double word_scale) {
  return check_embed("embed", words, word_ids, positions, position_ids, types, type_ids, weight, bias, eps,
                     word_scale, -1, -1);
}

void expect_exact(const Embedding& e) {
  ASSERT_TRUE(cuda::serves(e));
  EmulatedLauncher launcher(1);
  const Tensor out = cuda::embed(e, launcher);
  const auto type = out.scalar_type();
  const double limit = type == kFloat ? 2e-5 : type == kHalf ? 1e-2 : 6e-2;
  EXPECT_LE(largest_difference(out, exact(e)), limit);
}

TEST(CudaEmbed, equals_float64_with_ids_and_without) {
  reseed(1);
  for (ScalarType type : {kFloat, kBFloat16, kHalf})
    for (int64_t columns : {8, 256, 768}) {
      SCOPED_TRACE(name_of(type) + " columns " + std::to_string(columns));
      const Tables t = tables(type, columns);
      const int64_t tokens = 9;
      const auto ids = [&](int64_t rows) { return random_integers(generator(), {tokens}, 0, rows - 1); };
      const Tensor word_ids = ids(50), position_ids = ids(30), type_ids = ids(2);
      // Longformer
      expect_exact(checked(t.words, word_ids, t.positions, position_ids, t.types, type_ids, t.weight, t.bias,
                           1e-5, 1.0));
      // Every token of the first type
      expect_exact(checked(t.words, word_ids, t.positions, position_ids, t.types.narrow(0, 0, 1), {},
                           t.weight, t.bias, 1e-12, 1.0));
      // LED made of mBART: no types, scaled words
      expect_exact(checked(t.words, word_ids, t.positions, position_ids, {}, {}, t.weight, t.bias, 1e-5,
                           std::sqrt(static_cast<double>(columns))));
      // A decoder: rows of the same positions
      expect_exact(
          checked(t.words, word_ids, t.positions.narrow(0, 0, 3), {}, {}, {}, t.weight, t.bias, 1e-5, 1.0));
      // Vectors in place of ids
      expect_exact(checked(t.words.narrow(0, 0, tokens), {}, t.positions, position_ids, t.types, type_ids,
                           t.weight, t.bias, 1e-5, 1.0));
    }
}

TEST(CudaEmbed, an_id_that_is_no_row_gives_nan_and_reads_nothing) {
  const Tables t = tables(kFloat, 8);
  const auto ids = [](std::vector<int64_t> values) { return from_values(values); };
  EmulatedLauncher launcher(1);
  // Ids on the host are refused before; on a device they are not looked at.
  Embedding e = checked(t.words, ids({0, 0, 0, 0, 0}), t.positions, ids({1, 2, 3, 0, 5}), t.types,
                        ids({0, 1, 0, 1, 0}), t.weight, t.bias, 1e-5, 1.0);
  e.words.ids = ids({0, 50, -1, 3, 4});
  e.positions.ids = ids({1, 2, 3, 30, 5});
  e.types.ids = ids({0, 1, 0, 1, 2});
  const Tensor out = cuda::embed(e, launcher);
  const Tensor nan = out.isnan();
  EXPECT_FALSE(any_of(nan[0]));
  EXPECT_TRUE(all_of(nan.narrow(0, 1, 4)));
}

TEST(CudaEmbed, what_the_kernel_does_not_serve_is_left_to_libtorch) {
  const auto of = [](const Tables& t) {
    return checked(t.words, {}, t.positions.narrow(0, 0, 25), {}, t.types, {}, t.weight, t.bias, 1e-5, 1.0);
  };
  EXPECT_TRUE(cuda::serves(of(tables(kFloat, 8))));
  EXPECT_FALSE(cuda::serves(of(tables(kFloat, 10))));
  EXPECT_FALSE(cuda::serves(of(tables(kDouble, 8))));
  EXPECT_FALSE(cuda::serves(of(tables(kFloat, 2056))));
  Tables empty = tables(kFloat, 8);  // no row for an unknown id
  Embedding e = checked(empty.words, {}, empty.positions.narrow(0, 0, 25), {}, empty.types,
                        zeros({50}, kLong), empty.weight, empty.bias, 1e-5, 1.0);
  e.types.table = empty.types.narrow(0, 0, 0);
  EXPECT_FALSE(cuda::serves(e));
  Tables mixed = tables(kFloat, 8);
  mixed.weight = mixed.weight.to(kHalf);
  EXPECT_FALSE(cuda::serves(of(mixed)));
}

}  // namespace
