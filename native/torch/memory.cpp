#include "memory.h"

#include <algorithm>
#include <atomic>
#include <functional>
#include <memory>

#include "../base/block_cache.h"

#if defined(__GLIBC__)
#include <malloc.h>
#endif

namespace longformer::torch {
namespace {

constexpr size_t kSmallest = size_t{1} << 20;  // smaller tensors are left to libtorch's own allocator

// From libtorch 2.11 on; also the header's newest form.
using FromBlob = Error (*)(void* data, int64_t rank, const int64_t* sizes, const int64_t* strides, int64_t offset, int32_t dtype,
                           int32_t device, int32_t index, TensorHandle*, int32_t layout, const uint8_t* metadata, int64_t metadata_size,
                           void (*deleter)(void* data, void* context), void* context);

struct Release {
  void (*function)(void*);
  void* context;
};

#if !defined(_WIN32)
// DLPack's structs, whose layout is fixed.
struct DlTensor {
  void* data;
  int32_t device_type, device_id;  // 1: CPU, 2: CUDA
  int32_t rank;
  uint8_t code, bits;  // code: 0 signed, 1 unsigned, 2 floating, 4 bfloat16, 6 bool
  uint16_t lanes;
  int64_t *sizes, *strides;
  uint64_t byte_offset;
};
struct DlManagedTensor {
  DlTensor tensor;
  void* context;
  void (*deleter)(DlManagedTensor*);
};

// A tensor that libtorch 2.10's at::fromDLPack returns: one pointer, in memory whose address the compiler passes along, since it has a
// destructor. Made in place by new, its address is a handle, which libtorch deletes.
struct Returned {
  void* pointer;
  Returned(const Returned&) = delete;
  ~Returned() {}
};
using FromDlpack = Returned (*)(DlManagedTensor*, std::function<void(void*)> empty);

// What lives as long as the tensor.
struct Managed {
  DlManagedTensor tensor;
  std::vector<int64_t> sizes, strides;
  Release release;
};

uint8_t dlpack_code(ScalarType type) {
  if (type == kBFloat16) return 4;
  if (type == kBool) return 6;
  if (type == kByte) return 1;
  return is_floating(type) ? 2 : 0;
}

Tensor by_dlpack(FromDlpack from, void* data, IntList sizes, IntList strides, ScalarType type, Device device, Release release) {
  auto managed = std::make_unique<Managed>();
  managed->sizes = sizes.vec();
  managed->strides = strides.vec();
  managed->release = release;
  managed->tensor.tensor = {data, device.type == DeviceType::cpu ? 1 : 2, std::max(device.index, 0), static_cast<int32_t>(sizes.size()),
                            dlpack_code(type), static_cast<uint8_t>(8 * element_size(type)), 1, managed->sizes.data(),
                            managed->strides.data(), 0};
  managed->tensor.context = managed.get();
  managed->tensor.deleter = [](DlManagedTensor* self) {
    const std::unique_ptr<Managed> all(static_cast<Managed*>(self->context));
    all->release.function(all->release.context);
  };
  auto* handle = new Returned(from(&managed->tensor, {}));
  managed.release();
  return Tensor::own(reinterpret_cast<TensorHandle>(handle));
}
#endif

// Undefined where libtorch has neither function.
Tensor owned_memory(void* data, IntList sizes, IntList strides, ScalarType type, Device device, Release release) {
  static const auto from_blob = reinterpret_cast<FromBlob>(find_function("torch_from_blob"));
  if (from_blob != nullptr) {
    auto context = std::make_unique<Release>(release);
    TensorHandle handle = nullptr;
    LONGFORMER_TORCH(from_blob(
        data, static_cast<int64_t>(sizes.size()), sizes.data(), strides.data(), 0, static_cast<int32_t>(type),
        static_cast<int32_t>(device.type), device.index, &handle, aoti_torch_layout_strided(), nullptr, 0,
        [](void*, void* c) {
          const std::unique_ptr<Release> r(static_cast<Release*>(c));
          r->function(r->context);
        },
        context.get()));
    context.release();
    return Tensor::own(handle);
  }
#if !defined(_WIN32)
  static const auto from_dlpack =
      reinterpret_cast<FromDlpack>(find_function("_ZN2at10fromDLPackEP15DLManagedTensorSt8functionIFvPvEE"));
  if (from_dlpack != nullptr) return by_dlpack(from_dlpack, data, sizes, strides, type, device, release);
#endif
  return {};
}

}  // namespace

Tensor empty_from_cache(IntList sizes, ScalarType type) {
  size_t bytes = static_cast<size_t>(element_size(type));
  for (const int64_t size : sizes)
    if (size < 0 || __builtin_mul_overflow(bytes, static_cast<size_t>(size), &bytes)) return {};  // libtorch says what is wrong
  if (bytes < kSmallest || bytes > SIZE_MAX / 2) return {};
  static std::atomic<bool> possible{true};
  if (!possible.load(std::memory_order_relaxed)) return {};
  void* memory = block_cache().take(bytes);
  if (memory == nullptr) return {};
  const Release release{[](void* block) { block_cache().put(block); }, memory};
  try {
    Tensor t = owned_memory(memory, sizes, row_major_strides(sizes), type, {}, release);
    if (t.defined()) return t;
    possible = false;
  } catch (...) {
    block_cache().put(memory);
    throw;
  }
  block_cache().put(memory);
  return {};
}

Tensor from_memory(void* data, IntList sizes, IntList strides, ScalarType type, Device device, void (*release)(void* context),
                   void* context) {
  try {
    if (release != nullptr) {
      Tensor t = owned_memory(data, sizes, strides, type, device, {release, context});
      LONGFORMER_CHECK_IMPLEMENTED(t.defined(), "libtorch ", version() / 100, ".", version() % 100,
                                   " cannot give memory back to its owner here; 2.11 or later can");
      return t;
    }
    TensorHandle handle = nullptr;
    LONGFORMER_TORCH(aoti_torch_create_tensor_from_blob(data, static_cast<int64_t>(sizes.size()), sizes.data(), strides.data(), 0,
                                                        static_cast<int32_t>(type), static_cast<int32_t>(device.type),
                                                        std::max(device.index, 0), &handle));
    return Tensor::own(handle);
  } catch (...) {
    if (release != nullptr) release(context);
    throw;
  }
}

void set_up_malloc() {
#if defined(__GLIBC__)
  // The scratch memory of oneDNN does come from malloc. Up to 1 GiB a block stays in the heap, of which 2 GiB may be unused.
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, 2047 << 20);
#endif
}

}  // namespace longformer::torch
