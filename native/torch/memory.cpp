#include "memory.h"

#include <algorithm>
#include <atomic>
#include <functional>
#include <memory>
#include <utility>

#include "../base/allocator.h"
#include "../base/block_cache.h"

namespace longformer::torch {
namespace {

constexpr size_t kSmallest = size_t{256} << 10;  // smaller tensors are left to libtorch's own allocator

// torch_from_blob of libtorch 2.11 and later.
using FromBlob = Error (*)(void* data, int64_t rank, const int64_t* sizes, const int64_t* strides,
                           int64_t offset, int32_t dtype, int32_t device, int32_t index, TensorHandle*,
                           int32_t layout, const uint8_t* metadata, int64_t metadata_size,
                           void (*deleter)(void* data, void* context), void* context);

// The function that gives memory back to its owner. Runs once.
struct Release {
  void (*function)(void*);
  void* context;
  void run() {
    if (const auto call = std::exchange(function, nullptr)) call(context);
  }
};
// The object that libtorch holds. A failing call may have run it. The caller deletes it until a tensor is
// returned.
struct Handed {
  Release release;
  bool returned = false;
};
template <class AnyHanded>
void run(AnyHanded* handed) {
  handed->release.run();
  if (handed->returned) delete handed;
}

// The structs of DLPack, whose layout is fixed.
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

// The tensor that at::fromDLPack returns: one pointer. The destructor makes the compiler pass the address of
// the result. Where that is memory of libtorch's allocator, the address is a handle, which libtorch deletes.
struct Returned {
  void* pointer;
  Returned(const Returned&) = delete;
  ~Returned() {}
};
#if defined(_WIN32)
// std::function of Microsoft's library, passed by address: eight words, empty where the last is null.
struct EmptyFunction {
  alignas(16) void* words[8] = {};
  ~EmptyFunction() {}
};
constexpr char kFromDlpack[] =
    "?fromDLPack@at@@YA?AVTensor@1@PEAUDLManagedTensor@@V?$function@$$A6AXPEAX@Z@std@@@Z";
#else
using EmptyFunction = std::function<void(void*)>;
constexpr char kFromDlpack[] = "_ZN2at10fromDLPackEP15DLManagedTensorSt8functionIFvPvEE";
#endif
using FromDlpack = Returned (*)(DlManagedTensor*, EmptyFunction);

struct Managed : Handed {
  DlManagedTensor tensor;
  std::vector<int64_t> sizes, strides;
};

// DLPack's codes in the order of c10::ScalarType: 0 signed, 1 unsigned, 2 float, 4 bfloat16, 5 complex, 6
// bool, 10 and more float8. Types without elements of whole bytes have 0.
constexpr uint8_t kDlpackCodes[] = {1, 0, 0, 0, 0, 2, 2, 2, 5,  5,  5,  6,  0, 0, 0,
                                    4, 0, 0, 0, 0, 0, 0, 0, 12, 10, 13, 11, 1, 1, 1};

Tensor by_dlpack(FromDlpack from, void* data, IntList sizes, IntList strides, ScalarType type, Device device,
                 Release& release) {
  auto managed = std::make_unique<Managed>();
  managed->sizes = sizes.vec();
  managed->strides = strides.vec();
  managed->release = release;
  managed->tensor.tensor = {data,
                            device.type == DeviceType::cpu ? 1 : 2,
                            std::max(device.index, 0),
                            static_cast<int32_t>(sizes.size()),
                            kDlpackCodes[static_cast<int32_t>(type)],
                            static_cast<uint8_t>(8 * element_size(type)),
                            1,
                            managed->sizes.data(),
                            managed->strides.data(),
                            0};
  managed->tensor.context = managed.get();
  managed->tensor.deleter = [](DlManagedTensor* self) { run(static_cast<Managed*>(self->context)); };
  void* const handle = libtorch_allocate(sizeof(Returned));
  try {
    new (handle) Returned(from(&managed->tensor, {}));
  } catch (...) {
    libtorch_free(handle);
    release = managed->release;
    throw;
  }
  managed.release()->returned = true;
  return Tensor::own(static_cast<TensorHandle>(handle));
}

// Returns undefined where libtorch has neither function. On failure the caller runs `release`, which runs
// once.
Tensor owned_memory(void* data, IntList sizes, IntList strides, ScalarType type, Device device,
                    Release& release) {
  static const auto from_blob = reinterpret_cast<FromBlob>(find_function("torch_from_blob"));
  if (from_blob != nullptr) {
    auto handed = std::make_unique<Handed>(Handed{release});
    TensorHandle handle = nullptr;
    const Error error = from_blob(
        data, static_cast<int64_t>(sizes.size()), sizes.data(), strides.data(), 0, static_cast<int32_t>(type),
        static_cast<int32_t>(device.type), device.index, &handle, aoti_torch_layout_strided(), nullptr, 0,
        [](void*, void* context) { run(static_cast<Handed*>(context)); }, handed.get());
    if (error != 0) release = handed->release;
    check(error, "torch_from_blob");
    handed.release()->returned = true;
    return Tensor::own(handle);
  }
  static const auto from_dlpack = reinterpret_cast<FromDlpack>(find_function(kFromDlpack));
  if (from_dlpack != nullptr) return by_dlpack(from_dlpack, data, sizes, strides, type, device, release);
  return {};
}

}  // namespace

Tensor empty_from_cache(IntList sizes, ScalarType type) {
  size_t bytes = static_cast<size_t>(element_size(type));
  for (const int64_t size : sizes)
    if (size < 0 || __builtin_mul_overflow(bytes, static_cast<size_t>(size), &bytes))
      return {};  // libtorch reports the error
  if (bytes < kSmallest || bytes > SIZE_MAX / 2) return {};
  static std::atomic<bool> possible{true};
  if (!possible.load(std::memory_order_relaxed)) return {};
  void* memory = block_cache().take(bytes);
  if (memory == nullptr) return {};
  Release release{[](void* block) { block_cache().put(block); }, memory};
  Tensor t;
  try {
    t = owned_memory(memory, sizes, row_major_strides(sizes), type, {}, release);
  } catch (...) {
    release.run();
    throw;
  }
  if (t.defined()) return t;
  possible = false;
  release.run();
  return {};
}

Tensor from_memory(void* data, IntList sizes, IntList strides, ScalarType type, Device device,
                   void (*release)(void* context), void* context) {
  Release once{release, context};
  try {
    element_size(type);  // throws where no operator takes the type
    if (release != nullptr) {
      Tensor t = owned_memory(data, sizes, strides, type, device, once);
      LONGFORMER_CHECK_IMPLEMENTED(t.defined(), "libtorch ", version() / 100, ".", version() % 100,
                                   " cannot give memory back to its owner here; 2.11 or later can");
      return t;
    }
    TensorHandle handle = nullptr;
    LONGFORMER_TORCH(aoti_torch_create_tensor_from_blob(
        data, static_cast<int64_t>(sizes.size()), sizes.data(), strides.data(), 0, static_cast<int32_t>(type),
        static_cast<int32_t>(device.type), std::max(device.index, 0), &handle));
    return Tensor::own(handle);
  } catch (...) {
    once.run();
    throw;
  }
}

}  // namespace longformer::torch
