// The parameters that the host passes to the kernels by value. Read by the C++ compiler and by NVRTC, which
// has no standard headers: plain types only, pointers to device memory, strides in elements.
//
// Tokens of all sequences are behind each other, N in all. Within a (sequence, head), the tokens of one
// residue class modulo the dilation form an undilated problem; class coordinate a means token begin +
// residue + a * dilation.
#pragma once

namespace longformer::cuda {

struct Rows {  // a [N, H, D] tensor whose last dimension is contiguous
  const void* data;
  int token_stride, head_stride;
};

struct BandedParameters {
  Rows q, k, v;
  int sequences, heads, dim;
  int length;            // of every sequence where offsets is null
  const int* offsets;    // [S+1] or null
  int tiles;             // blocks of a (sequence, head) in the grid, enough for its longest
  const int* dilations;  // [H] or null: `dilation` for all
  int dilation;
  int window_left, window_right;
  // 0: not visible, 1: visible, 3: visible and global. Null: all 1 (a kernel compiled without flags).
  const unsigned char* flags;  // [N]
  int globals;                 // G, 0: none
  const int* global_token;     // [S, G] visible global tokens in N, the first global_count[s] of each
  const int* global_count;     // [S]
  float scale_log2;            // scale * log2(e); its magnitude in the forward pass, see `flip`
  unsigned flip;               // the sign bits of a register of queries where the scale is negative
  float scale;
  unsigned long long seed, drop_below;  // dropout: kept where the mixer's upper 53 bits reach drop_below
  float keep_scale;                     // 1 / (1 - p)
  void* out;                            // forward: [N, H, D] contiguous
  float* lse;                           // [N, H]: written forward, read backward
  // Backward only. delta [N, H] is written by the query kernel, which runs first, and read by the key
  // kernels.
  Rows grad_out, saved_out;
  float* delta;
  void *grad_q, *grad_k, *grad_v;  // [N, H, D] contiguous
  // Gradients of global keys: every block sums the queries of one chunk of the sequence into
  // partial[chunk][2][S, G, H, padded dim]; then the chunks are summed.
  int chunks, chunk_length;
  float* partial;
  // Relative positions (relative.cuh): q has the content bias in it, q_position the position bias.
  Rows q_position, relative;            // [N, H, D]; [P, H, D]
  int relative_rows, relative_zero;     // P; the row of distance 0
  void *grad_position, *grad_relative;  // like q_position and relative, contiguous
  // Gradients of the table: a block takes so many distances (in steps of the dilation) from `lowest` on and
  // one chunk of the blocks of queries, chunk_length of them; partial is [chunks][distances][H][padded
  // dim].
  int lowest, distances;
};

struct IntegerParameters {  // a kernel's own parameters are the way from the host that needs no waiting
  static constexpr int most = 960;
  int* to;
  int count;
  int values[most];
};

struct GlobalsParameters {
  const long long* index;  // [S, G], -1: none
  int sequences, globals, length;
  const int* offsets;    // [S+1] or null
  unsigned char* flags;  // [N], 0 or 1 before
  int *token, *count;    // [S, G], [S]
};

struct NormParameters {
  const void *input, *residual, *weight, *bias;  // residual may be null
  void* output;
  int rows, columns;
  float eps;
};

struct ActivationParameters {
  const void *input, *gradient;  // gradient: null in the forward pass
  void* output;
  long long count;
};

struct TableRows {  // a row of a table for each token: row ids[n], without ids row n % rows
  const void* table;
  const long long* ids;  // [N] or null
  int rows;
};

struct EmbedParameters {
  TableRows words, positions, types;  // types.table may be null
  const void *weight, *bias;
  void* output;  // [N, C] contiguous
  int tokens, columns;
  float eps, word_scale;
};

struct DecodeEntry {        // up to kDecodeRows queries of a document, and what they look at
  const void *key, *value;  // [keys, H, D]
  long long key_token, key_head, value_token, value_head;  // strides
  const unsigned char* mask;                               // of the first query, or null
  int mask_stride;                                         // to the next query's; 0: one for all
  int keys, first, rows;                                   // queries first .. first + rows
  int first_chunk;  // its chunks of kDecodeKeys keys are numbered behind those of the entries before
};

constexpr int kDecodeRows = 4, kDecodeKeys = 128;

struct DecodeParameters {
  static constexpr int most = 36;
  DecodeEntry entries[most];
  int count;
  const void* query;  // [R, H, D] contiguous
  void* out;          // likewise
  int heads, dim;
  float scale_log2;
  float* partial;  // [chunks][kDecodeRows][H][2 + D]: maximum (of log2), sum, and the values' weighted sum
};

// Pooling of every sequence's visible tokens for R queries: softmax(queries . hidden) . hidden. A block takes
// kPoolRows queries and one chunk of a sequence's tokens; chunks are numbered through all sequences.
constexpr int kPoolRows = 16, kPoolMostTokens = 8192;   // of a chunk
constexpr int kPoolThreads = 256, kMergeColumns = 128;  // of a block; merging, a column for each thread

struct PoolParameters {
  const float* queries;       // [S, R, C] contiguous
  Rows hidden;                // [N, C]: head_stride 0
  const unsigned char* mask;  // [N] or null
  int sequences, rows, columns;
  int row_tiles;           // R / kPoolRows, rounded up
  int chunk_length;        // a multiple of 32
  int length, chunks;      // of every sequence where the two lists are null
  const int* offsets;      // [S+1] or null
  const int* first_chunk;  // [S+1] or null
  int padded;              // C rounded up, as the kernel was compiled
  float* sums;             // [chunks of all][R][padded]: weighted sums of tokens
  float* states;           // [chunks of all][R][2]: largest score times log2(e), sum of the weights
  float* out;              // [S, R, C] contiguous
};

}  // namespace longformer::cuda
