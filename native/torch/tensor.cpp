#include "../base/tensor.h"

#include <cstring>

#include "../base/library.h"
#include "memory.h"

namespace longformer {

using namespace torch;

// --- references

Tensor Tensor::own(TensorHandle handle) {
  Tensor t(handle, true);
  bool is = false;
  if (handle != nullptr) LONGFORMER_TORCH(aoti_torch_is_defined(handle, &is));
  return is ? t : Tensor();
}

Tensor Tensor::borrow(TensorHandle handle) {
  return Tensor(handle, false);
}

Tensor::Tensor(const Tensor& other) {
  if (other.handle_ == nullptr) return;
  LONGFORMER_TORCH(aoti_torch_new_tensor_handle(other.handle_, &handle_));
  owned_ = true;
}

Tensor::Tensor(Tensor&& other) noexcept
    : handle_(std::exchange(other.handle_, nullptr)), owned_(std::exchange(other.owned_, false)) {}

Tensor& Tensor::operator=(const Tensor& other) {
  if (this != &other) *this = Tensor(other);
  return *this;
}

Tensor& Tensor::operator=(Tensor&& other) noexcept {
  std::swap(handle_, other.handle_);
  std::swap(owned_, other.owned_);
  return *this;
}

Tensor::~Tensor() {
  if (owned_) aoti_torch_delete_tensor_object(handle_);
}

TensorHandle Tensor::release() {
  if (handle_ != nullptr && !owned_) return Tensor(*this).release();
  owned_ = false;
  return std::exchange(handle_, nullptr);
}

// --- properties

namespace {

template <class T>
T property(TensorHandle handle, Error (*function)(TensorHandle, T*), const char* name) {
  T result{};
  if (handle == nullptr) throw ValueError("longformer: a tensor was expected, given none");
  check(function(handle, &result), name);
  return result;
}
#define PROPERTY(type, name) property<type>(handle_, name, #name)

}  // namespace

int64_t Tensor::dim() const {
  return PROPERTY(int64_t, aoti_torch_get_dim);
}
int64_t Tensor::numel() const {
  return PROPERTY(int64_t, aoti_torch_get_numel);
}
IntList Tensor::sizes() const {
  return {PROPERTY(int64_t*, aoti_torch_get_sizes), static_cast<size_t>(dim())};
}
IntList Tensor::strides() const {
  return {PROPERTY(int64_t*, aoti_torch_get_strides), static_cast<size_t>(dim())};
}
int64_t Tensor::size(int64_t dimension) const {
  const IntList all = sizes();
  return all[wrapped_dimension(dimension, static_cast<int64_t>(all.size()))];
}
int64_t Tensor::stride(int64_t dimension) const {
  const IntList all = strides();
  return all[wrapped_dimension(dimension, static_cast<int64_t>(all.size()))];
}
ScalarType Tensor::scalar_type() const {
  return static_cast<ScalarType>(PROPERTY(int32_t, aoti_torch_get_dtype));
}
Device Tensor::device() const {
  const auto type = static_cast<DeviceType>(PROPERTY(int32_t, aoti_torch_get_device_type));
  if (type == DeviceType::cpu) return {};
  return {type, PROPERTY(int32_t, aoti_torch_get_device_index)};
}
bool Tensor::is_strided() const {
  return PROPERTY(int32_t, aoti_torch_get_layout) == aoti_torch_layout_strided();
}
bool Tensor::is_contiguous() const {
  return PROPERTY(bool, aoti_torch_is_contiguous);
}
int64_t Tensor::storage_offset() const {
  return PROPERTY(int64_t, aoti_torch_get_storage_offset);
}
void* Tensor::data_ptr() const {
  return PROPERTY(void*, aoti_torch_get_data_ptr);
}

bool Tensor::is_same(const Tensor& other) const {
  if (!defined() || !other.defined()) return defined() == other.defined();
  return data_ptr() == other.data_ptr() && sizes() == other.sizes() && strides() == other.strides() &&
         scalar_type() == other.scalar_type() && device() == other.device();
}

Tensor Tensor::view_at(IntList sizes, IntList strides, int64_t first) const {
  TensorHandle view = nullptr;
  LONGFORMER_TORCH(aoti_torch__reinterpret_tensor(handle_, static_cast<int64_t>(sizes.size()), sizes.data(),
                                                  strides.data(), first, &view));
  return own(view);
}

Tensor Tensor::as_strided(IntList sizes, IntList strides, int64_t offset) const {
  return view_at(sizes, strides, offset - storage_offset());
}

// --- copies

Tensor Tensor::contiguous() const {
  if (is_contiguous()) return *this;
  Tensor copy = longformer::empty(sizes(), options());
  copy.copy_(*this);
  return copy;
}

Tensor Tensor::clone() const {
  TensorHandle copy = nullptr;
  LONGFORMER_TORCH(aoti_torch_clone(handle_, &copy));
  return own(copy);
}

Tensor Tensor::to(ScalarType type) const {
  if (scalar_type() == type) return *this;
  Tensor copy = longformer::empty(sizes(), {type, device()});
  copy.copy_(*this);
  return copy;
}

Tensor Tensor::to(Device where) const {
  if (device() == where) return *this;
  Tensor copy = longformer::empty(sizes(), {scalar_type(), where});
  copy.copy_(*this);
  return copy;
}

const Tensor& Tensor::copy_(const Tensor& source) const {
  LONGFORMER_TORCH(aoti_torch_copy_(handle_, source.handle_, 0));
  return *this;
}

const Tensor& Tensor::zero_() const {
  LONGFORMER_TORCH(aoti_torch_zero_(handle_));
  return *this;
}

const Tensor& Tensor::fill_(double value) const {
  LONGFORMER_TORCH(aoti_torch_aten_fill__Scalar(handle_, value));
  return *this;
}

// --- new ones

Tensor empty(IntList sizes, TensorOptions options) {
  if (options.where.type == DeviceType::cpu) {
    Tensor big = empty_from_cache(sizes, options.type);
    if (big.defined()) return big;
  }
  // Strides live no longer than the call, so the usual few are kept on the stack.
  int64_t few[8];
  std::vector<int64_t> many;
  if (sizes.size() > 8) many.resize(sizes.size());
  int64_t* const strides = sizes.size() > 8 ? many.data() : few;
  row_major_strides(sizes, strides);
  TensorHandle handle = nullptr;
  LONGFORMER_TORCH(
      aoti_torch_empty_strided(static_cast<int64_t>(sizes.size()), sizes.data(), strides,
                               static_cast<int32_t>(options.type), static_cast<int32_t>(options.where.type),
                               options.where.type == DeviceType::cuda ? options.where.index : 0, &handle));
  return Tensor::own(handle);
}

Tensor empty_like(const Tensor& t) {
  return empty(t.sizes(), t.options());
}

Tensor zeros(IntList sizes, TensorOptions options) {
  Tensor t = empty(sizes, options);
  t.zero_();
  return t;
}

Tensor zeros_like(const Tensor& t) {
  return zeros(t.sizes(), t.options());
}

Tensor ones(IntList sizes, TensorOptions options) {
  return full(sizes, 1, options);
}

Tensor full(IntList sizes, double value, TensorOptions options) {
  Tensor t = empty(sizes, options);
  t.fill_(value);
  return t;
}

Tensor arange(int64_t begin, int64_t end, Device device) {
  // A sum over ones counts on the device, without a copy.
  if (device.type != DeviceType::cpu)
    return call("aten::cumsum", "", ones({std::max<int64_t>(end - begin, 0)}, {kLong, device}), int64_t{0},
                std::nullopt)
        .add(begin - 1);
  std::vector<int64_t> values;
  values.reserve(static_cast<size_t>(std::max<int64_t>(end - begin, 0)));
  for (int64_t i = begin; i < end; ++i) values.push_back(i);
  return from_values(values, device);
}

Tensor from_values(const std::vector<int64_t>& values, Device device) {
  const Tensor t = empty({static_cast<int64_t>(values.size())}, kLong);
  if (!values.empty()) std::memcpy(t.data_ptr(), values.data(), values.size() * sizeof(int64_t));
  return t.to(device);
}

Tensor scalar(double value) {
  TensorHandle handle = nullptr;
  LONGFORMER_TORCH(aoti_torch_scalar_to_tensor_float64(value, &handle));
  return Tensor::own(handle);
}

Tensor scalar(int64_t value) {
  TensorHandle handle = nullptr;
  LONGFORMER_TORCH(aoti_torch_scalar_to_tensor_int64(value, &handle));
  return Tensor::own(handle);
}

}  // namespace longformer
