// The operators of the library. Their kernels are registered where they are written: banded_attention.cpp,
// global_attention.cpp, linear.cpp, cpu/; gradients in autograd.cpp, shapes without data in meta.cpp.

#include <cstdint>

#include "cpu/peak.h"

namespace longformer {
namespace {

// A tensor as an integer that another language can hold: the address of libtorch's own TensorImpl, as in the
// handles of the dispatcher shim. The caller of to_handle owns one reference; from_handle leaves the handle's
// own where it is.
int64_t to_handle(const Tensor& tensor) {
  LONGFORMER_CHECK_VALUE(tensor.defined(), "longformer::_to_handle: tensor must be defined");
  return static_cast<int64_t>(reinterpret_cast<intptr_t>(Tensor(tensor).unsafeReleaseTensorImpl()));
}

Tensor from_handle(int64_t handle) {
  LONGFORMER_CHECK_VALUE(handle != 0, "longformer::_from_handle: handle must be the result of _to_handle, got 0");
  auto* impl = reinterpret_cast<c10::TensorImpl*>(static_cast<intptr_t>(handle));
  return Tensor(c10::intrusive_ptr<c10::TensorImpl, c10::UndefinedTensorImpl>::reclaim_copy(impl));
}

}  // namespace

// Dimensions: B sequences, T tokens, N tokens of all sequences together, S sequences, H heads, D head
// dimension, W window on one side, G global tokens of a sequence, C hidden size.
TORCH_LIBRARY(longformer, m) {
  // Windowed, dilated and global attention of the paper. query, key, value: [B, T, H, D], or packed [N, H, D]
  // with sequence_offsets [S+1] (ascending, from 0 to N). A query sees the visible keys of its window, i +
  // dilation * s for s = -window_left .. window_right, and the visible global keys of its sequence; each key
  // counts once.
  //   dilation          one value or H values, default 1
  //   mask              bool, uint8 or int64 [B, T] or [N]: nonzero = visible; rows of invisible queries are
  //   zeros global_index      int64 [B, G] or [S, G]: positions inside the sequence, ascending, then -1 scale
  //   of query . key, default 1/sqrt(D) dropout, seed     probability of dropping an attention probability; a
  //   function of the seed and the positions only implementation    "fused", "chunks" or "loop"
  // output like query, contiguous; logsumexp [B, T, H] or [N, H] in float32 (float64 for float64), not
  // differentiable, -inf where the row is empty.
  m.def(
      "banded_attention(Tensor query, Tensor key, Tensor value, int window_left, int window_right, "
      "int[]? dilation=None, Tensor? mask=None, Tensor? global_index=None, int[]? sequence_offsets=None, "
      "float? scale=None, float dropout=0.0, int seed=0, str implementation=\"fused\") "
      "-> (Tensor output, Tensor logsumexp)");
  // Its gradients, recomputed from logsumexp. Differentiable once.
  m.def(
      "banded_attention_backward(Tensor grad_output, Tensor query, Tensor key, Tensor value, Tensor output, "
      "Tensor logsumexp, int window_left, int window_right, int[]? dilation=None, Tensor? mask=None, "
      "Tensor? global_index=None, int[]? sequence_offsets=None, float? scale=None, float dropout=0.0, int "
      "seed=0, "
      "str implementation=\"fused\") -> (Tensor, Tensor, Tensor)");
  // The probabilities of banded_attention, for looking at them: [B, T, H, K] or [N, H, K] with
  // K = G + window_left + 1 + window_right: first the global keys in the order of global_index, then the
  // window from left to right (in steps of the dilation). A global key inside the window is zero there. Never
  // dropped out, not differentiable. Memory grows with T * K.
  m.def(
      "banded_attention_probabilities(Tensor query, Tensor key, int window_left, int window_right, "
      "int[]? dilation=None, Tensor? mask=None, Tensor? global_index=None, int[]? sequence_offsets=None, "
      "float? scale=None) -> Tensor");
  // The global tokens' own attention over every visible key of their sequence: query [S, G, H, D] with the
  // projections of the global tokens only, key and value [B, T, H, D] or [N, H, D] -> [S, G, H, D]. Rows
  // whose index is -1 or whose token is not visible are zeros. Dropout takes N + the row's place in [S, G]
  // for the query's position.
  m.def(
      "global_attention(Tensor query, Tensor key, Tensor value, Tensor global_index, Tensor? mask=None, "
      "int[]? sequence_offsets=None, float? scale=None, float dropout=0.0, int seed=0) -> Tensor");
  // The same without projecting every token: hidden [B, T, C] or [N, C], weights [H*D, C], biases [H*D]. The
  // key weight is folded into the query and the value weight applied after pooling, unless G is so large that
  // projecting is cheaper.
  m.def(
      "folded_global_attention(Tensor query, Tensor hidden, Tensor key_weight, Tensor? key_bias, Tensor "
      "value_weight, "
      "Tensor? value_bias, Tensor global_index, Tensor? mask=None, int[]? sequence_offsets=None, float? "
      "scale=None, "
      "float dropout=0.0, int seed=0) -> Tensor");
  // For each sequence softmax(queries . hidden) . hidden over its visible tokens: queries [S, R, C] in float32
  // (float64 for float64), hidden [N, C] of any floating dtype, mask bool [N] -> like the queries; zeros where
  // no token is visible. What folded_global_attention pools with when no gradient is recorded.
  m.def("_pooled_tokens(Tensor queries, Tensor hidden, Tensor? mask, int[] sequence_offsets) -> Tensor");
  // The probabilities of global_attention: [S, G, H, L] with L the longest sequence, zeros behind the end of
  // a shorter one.
  m.def(
      "global_attention_probabilities(Tensor query, Tensor key, Tensor global_index, Tensor? mask=None, "
      "int[]? sequence_offsets=None, float? scale=None) -> Tensor");

  // activation(input [.., I] . weight [O, I]^T + bias [O]) + residual [.., O]; activation "none", "gelu",
  // "gelu_tanh", "relu" or "tanh". packed: linear_pack(weight), the weight in the layout of the matrix
  // product's library; of the weight itself then only shape and dtype matter (unless a gradient is recorded
  // or packed is empty).
  m.def("linear_pack(Tensor weight) -> Tensor");
  m.def(
      "linear(Tensor input, Tensor weight, Tensor? bias=None, *, Tensor? packed=None, str "
      "activation=\"none\", "
      "Tensor? residual=None) -> Tensor");
  m.def(
      "linear.out(Tensor input, Tensor weight, Tensor? bias=None, *, Tensor? packed=None, str "
      "activation=\"none\", "
      "Tensor? residual=None, Tensor(a!) out) -> Tensor(a!)");
  // LayerNorm(input + residual) over the last dimension.
  m.def("add_layer_norm(Tensor input, Tensor? residual, Tensor weight, Tensor bias, float eps) -> Tensor");
  // Into a tensor like the input, which may be the input or the residual.
  m.def(
      "add_layer_norm.out(Tensor input, Tensor? residual, Tensor weight, Tensor bias, float eps, *, "
      "Tensor(a!) out) -> Tensor(a!)");

  // LayerNorm(word_scale * word + position + type) for N tokens -> [N, C]. Each of the three is a row of a
  // table [rows, C]: row ids[n] with ids int64 [N], without ids row n modulo the table's rows (a table of N
  // rows then holds the tokens' vectors themselves). types may be left out. The rows word_padding and
  // position_padding get no gradient; -1: all do. An id that is no row is an error, on a CUDA device a row of
  // NaN.
  m.def(
      "embed(Tensor words, Tensor? word_ids, Tensor positions, Tensor? position_ids, Tensor? types, "
      "Tensor? type_ids, Tensor weight, Tensor bias, float eps, *, float word_scale=1.0, "
      "int word_padding=-1, int position_padding=-1) -> Tensor");

  // One step of token-by-token decoding: R queries [R, H, D] of several documents, rows[d] of them in a row
  // looking at the keys and values [L, H, D] of document d, of which each is read once for all of these.
  //   mask   empty, or for each document uint8 or bool [L] or [rows[d], L], nonzero = visible, or nothing at
  //          all (no elements): all visible. A query that may see nothing gives the mean of all values.
  //   scale  of query . key, default 1/sqrt(D)
  // -> [R, H, D]
  m.def(
      "decode_attention(Tensor query, Tensor[] key, Tensor[] value, int[] rows, Tensor[] mask, "
      "float? scale=None) -> Tensor");

  // What the processor reaches in independent chains of float32 multiply-adds on all of libtorch's threads,
  // in GFLOP/s: the roof that benchmarks are compared with.
  m.def("_multiply_add_peak() -> float", &cpu::multiply_add_peak);
  m.def("_to_handle(Tensor tensor) -> int", &to_handle);
  m.def("_from_handle(int handle) -> Tensor", &from_handle);
}

}  // namespace longformer
