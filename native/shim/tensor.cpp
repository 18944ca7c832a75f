// Tensors as handles: references, what they are, views of caller memory, gradients.
#include <ATen/ops/from_blob.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <atomic>
#include <vector>

#include "internal.h"

namespace lf_shim {
namespace {

std::atomic<int64_t> live_tensors{0};

// Runs the caller's release callback exactly once, whatever happens on the way to libtorch.
struct BlobRelease {
  void (*release)(void*);
  void* context;
  static void run(void* self) {
    auto* blob = static_cast<BlobRelease*>(self);
    if (blob->release) blob->release(blob->context);
    delete blob;
  }
};

std::vector<at::Tensor> borrow_all(const lf_shim_tensor* tensors, int32_t n, const char* what,
                                   bool may_be_null) {
  if (n < 0)
    throw Error(LF_SHIM_ARGUMENT,
                std::string("the number of ") + what + " is negative: " + std::to_string(n));
  if (n > 0) required(tensors, what);
  std::vector<at::Tensor> result;
  result.reserve(n);
  for (int32_t i = 0; i < n; ++i)
    result.push_back(tensors[i] || !may_be_null ? borrow(tensors[i], what) : at::Tensor());
  return result;
}

}  // namespace

lf_shim_tensor hand_out(at::Tensor tensor) noexcept {
  if (!tensor.defined()) return nullptr;
  live_tensors.fetch_add(1, std::memory_order_relaxed);
  return reinterpret_cast<lf_shim_tensor>(tensor.unsafeReleaseTensorImpl());
}

}  // namespace lf_shim

using namespace lf_shim;

lf_shim_status lf_shim_tensor_adopt(lf_shim_tensor tensor, int32_t retain) {
  return guarded([&] {
    at::Tensor held = borrow(tensor);
    if (retain) held.unsafeReleaseTensorImpl();  // the reference just taken becomes the caller's
    live_tensors.fetch_add(1, std::memory_order_relaxed);
  });
}

lf_shim_status lf_shim_tensor_release(lf_shim_tensor tensor) {
  return guarded([&] {
    if (!tensor) return;
    live_tensors.fetch_sub(1, std::memory_order_relaxed);
    c10::intrusive_ptr<c10::TensorImpl, c10::UndefinedTensorImpl>::reclaim(
        reinterpret_cast<c10::TensorImpl*>(tensor));
  });
}

lf_shim_status lf_shim_tensor_count(int64_t* count) {
  return guarded([&] { *required(count, "count") = live_tensors.load(std::memory_order_relaxed); });
}

lf_shim_status lf_shim_tensor_describe(lf_shim_tensor tensor, lf_shim_tensor_info* info) {
  return guarded([&] {
    required(info, "info");
    const at::Tensor t = borrow(tensor);
    const c10::Device device = t.device();
    info->data = t.has_storage() && device.type() != c10::DeviceType::Meta ? t.data_ptr() : nullptr;
    info->elements = t.numel();
    info->element_size = static_cast<int32_t>(t.element_size());
    info->dtype = static_cast<int32_t>(t.scalar_type());
    info->device_type = static_cast<int32_t>(device.type());
    info->device_index = device.index();
    info->rank = static_cast<int32_t>(t.dim());
    info->flags = (t.is_contiguous() ? LF_SHIM_CONTIGUOUS : 0) |
                  (t.requires_grad() ? LF_SHIM_REQUIRES_GRAD : 0) | (t.is_leaf() ? LF_SHIM_LEAF : 0) |
                  (t.is_inference() ? LF_SHIM_INFERENCE : 0);
  });
}

lf_shim_status lf_shim_tensor_shape(lf_shim_tensor tensor, int64_t* sizes, int64_t* strides,
                                    int32_t capacity) {
  return guarded([&] {
    const at::Tensor t = borrow(tensor);
    const int64_t n = std::min<int64_t>(t.dim(), capacity);
    for (int64_t d = 0; d < n; ++d) {
      if (sizes) sizes[d] = t.sizes()[d];
      if (strides) strides[d] = t.strides()[d];
    }
  });
}

lf_shim_status lf_shim_tensor_from_blob(void* data, const int64_t* sizes, const int64_t* strides,
                                        int32_t rank, int32_t dtype, int32_t device_type,
                                        int32_t device_index, void (*release)(void* context), void* context,
                                        lf_shim_tensor* result) {
  BlobRelease* blob = new (std::nothrow) BlobRelease{release, context};
  if (!blob) {
    if (release) release(context);
    return fail(LF_SHIM_OUT_OF_MEMORY, "out of memory");
  }
  std::unique_ptr<void, void (*)(void*)> owner(blob, BlobRelease::run);
  return guarded([&] {
    required(result, "result");
    if (rank < 0 || rank > 64)
      throw Error(LF_SHIM_ARGUMENT, "a tensor has 0 to 64 dimensions, given " + std::to_string(rank));
    if (rank > 0) required(sizes, "sizes");
    int64_t elements = 1;
    for (int32_t d = 0; d < rank; ++d) {
      if (sizes[d] < 0)
        throw Error(LF_SHIM_ARGUMENT, "size " + std::to_string(sizes[d]) + " of dimension " +
                                          std::to_string(d) + " is negative");
      if (__builtin_mul_overflow(elements, sizes[d], &elements))
        throw Error(LF_SHIM_ARGUMENT, "the number of elements does not fit in 64 bits");
      if (strides && strides[d] < 0)
        throw Error(LF_SHIM_ARGUMENT, "stride " + std::to_string(strides[d]) + " of dimension " +
                                          std::to_string(d) + " is negative");
    }
    if (!data && elements > 0) throw Error(LF_SHIM_ARGUMENT, "data is null but the shape has elements");
    const c10::ScalarType scalar_type = checked_dtype(dtype);
    if (!data) {  // nothing to view: libtorch takes a null pointer for an error
      *result = hand_out(at::from_blob(&live_tensors, at::IntArrayRef(sizes, rank), at::dtype(scalar_type)));
      return;
    }
    const c10::Device device = checked_device(device_type, device_index);
    auto maker = at::for_blob(data, at::IntArrayRef(sizes, rank));
    if (strides) maker.strides(at::IntArrayRef(strides, rank));
    *result = hand_out(maker.context(owner.release(), BlobRelease::run)
                           .options(at::dtype(scalar_type).device(device))
                           .target_device(device)
                           .make_tensor());
  });
}

lf_shim_status lf_shim_tensor_set_requires_grad(lf_shim_tensor tensor, int32_t requires_grad) {
  return guarded([&] { borrow(tensor).set_requires_grad(requires_grad != 0); });
}

lf_shim_status lf_shim_tensor_grad(lf_shim_tensor tensor, lf_shim_tensor* grad) {
  return guarded([&] {
    required(grad, "grad");
    const at::Tensor t = borrow(tensor);
    *grad = hand_out(t.is_leaf() ? t.grad() : at::Tensor());
  });
}

lf_shim_status lf_shim_tensor_set_grad(lf_shim_tensor tensor, lf_shim_tensor grad) {
  return guarded([&] {
    const at::Tensor t = borrow(tensor), g = grad ? borrow(grad) : at::Tensor();
    if (g.defined() &&
        (!g.sizes().equals(t.sizes()) || g.scalar_type() != t.scalar_type() || g.device() != t.device()))
      throw Error(LF_SHIM_ARGUMENT, "a gradient has the shape, dtype and device of its tensor");
    t.mutable_grad() = g;
  });
}

lf_shim_status lf_shim_autograd(const lf_shim_tensor* outputs, const lf_shim_tensor* gradients, int32_t n,
                                const lf_shim_tensor* inputs, int32_t n_inputs, int32_t flags,
                                lf_shim_tensor* inputs_gradients) {
  return guarded([&] {
    apply_thread_count();
    const auto roots = borrow_all(outputs, n, "outputs", false);
    const auto seeds = gradients ? borrow_all(gradients, n, "gradients", true) : std::vector<at::Tensor>();
    const auto leaves = borrow_all(inputs, n_inputs, "inputs", false);
    const bool create = flags & LF_SHIM_CREATE_GRAPH, retain = create || (flags & LF_SHIM_RETAIN_GRAPH);
    if (leaves.empty()) {
      torch::autograd::backward(roots, seeds, retain, create);
      return;
    }
    required(inputs_gradients, "inputs_gradients");
    auto result =
        torch::autograd::grad(roots, leaves, seeds, retain, create, (flags & LF_SHIM_ALLOW_UNUSED) != 0);
    for (size_t i = 0; i < result.size(); ++i) inputs_gradients[i] = hand_out(std::move(result[i]));
  });
}
