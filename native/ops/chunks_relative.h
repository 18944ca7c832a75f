// Relative positions in chunks.cpp. For the heads of one dilation the keys of a window are at the same
// distances from every query, so the queries of a block are multiplied with one row for each slot of the
// window, [block, slots], and the product is moved into the columns of the keys, [block, span] with
// span = slots + block - 1: slot c of query t belongs to key t + c, a diagonal band, seen as a rectangle by a
// row stride that is one longer or shorter.
#pragma once
#include "operators.h"

namespace longformer {

class RelativeSlots {
 public:
  RelativeSlots(const BandedAttention& a, const Tensor& head_index, int64_t dilation, int64_t left,
                int64_t right)
      : head_index_(head_index), slots_(left + 1 + right) {
    const Device on_device = a.q.device();
    // Slot c is the distance (left - c) * dilation.
    rows_ = arange(slots_, on_device) * (-dilation) + (a.relative_zero + left * dilation);
    table_ = a.relative.index_select(0, rows_)
                 .index_select(1, head_index)
                 .to(compute_type(a.q))
                 .transpose(0, 1)
                 .contiguous();  // [h, slots, D]
    content_bias_ = bias(a, a.content_bias);
    position_bias_ = bias(a, a.position_bias);
  }

  // [S, h, d, n, block, D] with the bias for the keys, and with the one for the distances.
  Tensor for_keys(const Tensor& q) const { return content_bias_.defined() ? q + content_bias_ : q; }
  Tensor for_distances(const Tensor& q) const { return position_bias_.defined() ? q + position_bias_ : q; }

  // Added to the scores for distances: [S, h, d, n, block, slots + block - 1], not scaled. Anything outside
  // the band.
  Tensor scores(const Tensor& q) const {
    const Tensor of_slot = matmul(for_distances(q), table().transpose(4, 5));
    const int64_t block = of_slot.size(4), span = slots_ + block - 1;
    const Tensor padded = pad(of_slot, {0, block});  // rows of span + 1
    auto sizes = padded.sizes().vec(), strides = padded.strides().vec();
    sizes[5] = span;
    strides[4] = span;
    return padded.as_strided(sizes, strides, 0);
  }

  // Adds what the gradients of the scores, with the scale, mean for the table and its bias, and returns the
  // gradient of the queries.
  Tensor add_gradients(const Tensor& grad_score, const Tensor& q, const BandedBackward& grad) const {
    const Tensor dense = grad_score.contiguous();
    auto sizes = dense.sizes().vec(), strides = dense.strides().vec();
    sizes[5] = slots_;
    strides[4] += 1;
    const Tensor of_slot = dense.as_strided(sizes, strides, dense.storage_offset()).contiguous();
    const Tensor table_part =
        matmul(of_slot.transpose(4, 5), for_distances(q)).sum(IntList({0, 2, 3}));  // [h, slots, D]
    const Tensor rows =
        zeros({slots_, grad.grad_relative.size(1), grad.grad_relative.size(2)}, grad.grad_relative.options());
    rows.index_copy_(1, head_index_, table_part.transpose(0, 1));
    grad.grad_relative.index_add_rows_(rows_, rows);
    const Tensor grad_q = matmul(of_slot, table());
    add_bias_gradient(grad.grad_position_bias, grad_q);
    return grad_q;
  }
  // Adds the sum over all queries to the rows of the group's heads in [H, D].
  void add_bias_gradient(const Tensor& to, const Tensor& grad_q) const {
    to.index_add_rows_(head_index_, grad_q.sum(IntList({0, 2, 3, 4})));
  }

 private:
  Tensor table() const { return table_.unsqueeze(1).unsqueeze(1).unsqueeze(0); }  // [1, h, 1, 1, slots, D]
  Tensor bias(const BandedAttention& a, const Tensor& given) const {
    if (!given.defined()) return {};
    return given.index_select(0, head_index_)
        .to(compute_type(a.q))
        .view({1, head_index_.size(0), 1, 1, 1, given.size(1)});
  }

  Tensor head_index_, rows_;  // int64 [h] and [slots]
  Tensor table_, content_bias_, position_bias_;
  int64_t slots_;
};

}  // namespace longformer
