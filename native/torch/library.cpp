#include "../base/library.h"

#include <map>

#include "../base/allocator.h"
#include "../base/registry.h"
#include "internal.h"

namespace longformer::torch {
namespace {

struct HeldList {
  ListHandle handle;
  ~HeldList() { torch_delete_list(handle); }
};
struct HeldString {
  StringHandle handle;
  ~HeldString() { torch_delete_string(handle); }
};

}  // namespace

Value new_cell(Value content) {
  auto* cell = static_cast<Value*>(libtorch_allocate(sizeof(Value)));
  *cell = content;
  return value_of(cell);
}

Value take_cell(Value cell) {
  auto* memory = as<Value*>(cell);
  const Value content = *memory;
  libtorch_free(memory);
  return content;
}

Value new_list(const Value* values, size_t n) {
  ListHandle list = nullptr;
  LONGFORMER_TORCH(torch_new_list_reserve_size(n, &list));
  for (size_t i = 0; i < n; ++i) LONGFORMER_TORCH(torch_list_push_back(list, values[i]));
  return value_of(list);
}

std::vector<Value> take_list(Value list) {
  const HeldList held{as<ListHandle>(list)};
  size_t n = 0;
  LONGFORMER_TORCH(torch_list_size(held.handle, &n));
  std::vector<Value> values(n);
  for (size_t i = 0; i < n; ++i) LONGFORMER_TORCH(torch_list_get_item(held.handle, i, &values[i]));
  return values;
}

Value new_string(std::string_view text) {
  StringHandle handle = nullptr;
  LONGFORMER_TORCH(torch_new_string_handle(text.data(), text.size(), &handle));
  return value_of(handle);
}

std::string take_string(Value string) {
  const HeldString held{as<StringHandle>(string)};
  size_t n = 0;
  const char* data = nullptr;
  LONGFORMER_TORCH(torch_string_length(held.handle, &n));
  LONGFORMER_TORCH(torch_string_c_str(held.handle, &data));
  return {data, n};
}

Value new_tensor_value(const Tensor& t) {
  TensorHandle handle = nullptr;
  if (t.defined())
    LONGFORMER_TORCH(aoti_torch_new_tensor_handle(t.handle(), &handle));
  else
    LONGFORMER_TORCH(aoti_torch_new_uninitialized_tensor(&handle));
  return value_of(handle);
}

Integers Integers::from_stack(Value value) {
  Integers result;
  for (const Value v : take_list(value)) result.owned.push_back(as<int64_t>(v));
  result.list = result.owned;
  return result;
}

Value result_value(const TensorList& tensors) {
  std::vector<Value> values;
  for (const Tensor& t : tensors) values.push_back(new_tensor_value(t));
  return new_list(values.data(), values.size());
}

Value argument_value(IntList list) {
  std::vector<Value> values;
  for (const int64_t x : list) values.push_back(value_of(x));
  return new_list(values.data(), values.size());
}

Value argument_value(const std::vector<OptionalTensor>& tensors) {
  std::vector<Value> values;
  for (const OptionalTensor& t : tensors) values.push_back(argument_value(t));
  return new_list(values.data(), values.size());
}

void call_dispatcher(const char* name, const char* overload, Value* stack) {
  check(torch_call_dispatcher(name, overload, stack, kInterface), name);
}

namespace {

// Functions of at::autocast, which the C interface lacks. Null where libtorch exports them under other names.
struct Autocast {
  bool (*is_enabled)(int8_t device) = reinterpret_cast<bool (*)(int8_t)>(
      find_function("_ZN2at8autocast19is_autocast_enabledEN3c1010DeviceTypeE"));
  void (*set_enabled)(int8_t device, bool) = reinterpret_cast<void (*)(int8_t, bool)>(
      find_function("_ZN2at8autocast20set_autocast_enabledEN3c1010DeviceTypeEb"));
};
const Autocast& autocast() {
  static const Autocast functions;
  return functions;
}

}  // namespace

PlainMode::PlainMode() : gradients_(aoti_torch_grad_mode_is_enabled()), autocast_{} {
  if (gradients_) aoti_torch_grad_mode_set_enabled(false);
  if (autocast().is_enabled == nullptr || autocast().set_enabled == nullptr) return;
  for (int8_t device = 0; device < 2; ++device) {
    autocast_[device] = autocast().is_enabled(device);
    if (autocast_[device]) autocast().set_enabled(device, false);
  }
}

PlainMode::~PlainMode() {
  if (gradients_) aoti_torch_grad_mode_set_enabled(true);
  for (int8_t device = 0; device < 2; ++device)
    if (autocast_[device]) autocast().set_enabled(device, true);
}

void refuse_if_forked() {
  if (is_forked())
    throw ForkedError(
        "this process was forked from one that had used the operators of Longformer, and their threads did "
        "not come along: start it by "
        "spawn or forkserver instead");
}

void enter_kernel() {
  refuse_if_forked();
  mark_used();
  apply_threads();
}

void register_all() {
  // The library object is never freed: operators stay registered as long as the process lives.
  LibraryHandle library = nullptr;
  if (aoti_torch_library_init_def("longformer", __FILE__, __LINE__, &library) != 0) {
    // Another copy of this library has registered them. Direct calls still go to this copy.
    const std::string words = take_error_words();
    if (words.find("Only a single TORCH_LIBRARY") != std::string::npos) return;
    throw TorchError(words);
  }
  for (const std::string& schema : operators().schemas)
    LONGFORMER_TORCH(aoti_torch_library_def(library, schema.c_str()));
  const char* const keys[] = {"CPU", "CUDA", "Meta"};
  LibraryHandle libraries[3], no_device = nullptr;
  for (int key = 0; key < 3; ++key)
    LONGFORMER_TORCH(
        aoti_torch_library_init_impl("longformer", keys[key], __FILE__, __LINE__, &libraries[key]));
  // For operators without a tensor, which have no device.
  LONGFORMER_TORCH(aoti_torch_library_init_impl("longformer", "CompositeExplicitAutograd", __FILE__, __LINE__,
                                                &no_device));
  for (const auto& [name, op] : operators().by_name) {
    for (int key = 0; key < 3; ++key) {
      const Kernel& kernel = op.kernels[key];
      if (kernel.boxed != nullptr)
        LONGFORMER_TORCH(torch_library_impl(kernel.arguments > 0 ? libraries[key] : no_device, name.c_str(),
                                            kernel.boxed, kInterface));
    }
  }
}

}  // namespace longformer::torch
