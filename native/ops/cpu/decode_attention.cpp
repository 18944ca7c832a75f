// longformer::decode_attention on a CPU. The keys of a document are cut into chunks of one size, whatever the
// number of threads, so that results do not depend on it; the results of the chunks are merged at the end.
#include "../decode_attention.h"

#include <algorithm>
#include <cstring>

#include "../../base/library.h"
#include "driver.h"
#include "few_rows_problem.h"
#include "parts.h"
#include "shares.h"

namespace longformer {

using namespace cpu;

namespace {

// Keys of a chunk: of a long document as many as make a chunk's result cheap, of the decoder's own tokens so
// few that there is something for every thread.
int64_t chunk_keys(int64_t keys) {
  return std::clamp<int64_t>(keys / 8 / kDecodeTokens * kDecodeTokens, 4 * kDecodeTokens, 16 * kDecodeTokens);
}
int64_t chunks_of(const DecodeProblem& p) {
  const int64_t keys = chunk_keys(p.keys);
  return (p.keys + keys - 1) / keys;
}

// Parts from which on merging is work for all threads.
constexpr int64_t kManyParts = 8;

struct Unit {
  size_t document;
  int64_t chunk;
  int64_t part;  // where its results begin, in elements of the compute type
};

int64_t part_elements(const DecodeProblem& p) {
  return 2 * p.columns + p.rows * p.heads * p.padded_dim;
}

// [rows][heads][padded_dim] of contiguous [rows][heads][dim].
template <typename S>
void scale_queries(const DecodeProblem& p, const S* query, double factor, S* to) {
  for (int64_t i = 0; i < p.rows * p.heads; ++i) {
    for (int64_t d = 0; d < p.dim; ++d) to[i * p.padded_dim + d] = query[i * p.dim + d] * S(factor);
    for (int64_t d = p.dim; d < p.padded_dim; ++d) to[i * p.padded_dim + d] = 0;
  }
}

// The parts of a document into contiguous [rows][heads][dim].
template <typename S>
void merge(const DecodeProblem& p, const S* results, S* out) {
  const int64_t parts = chunks_of(p), contexts = p.rows * p.heads;
  const auto some = [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i)
      merge_row(results, part_elements(p), parts, p.columns, i % p.heads * p.rows + i / p.heads, i,
                p.padded_dim, p.dim, out + i * p.dim);
  };
  if (parts < kManyParts)
    some(0, contexts);
  else
    parallel_for(0, contexts, 1, some);
}

template <typename S>
void attend(const DecodeAttention& a, const Tensor& query, const Tensor& out) {
  std::vector<DecodeProblem> problems(a.documents.size());
  TensorList kept;
  std::vector<Unit> units;
  std::vector<int64_t> first_part(a.documents.size());
  const double factor = a.scale * 1.4426950408889634;
  int64_t elements = 0, query_elements = 0;
  for (size_t i = 0; i < problems.size(); ++i) {
    const DecodeDocument& d = a.documents[i];
    DecodeProblem& p = problems[i];
    p.rows = d.rows;
    if (p.rows == 0) continue;
    const auto last_contiguous = [](const Tensor& t) {
      return t.stride(2) == 1 || t.size(2) == 1 ? t : t.contiguous();
    };
    kept.push_back(last_contiguous(d.key));
    kept.push_back(last_contiguous(d.value));
    p.key = rows_of(kept[kept.size() - 2]);
    p.value = rows_of(kept[kept.size() - 1]);
    p.element = element_of(d.key);
    p.keys = d.key.size(0);
    p.heads = d.key.size(1);
    p.dim = d.key.size(2);
    p.padded_dim = (p.dim + 15) / 16 * 16;
    p.columns = (p.rows * p.heads + 15) / 16 * 16;
    if (d.mask.defined()) {
      kept.push_back(d.mask.contiguous());
      p.mask = static_cast<const uint8_t*>(kept.back().data_ptr());
      p.mask_stride = kept.back().size(0) == 1 ? 0 : p.keys;
    }
    first_part[i] = elements;
    for (int64_t chunk = 0; chunk < chunks_of(p); ++chunk, elements += part_elements(p))
      units.push_back({i, chunk, elements});
    query_elements += p.rows * p.heads * p.padded_dim;
  }
  if (units.empty()) return;
  const Tensor memory = empty({elements + query_elements + 16}, out.options());
  S* const results = static_cast<S*>(memory.data_ptr());
  S* queries = results + elements;
  const S* const given = static_cast<const S*>(query.data_ptr());
  size_t scratch = 0;
  for (size_t i = 0; i < problems.size(); ++i) {
    DecodeProblem& p = problems[i];
    if (p.rows == 0) continue;
    p.query = queries;
    scale_queries(p, given + a.documents[i].first * p.heads * p.dim, factor, queries);
    queries += p.rows * p.heads * p.padded_dim;
    scratch = std::max(scratch, decode_scratch(p));
  }
  const auto kernel = few_rows_kernels(active_isa())->attend[sizeof(S) == 8 ? 1 : 0];
  for_each_in_shares(static_cast<int64_t>(units.size()), [&](int64_t i) {
    const Unit& u = units[static_cast<size_t>(i)];
    const DecodeProblem& p = problems[u.document];
    const int64_t keys = chunk_keys(p.keys);
    kernel(p, u.chunk * keys, std::min(p.keys, (u.chunk + 1) * keys), part_at(results + u.part, p.columns),
           thread_scratch(scratch * sizeof(S)));
  });
  for (size_t i = 0; i < problems.size(); ++i) {
    const DecodeProblem& p = problems[i];
    if (p.rows == 0) continue;
    merge(p, results + first_part[i],
          static_cast<S*>(out.data_ptr()) + a.documents[i].first * p.heads * p.dim);
  }
}

Tensor decode_attention(const Tensor& query, const TensorList& key, const TensorList& value, IntList rows,
                        const TensorList& mask, std::optional<double> scale) {
  const DecodeAttention a = check_decode_attention(query, key, value, rows, mask, scale);
  const auto type = query.scalar_type() == kDouble ? kDouble : kFloat;
  const Tensor q = query.to(type).contiguous();
  const Tensor out = empty(query.sizes(), q.options());
  if (out.numel() == 0) return out.to(query.scalar_type());
  if (type == kDouble)
    attend<double>(a, q, out);
  else
    attend<float>(a, q, out);
  return out.to(query.scalar_type());
}

}  // namespace

LONGFORMER_REGISTER(r) {
  r.impl<decode_attention>(torch::Key::cpu, "decode_attention");
}

}  // namespace longformer
