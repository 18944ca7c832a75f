#include "decode_attention_kernel.h"

#include <algorithm>

#include "banded_attention_kernel.h"
#include "configuration.h"
#include "kernels/parameters.h"

namespace longformer::cuda {
namespace {

Tensor rows_in_one_piece(const Tensor& t) {
  return t.stride(2) == 1 || t.size(2) == 1 ? t : t.contiguous();
}

bool rows_aligned(const Tensor& t) {
  const auto fits = [&](int64_t elements) { return elements * t.element_size() % 16 == 0; };
  return reinterpret_cast<uintptr_t>(t.data_ptr()) % 16 == 0 && fits(t.stride(0)) && fits(t.stride(1)) &&
         fits(t.size(2));
}

}  // namespace

bool serves(const DecodeAttention& a) {
  const auto type = a.query.scalar_type();
  bool few = true;
  for (const DecodeDocument& d : a.documents) few = few && d.key.size(0) < (int64_t{1} << 30);
  return few && (type == kFloat || type == kBFloat16 || type == kHalf) && a.query.size(2) <= kLargestDim &&
         a.query.size(1) < 65536;
}

KernelText decode_text(const char* kernel, int type, bool aligned) {
  return {"decode.cu",
          {{"LF_TYPE", std::to_string(type)}, {"LF_ALIGNED", aligned ? "1" : "0"}, {"LF_KERNEL", kernel}}};
}

Tensor decode_attention(const DecodeAttention& a, Launcher& launcher) {
  const Tensor query = a.query.contiguous();
  const Tensor out = empty(query.sizes(), query.options());
  if (out.numel() == 0) return out;
  DecodeParameters p = {};
  p.query = launcher.reads(query, "query");
  p.out = launcher.writes(out, "out");
  p.heads = static_cast<int>(query.size(1));
  p.dim = static_cast<int>(query.size(2));
  p.scale_log2 = static_cast<float>(a.scale * 1.4426950408889634);
  int chunks = 0;
  bool aligned = true;
  std::vector<Tensor> kept;  // until the launch
  const auto run = [&] {
    if (p.count == 0) return;
    const Tensor partial = empty({chunks, kDecodeRows, p.heads, p.dim + 2}, query.options().dtype(kFloat));
    p.partial = launcher.writes<float>(partial, "partial");
    const unsigned heads = static_cast<unsigned>(p.heads);
    const size_t shared = 4 * kDecodeRows * (static_cast<size_t>(p.dim) * 5 + kDecodeKeys);
    launcher.launch(decode_text("decode_attend", type_of(query), aligned),
                    {static_cast<unsigned>(chunks), heads, 128, shared}, p);
    launcher.launch(decode_text("decode_merge", type_of(query), true),
                    {static_cast<unsigned>(p.count * kDecodeRows), heads, 128, 0}, p);
    p.count = chunks = 0;
    aligned = true;
    kept.clear();
  };
  for (const DecodeDocument& d : a.documents) {
    const Tensor key = rows_in_one_piece(d.key), value = rows_in_one_piece(d.value),
                 mask = d.mask.defined() ? d.mask.contiguous() : Tensor();
    for (int64_t row = 0; row < d.rows; row += kDecodeRows) {
      DecodeEntry& e = p.entries[p.count++];
      e = {};
      e.key = launcher.reads(key, "key");
      e.value = launcher.reads(value, "value");
      e.key_token = key.stride(0);
      e.key_head = key.stride(1);
      e.value_token = value.stride(0);
      e.value_head = value.stride(1);
      e.keys = static_cast<int>(key.size(0));
      if (mask.defined()) {
        e.mask_stride = mask.size(0) == 1 ? 0 : e.keys;
        e.mask = launcher.reads<unsigned char>(mask, "mask") + row * e.mask_stride;
      }
      e.first = static_cast<int>(d.first + row);
      e.rows = static_cast<int>(std::min<int64_t>(kDecodeRows, d.rows - row));
      e.first_chunk = chunks;
      chunks += (e.keys + kDecodeKeys - 1) / kDecodeKeys;
      aligned = aligned && rows_aligned(key) && rows_aligned(value);
      kept.insert(kept.end(), {key, value, mask});
      if (p.count == DecodeParameters::most) run();
    }
  }
  run();
  return out;
}

}  // namespace longformer::cuda
