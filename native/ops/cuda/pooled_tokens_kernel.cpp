#include "pooled_tokens_kernel.h"

#include <algorithm>

#include "banded_attention_kernel.h"
#include "kernels/parameters.h"
#include "upload.h"

namespace longformer::cuda {
namespace {

constexpr int64_t kFewestTokens = 64;  // of a chunk: less would be lost in the sums that it leaves behind

int64_t padded_columns(int type, int64_t columns) {
  const int64_t step = type == 0 ? 256 : 128;
  return (columns + step - 1) / step * step;
}

// Tokens of a chunk: so many that there are about two blocks for each multiprocessor.
int64_t chunk_length(int64_t tokens, int64_t row_tiles, int multiprocessors) {
  const int64_t chunks = std::max<int64_t>(int64_t{2} * multiprocessors / row_tiles, 1);
  const int64_t length = (tokens + chunks - 1) / chunks;
  return std::clamp<int64_t>((length + 31) / 32 * 32, kFewestTokens, kPoolMostTokens);
}

bool rows_aligned(const Tensor& t) {
  return reinterpret_cast<uintptr_t>(t.data_ptr()) % 16 == 0 && t.stride(0) * t.element_size() % 16 == 0 &&
         t.size(1) * t.element_size() % 16 == 0;
}

}  // namespace

bool pool_serves(const Tensor& queries, const Tensor& hidden) {
  const auto type = hidden.scalar_type();
  return queries.scalar_type() == kFloat && (type == kFloat || type == kBFloat16 || type == kHalf) &&
         queries.size(2) <= kMostPoolColumns && hidden.size(0) < (int64_t{1} << 30) &&
         queries.size(0) * queries.size(1) < (int64_t{1} << 31);
}

size_t pool_shared_bytes(int type, int64_t columns) {
  const size_t padded = static_cast<size_t>(padded_columns(type, columns)), stages = padded <= 896 ? 3 : 2;
  const size_t tile = type == 0 ? 8 : 16, scores = 4 * kPoolRows * tile;
  return stages * 32 * padded + 8 * scores + scores + 4 * kPoolRows * (1 + 8) + kPoolMostTokens / 8;
}

KernelText pool_text(int type, int64_t columns, bool aligned) {
  return {"pool.cu",
          {{"LF_TYPE", std::to_string(type)},
           {"LF_DIM", std::to_string(padded_columns(type, columns))},
           {"LF_ALIGNED", aligned ? "1" : "0"}}};
}

Tensor pool_tokens(const Tensor& queries, const Tensor& hidden, const Tensor& mask, IntList offsets,
                   Launcher& launcher) {
  if (queries.numel() == 0 || hidden.size(0) == 0) return zeros_like(queries);
  const int type = type_of(hidden);
  const bool in_rows =
      (hidden.stride(1) == 1 || hidden.size(1) == 1) && hidden.stride(0) < (int64_t{1} << 31);
  const Tensor q = queries.contiguous(), h = in_rows ? hidden : hidden.contiguous();
  const Tensor out = empty(q.sizes(), q.options());
  PoolParameters p = {};
  p.queries = launcher.reads<float>(q, "queries");
  p.hidden = {launcher.reads(h, "hidden"), static_cast<int>(h.stride(0)), 0};
  Tensor visible;
  if (mask.defined()) {
    const bool bytes = mask.scalar_type() == kBool || mask.scalar_type() == kByte;
    visible = bytes ? mask.contiguous() : mask.ne(0);
    p.mask = launcher.reads<uint8_t>(visible, "mask");
  }
  p.sequences = static_cast<int>(q.size(0));
  p.rows = static_cast<int>(q.size(1));
  p.columns = static_cast<int>(q.size(2));
  p.padded = static_cast<int>(padded_columns(type, p.columns));
  p.row_tiles = (p.rows + kPoolRows - 1) / kPoolRows;
  p.chunk_length = static_cast<int>(chunk_length(hidden.size(0), p.row_tiles, launcher.multiprocessors()));
  p.length = static_cast<int>(offsets[1] - offsets[0]);
  bool equal = true;
  std::vector<int64_t> first_chunk = {0};
  for (size_t s = 0; s + 1 < offsets.size(); ++s) {
    const int64_t length = offsets[s + 1] - offsets[s];
    equal = equal && length == p.length;
    first_chunk.push_back(first_chunk.back() + (length + p.chunk_length - 1) / p.chunk_length);
  }
  const int64_t chunks = first_chunk.back(), blocks = chunks * p.row_tiles;
  LONGFORMER_CHECK(blocks < (int64_t{1} << 31), "longformer::_pooled_tokens: ", chunks, " chunks of ",
                   p.row_tiles, " blocks are more than CUDA's 2147483647");
  p.chunks = (p.length + p.chunk_length - 1) / p.chunk_length;
  Tensor offsets_there, first_there;
  if (!equal) {
    offsets_there = upload(launcher, offsets.vec(), hidden, "offsets");
    first_there = upload(launcher, first_chunk, hidden, "first_chunk");
    p.offsets = launcher.reads<int>(offsets_there, "offsets");
    p.first_chunk = launcher.reads<int>(first_there, "first_chunk");
  }
  const Tensor sums = empty({chunks, p.rows, p.padded}, q.options()),
               states = empty({chunks, p.rows, 2}, q.options());
  p.sums = launcher.writes<float>(sums, "sums");
  p.states = launcher.writes<float>(states, "states");
  p.out = launcher.writes<float>(out, "out");
  launcher.launch(pool_text(type, p.columns, rows_aligned(h)),
                  {static_cast<unsigned>(blocks), 1, kPoolThreads, pool_shared_bytes(type, p.columns)}, p);
  launcher.launch({"merge_pools.cu", {}},
                  {static_cast<unsigned>(p.sequences * p.rows),
                   static_cast<unsigned>((p.columns + kMergeColumns - 1) / kMergeColumns), kMergeColumns, 0},
                  p);
  return out;
}

}  // namespace longformer::cuda
