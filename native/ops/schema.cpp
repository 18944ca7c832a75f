// The schemas of the operators. Kernels are registered in their own files: banded_attention.cpp,
// global_attention.cpp, linear.cpp, cpu/, cuda/; meta.cpp has shapes without data. Each differentiable
// operator has a backward operator, which the tape of src/Models and torch/_gradients.py of the Python
// package call.
#include "options.h"

namespace longformer {

// Dimensions: B sequences, T tokens, N tokens of all sequences together, S sequences, H heads, D head
// dimension, W window on one side, G global tokens of a sequence, C hidden size.
LONGFORMER_REGISTER(r) {
  // Windowed, dilated and global attention of the paper. query, key, value: [B, T, H, D], or packed [N, H, D]
  // with sequence_offsets. A query sees the visible keys of its window, i + dilation * s for s = -window_left
  // .. window_right, and the visible global keys of its sequence; each key counts once. The options are those
  // of options.h.
  // output like query, contiguous; logsumexp [B, T, H] or [N, H] in float32 (float64 for float64), not
  // differentiable, -inf where the row is empty.
  r.def(text("banded_attention(Tensor query, Tensor key, Tensor value, ", schema_of_options<kBanded>(),
             ") -> (Tensor output, Tensor logsumexp)"));
  // Its gradients, recomputed from logsumexp. Differentiable once.
  r.def(text("banded_attention_backward(Tensor grad_output, Tensor query, Tensor key, Tensor value, ",
             "Tensor output, Tensor logsumexp, ", schema_of_options<kBanded>(),
             ") -> (Tensor, Tensor, Tensor)"));
  // banded_attention with relative positions (Transformer-XL): the score of query i and key j is
  // scale * ((query_i + content_bias) . key_j + (query_i + position_bias) . relative[relative_zero + i - j]).
  // relative [P, H, D]: a row for every distance in tokens that a window reaches inside a sequence; the
  // biases [H, D], none: zeros.
  r.def(text("relative_banded_attention(Tensor query, Tensor key, Tensor value, Tensor relative, ",
             "Tensor? content_bias, Tensor? position_bias, int relative_zero, ",
             schema_of_options<kRelative>(), ") -> (Tensor output, Tensor logsumexp)"));
  // The gradients of the six tensors, those of the biases also where none was given. Differentiable once.
  r.def(
      text("relative_banded_attention_backward(Tensor grad_output, Tensor query, Tensor key, Tensor value, ",
           "Tensor relative, Tensor? content_bias, Tensor? position_bias, Tensor output, Tensor logsumexp, ",
           "int relative_zero, ", schema_of_options<kRelative>(),
           ") -> (Tensor grad_query, Tensor grad_key, Tensor grad_value, Tensor grad_relative, "
           "Tensor grad_content_bias, Tensor grad_position_bias)"));
  // The probabilities of banded_attention, for looking at them: [B, T, H, K] or [N, H, K] with
  // K = G + window_left + 1 + window_right: first the global keys in the order of global_index, then the
  // window from left to right (in steps of the dilation). A global key inside the window is zero there. Never
  // dropped out, not differentiable. Memory grows with T * K.
  r.def(text("banded_attention_probabilities(Tensor query, Tensor key, ",
             schema_of_options<kBandedProbabilities>(), ") -> Tensor"));
  // The global tokens' own attention over every visible key of their sequence: query [S, G, H, D] with the
  // projections of the global tokens only, key and value [B, T, H, D] or [N, H, D] -> [S, G, H, D]. Rows
  // whose index is -1 or whose token is not visible are zeros. Dropout takes N + the row's place in [S, G]
  // for the query's position.
  r.def(text("global_attention(Tensor query, Tensor key, Tensor value, Tensor global_index, ",
             schema_of_options<kGlobal>(), ") -> Tensor"));
  r.def(text("_global_attention_backward(Tensor grad_output, Tensor query, Tensor key, Tensor value, ",
             "Tensor global_index, ", schema_of_options<kGlobal>(), ") -> (Tensor, Tensor, Tensor)"));
  // The same without projecting every token: hidden [B, T, C] or [N, C], weights [H*D, C], biases [H*D]. The
  // key weight is folded into the query and the value weight applied after pooling, unless G is so large that
  // projecting is cheaper.
  r.def(text("folded_global_attention(Tensor query, Tensor hidden, Tensor key_weight, Tensor? key_bias, ",
             "Tensor value_weight, Tensor? value_bias, Tensor global_index, ", schema_of_options<kGlobal>(),
             ") -> Tensor"));
  // The gradients of the biases are undefined where there is no bias.
  r.def(text("_folded_global_attention_backward(Tensor grad_output, Tensor query, Tensor hidden, ",
             "Tensor key_weight, Tensor? key_bias, Tensor value_weight, Tensor? value_bias, ",
             "Tensor global_index, ", schema_of_options<kGlobal>(),
             ") -> (Tensor grad_query, Tensor grad_hidden, Tensor grad_key_weight, Tensor grad_key_bias, "
             "Tensor grad_value_weight, Tensor grad_value_bias)"));
  // For each sequence softmax(queries . hidden) . hidden over its visible tokens: queries [S, R, C] in
  // float32 (float64 for float64), hidden [N, C] of any floating dtype, mask bool [N] -> like the queries;
  // zeros where no token is visible. folded_global_attention pools with it unless it drops out.
  r.def("_pooled_tokens(Tensor queries, Tensor hidden, Tensor? mask, int[] sequence_offsets) -> Tensor");
  // The probabilities of global_attention: [S, G, H, L] with L the longest sequence, zeros behind the end of
  // a shorter one.
  r.def(text("global_attention_probabilities(Tensor query, Tensor key, Tensor global_index, ",
             schema_of_options<kGlobalProbabilities>(), ") -> Tensor"));

  // activation(input [.., I] . weight [O, I]^T + bias [O]) + residual [.., O]. packed: linear_pack(weight),
  // the weight in the layout of the matrix product; of the weight itself then only shape and dtype matter
  // (unless packed is empty).
  r.def("linear_pack(Tensor weight) -> Tensor");
  r.def(
      "linear(Tensor input, Tensor weight, Tensor? bias=None, *, Tensor? packed=None, str "
      "activation=\"none\", "
      "Tensor? residual=None) -> Tensor");
  // Writes into a tensor like the result.
  r.def(
      "_linear_into(Tensor input, Tensor weight, Tensor? bias, Tensor? packed, str activation, Tensor? "
      "residual, "
      "Tensor(a!) out) -> ()");
  // The same with a weight in int8 [O, I] whose rows have the factors scale [O] in float32, on a CPU.
  // Without `packed` only the weight has eight bits: for a few rows. With it, _int8_pack(weight), each row of
  // the input is quantized as well, symmetric, by its own largest magnitude, and `out` may have another dtype
  // than the input. The residual has that of the result; so has the bias, or float32.
  r.def("_int8_quantize(Tensor weight) -> (Tensor quantized, Tensor scale)");
  r.def("_int8_pack(Tensor weight) -> Tensor");
  r.def(
      "_int8_linear(Tensor input, Tensor weight, Tensor scale, Tensor? bias, Tensor? packed, "
      "str activation, Tensor? residual) -> Tensor");
  r.def(
      "_int8_linear_into(Tensor input, Tensor weight, Tensor scale, Tensor? bias, Tensor? packed, "
      "str activation, Tensor? residual, Tensor(a!) out) -> ()");
  // The gradients of input . weight^T + bias: like input, weight [O, I] and bias [O]; undefined where not
  // needed.
  r.def(
      "_linear_backward(Tensor grad_output, Tensor input, Tensor weight, bool need_input, bool need_weight, "
      "bool need_bias) -> (Tensor, Tensor, Tensor)");
  // Adds the first two of them to gradients that exist.
  r.def(
      "_linear_backward_into(Tensor grad_output, Tensor input, Tensor weight, Tensor(a!)? grad_input, "
      "Tensor(b!)? grad_weight) -> ()");
  // The same of activation(input) . weight^T + bias: of input before the activation, of weight and of bias.
  // The weight's is added to the one that exists, where that is given.
  r.def(
      "_activated_linear_backward(Tensor grad_output, Tensor input, Tensor weight, str activation, "
      "bool need_weight, bool need_bias, Tensor(a!)? grad_weight) -> (Tensor, Tensor, Tensor)");
  // "none", "gelu", "gelu_tanh", "relu", "tanh" or "silu" of each element.
  r.def("activation(Tensor input, str activation) -> Tensor");
  // input: the argument of the activation, not its result.
  r.def("_activation_backward(Tensor grad_output, Tensor input, str activation) -> Tensor");
  // Keeps element i of the flat input, divided by 1 - probability, or makes it zero: a function of seed + i.
  // The gradient is the same operator on the gradient.
  r.def("hidden_dropout(Tensor input, float probability, int seed) -> Tensor");
  // LayerNorm(input + residual) over the last dimension.
  r.def("add_layer_norm(Tensor input, Tensor? residual, Tensor weight, Tensor bias, float eps) -> Tensor");
  // Writes into a tensor like the input, which may be the input or the residual.
  r.def(
      "_add_layer_norm_into(Tensor input, Tensor? residual, Tensor weight, Tensor bias, float eps, "
      "Tensor(a!) out) "
      "-> ()");
  // What an encoder layer does behind its attention, in place of the context, all [N, C]:
  //   attended = LayerNorm(context . attention_weight^T + attention_bias + hidden)
  //   inner = activation(attended . inner_weight^T + inner_bias)
  //   LayerNorm(inner . output_weight^T + output_bias + attended)
  // on a CPU, without gradients. Rows pass through all of it a few at a time, so that what is in between
  // stays in the cache. The result is that of the single operators, bit by bit but for float64.
  r.def(
      "_feed_forward_(Tensor(a!) context, Tensor hidden, Tensor attention_weight, Tensor? attention_bias, "
      "Tensor? attention_packed, Tensor attention_norm_weight, Tensor attention_norm_bias, float "
      "attention_norm_eps, Tensor inner_weight, Tensor? inner_bias, Tensor? inner_packed, str activation, "
      "Tensor output_weight, Tensor? output_bias, Tensor? output_packed, Tensor output_norm_weight, Tensor "
      "output_norm_bias, float output_norm_eps) -> ()");
  // grad_sum is the gradient of input and of residual alike.
  r.def(
      "_add_layer_norm_backward(Tensor grad_output, Tensor input, Tensor? residual, Tensor weight, float "
      "eps) -> "
      "(Tensor grad_sum, Tensor grad_weight, Tensor grad_bias)");

  // The same of hidden_dropout(input, probability, seed) in place of the input, in one pass, and its
  // gradients.
  r.def(
      "_dropout_add_layer_norm(Tensor input, Tensor? residual, Tensor weight, Tensor bias, float eps, float "
      "probability, int seed) -> Tensor");
  r.def(
      "_dropout_add_layer_norm_backward(Tensor grad_output, Tensor input, Tensor? residual, Tensor weight, "
      "float eps, float probability, int seed) -> (Tensor grad_input, Tensor grad_residual, Tensor "
      "grad_weight, Tensor grad_bias)");
  // The same with the sum that is normalized written over the input, for a backward that needs it alone. Of
  // 16 bits that sum is rounded, so that it is for 32 and 64 bits.
  r.def(
      "_dropout_add_layer_norm_over(Tensor(a!) input, Tensor residual, Tensor weight, Tensor bias, float "
      "eps, float probability, int seed) -> Tensor");
  r.def(
      "_dropout_add_layer_norm_over_backward(Tensor grad_output, Tensor sum, Tensor weight, float eps, float "
      "probability, int seed) -> (Tensor grad_input, Tensor grad_residual, Tensor grad_weight, Tensor "
      "grad_bias)");

  // LayerNorm(word_scale * word + position + type) for N tokens -> [N, C]. Each of the three is a row of a
  // table [rows, C]: row ids[n] with ids int64 [N], without ids row n modulo the table's rows (a table of N
  // rows then holds the tokens' vectors themselves). types may be left out. The rows word_padding and
  // position_padding get no gradient; -1: all do. An id that is no row is an error, on a CUDA device a row of
  // NaN.
  r.def(
      "embed(Tensor words, Tensor? word_ids, Tensor positions, Tensor? position_ids, Tensor? types, "
      "Tensor? type_ids, Tensor weight, Tensor bias, float eps, *, float word_scale=1.0, "
      "int word_padding=-1, int position_padding=-1) -> Tensor");
  // grad_types is undefined without types; the padding rows get zeros.
  r.def(
      "_embed_backward(Tensor grad_output, Tensor words, Tensor? word_ids, Tensor positions, Tensor? "
      "position_ids, "
      "Tensor? types, Tensor? type_ids, Tensor weight, Tensor bias, float eps, float word_scale, int "
      "word_padding, "
      "int position_padding) -> (Tensor grad_words, Tensor grad_positions, Tensor grad_types, Tensor "
      "grad_weight, "
      "Tensor grad_bias)");

  // The same with the words' gradient added to one that exists: then grad_words is undefined.
  r.def(
      "_embed_backward_into(Tensor grad_output, Tensor words, Tensor? word_ids, Tensor positions, Tensor? "
      "position_ids, Tensor? types, Tensor? type_ids, Tensor weight, Tensor bias, float eps, float "
      "word_scale, int word_padding, int position_padding, Tensor(a!) to_words) -> (Tensor grad_words, "
      "Tensor "
      "grad_positions, Tensor grad_types, Tensor grad_weight, Tensor grad_bias)");

  // One step of token-by-token decoding: R queries [R, H, D] of several documents, rows[d] of them in a row
  // looking at the keys and values [L, H, D] of document d, of which each is read once for all of these.
  //   mask   empty, or for each document uint8 or bool [L] or [rows[d], L], nonzero = visible, or nothing at
  //          all (no elements): all visible. A query that may see nothing gives the mean of all values.
  //   scale  of query . key, default 1/sqrt(D)
  // -> [R, H, D]
  r.def(
      "decode_attention(Tensor query, Tensor[] key, Tensor[] value, int[] rows, Tensor[] mask, "
      "float? scale=None) -> Tensor");

  // Queries [N, H, D] of sequences, each over all visible keys [M, H, D] of its sequence; mask [M]. A query
  // that may see nothing gives zeros. On a CPU.
  r.def(
      "_dense_attention(Tensor query, Tensor key, Tensor value, Tensor? mask, int[] query_offsets, int[] "
      "key_offsets, float scale, float dropout, int seed) -> (Tensor output, Tensor logsumexp)");
  r.def(
      "_dense_attention_backward(Tensor grad_output, Tensor query, Tensor key, Tensor value, Tensor output, "
      "Tensor logsumexp, Tensor? mask, int[] query_offsets, int[] key_offsets, float scale, float dropout, "
      "int seed) -> (Tensor, Tensor, Tensor)");

  // Measures independent chains of float32 multiply-adds on all of libtorch's threads, in GFLOP/s: the peak
  // that benchmarks are compared with.
  r.def("_multiply_add_peak() -> float");
  // Whether the kernels multiply bfloat16 by instructions of their own.
  r.def("_multiplies_bfloat16() -> bool");
}

}  // namespace longformer
