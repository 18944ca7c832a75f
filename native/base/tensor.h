// A tensor of libtorch with the methods that the operators use. Names and meanings are ATen's. Views are made
// from sizes and strides; every other method calls libtorch once. Nothing records gradients.
#pragma once
#include <cstdint>
#include <initializer_list>
#include <iosfwd>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include "../torch/interface.h"
#include "error.h"

namespace longformer {

// The numbers of c10::ScalarType.
enum class ScalarType : int32_t {
  uint8 = 0,
  int8 = 1,
  int16 = 2,
  int32 = 3,
  int64 = 4,
  float16 = 5,
  float32 = 6,
  float64 = 7,
  boolean = 11,
  bfloat16 = 15
};
constexpr ScalarType kByte = ScalarType::uint8, kChar = ScalarType::int8, kShort = ScalarType::int16,
                     kInt = ScalarType::int32, kLong = ScalarType::int64, kHalf = ScalarType::float16,
                     kFloat = ScalarType::float32, kDouble = ScalarType::float64, kBool = ScalarType::boolean,
                     kBFloat16 = ScalarType::bfloat16;
int64_t element_size(ScalarType type);
bool is_floating(ScalarType type);
std::ostream& operator<<(std::ostream& to, ScalarType type);  // "Float" or "Long", as libtorch writes them

// The numbers of c10::DeviceType.
enum class DeviceType : int32_t { cpu = 0, cuda = 1, meta = 14 };
struct Device {
  DeviceType type = DeviceType::cpu;
  int32_t index = -1;  // -1 on the CPU
  bool operator==(const Device& other) const { return type == other.type && index == other.index; }
  bool operator!=(const Device& other) const { return !(*this == other); }
};
std::ostream& operator<<(std::ostream& to, const Device& device);  // "cpu", "cuda:0"

// A view of integers that the caller owns: sizes, strides, dimensions, offsets.
class IntList {
 public:
  IntList() = default;
  IntList(const int64_t* data, size_t size) : data_(data), size_(size) {}
  IntList(const std::vector<int64_t>& v) : data_(v.data()), size_(v.size()) {}  // NOLINT: meant to convert
  IntList(std::initializer_list<int64_t> v)
      : data_(v.begin()), size_(v.size()) {}  // NOLINT: for arguments of a call only
  const int64_t* begin() const { return data_; }
  const int64_t* end() const { return data_ + size_; }
  const int64_t* data() const { return data_; }
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  int64_t operator[](size_t i) const { return data_[i]; }
  int64_t front() const { return data_[0]; }
  int64_t back() const { return data_[size_ - 1]; }
  IntList slice(size_t first, size_t count) const { return {data_ + first, count}; }
  IntList slice(size_t first) const { return {data_ + first, size_ - first}; }
  std::vector<int64_t> vec() const { return {begin(), end()}; }
  bool operator==(const IntList& other) const;
  bool operator!=(const IntList& other) const { return !(*this == other); }

 private:
  const int64_t* data_ = nullptr;
  size_t size_ = 0;
};
std::ostream& operator<<(std::ostream& to, const IntList& list);  // "[2, 3]"
using OptionalIntList = std::optional<IntList>;

struct TensorOptions {
  ScalarType type = kFloat;
  Device where;
  TensorOptions() = default;
  TensorOptions(ScalarType t, Device d = {}) : type(t), where(d) {}  // NOLINT: meant to convert
  TensorOptions dtype(ScalarType t) const { return {t, where}; }
  TensorOptions device(Device d) const { return {type, d}; }
};

class Tensor {
 public:
  Tensor() = default;  // undefined
  // Takes over a handle that the caller owns.
  static Tensor own(torch::TensorHandle handle);
  // Uses a handle that the caller keeps. A copy of the result holds its own reference.
  static Tensor borrow(torch::TensorHandle handle);
  Tensor(const Tensor& other);
  Tensor(Tensor&& other) noexcept;
  Tensor& operator=(const Tensor& other);
  Tensor& operator=(Tensor&& other) noexcept;
  ~Tensor();

  bool defined() const { return handle_ != nullptr; }
  torch::TensorHandle handle() const { return handle_; }
  // Returns the reference, which the caller then owns; a new one where it was borrowed; null where undefined.
  torch::TensorHandle release();

  int64_t dim() const;
  int64_t numel() const;
  IntList sizes() const;  // valid as long as the tensor
  IntList strides() const;
  int64_t size(int64_t dimension) const;  // negative: from the end
  int64_t stride(int64_t dimension) const;
  ScalarType scalar_type() const;
  Device device() const;
  bool is_cpu() const { return device().type == DeviceType::cpu; }
  bool is_cuda() const { return device().type == DeviceType::cuda; }
  bool is_meta() const { return device().type == DeviceType::meta; }
  bool is_floating_point() const { return is_floating(scalar_type()); }
  bool is_strided() const;  // the dense layout
  bool is_contiguous() const;
  int64_t element_size() const { return longformer::element_size(scalar_type()); }
  int64_t nbytes() const { return numel() * element_size(); }
  int64_t storage_offset() const;
  TensorOptions options() const { return {scalar_type(), device()}; }
  void* data_ptr() const;
  template <class T>
  T* data_ptr() const {
    return static_cast<T*>(data_ptr());
  }
  // Whether both look at the same elements in the same way.
  bool is_same(const Tensor& other) const;

  // --- views
  Tensor view_at(IntList sizes, IntList strides,
                 int64_t first) const;  // first: counted from this tensor's own first element
  Tensor as_strided(IntList sizes, IntList strides, int64_t offset) const;  // offset: in the storage
  Tensor narrow(int64_t dimension, int64_t start, int64_t length) const;
  Tensor select(int64_t dimension, int64_t index) const;
  Tensor operator[](int64_t index) const { return select(0, index); }
  Tensor transpose(int64_t first, int64_t second) const;
  Tensor t() const { return transpose(0, 1); }
  Tensor permute(IntList dimensions) const;
  Tensor unsqueeze(int64_t dimension) const;
  Tensor squeeze(int64_t dimension) const;
  Tensor expand(IntList sizes) const;  // -1: as it is
  Tensor unfold(int64_t dimension, int64_t size, int64_t step) const;
  Tensor view(IntList sizes) const;     // one size may be -1; throws where the strides allow no view
  Tensor reshape(IntList sizes) const;  // a view where possible, else a copy
  Tensor flatten(int64_t first, int64_t last) const;

  // --- copies
  Tensor contiguous() const;  // itself where it is
  Tensor clone() const;
  Tensor to(ScalarType type) const;  // itself where it is of that type
  Tensor to(Device device) const;
  Tensor to(Device device, ScalarType type) const { return to(device).to(type); }
  const Tensor& copy_(const Tensor& source) const;  // converts type and device, broadcasts
  const Tensor& zero_() const;
  const Tensor& fill_(double value) const;

  // --- arithmetic; a number does not change the type, except that integers become float by a fraction
  Tensor add(const Tensor& other) const;
  Tensor sub(const Tensor& other) const;
  Tensor mul(const Tensor& other) const;
  Tensor div(const Tensor& other) const;
  Tensor add(double number) const;
  Tensor mul(double number) const;
  Tensor add(int64_t number) const;  // int64 tensors keep all 64 bits
  Tensor mul(int64_t number) const;
  Tensor remainder(int64_t number) const;
  Tensor neg() const;
  const Tensor& add_(const Tensor& other) const { return copy_(add(other)); }
  const Tensor& sub_(const Tensor& other) const { return copy_(sub(other)); }
  const Tensor& mul_(const Tensor& other) const;
  const Tensor& mul_(double number) const;
  const Tensor& mul_(int64_t number) const;
  const Tensor& div_(double number) const;
  const Tensor& exp_() const;
  Tensor exp() const;
  Tensor tanh() const;
  Tensor relu() const;
  Tensor sigmoid() const;
  Tensor erf() const;
  Tensor rsqrt() const;
  Tensor clamp_min(int64_t lowest) const;
  Tensor bitwise_and(int64_t bits) const;
  const Tensor& bitwise_and_(int64_t bits) const;
  const Tensor& bitwise_xor_(const Tensor& other) const;
  Tensor bitwise_right_shift(int64_t bits) const;

  // --- comparison, logic: bool tensors
  Tensor eq(double number) const;
  Tensor ne(double number) const;
  Tensor lt(double number) const;
  Tensor le(double number) const;
  Tensor gt(double number) const;
  Tensor ge(double number) const;
  Tensor eq(const Tensor& other) const;
  Tensor logical_and(const Tensor& other) const;
  Tensor logical_or(const Tensor& other) const;
  Tensor logical_not() const;
  const Tensor& logical_not_() const;
  const Tensor& logical_and_(const Tensor& other) const;
  const Tensor& logical_or_(const Tensor& other) const;
  Tensor any(int64_t dimension) const;
  Tensor isnan() const;

  // --- selection
  Tensor masked_fill(const Tensor& mask, double value) const;
  const Tensor& masked_fill_(const Tensor& mask, double value) const;
  Tensor index_select(int64_t dimension, const Tensor& index) const;
  // Into a tensor of the result's shape: memory of this library's, where libtorch would take malloc's.
  void index_select_into(int64_t dimension, const Tensor& index, const Tensor& out) const;
  Tensor gather(int64_t dimension, const Tensor& index) const;
  const Tensor& index_copy_(int64_t dimension, const Tensor& index, const Tensor& source) const;
  const Tensor& index_fill_(int64_t dimension, const Tensor& index, double value) const;
  // Adds rows of source to rows of dimension 0. Rows that occur twice add up.
  const Tensor& index_add_rows_(const Tensor& index, const Tensor& source) const;

  // --- reductions
  Tensor sum() const;
  Tensor sum(int64_t dimension, bool keep = false) const { return sum(IntList(&dimension, 1), keep); }
  Tensor sum(IntList dimensions, bool keep = false) const;
  Tensor max() const;
  Tensor abs() const;
  Tensor softmax(int64_t dimension) const;
  Tensor logsumexp(int64_t dimension, bool keep = false) const;

 private:
  Tensor(torch::TensorHandle handle, bool owned) : handle_(handle), owned_(owned) {}
  torch::TensorHandle handle_ = nullptr;
  bool owned_ = false;
};

inline Tensor operator+(const Tensor& a, const Tensor& b) {
  return a.add(b);
}
inline Tensor operator-(const Tensor& a, const Tensor& b) {
  return a.sub(b);
}
inline Tensor operator*(const Tensor& a, const Tensor& b) {
  return a.mul(b);
}
inline Tensor operator/(const Tensor& a, const Tensor& b) {
  return a.div(b);
}
template <class Number, class = std::enable_if_t<std::is_arithmetic_v<Number>>>
Tensor operator+(const Tensor& a, Number b) {
  return a.add(std::conditional_t<std::is_integral_v<Number>, int64_t, double>(b));
}
template <class Number, class = std::enable_if_t<std::is_arithmetic_v<Number>>>
Tensor operator*(const Tensor& a, Number b) {
  return a.mul(std::conditional_t<std::is_integral_v<Number>, int64_t, double>(b));
}
inline Tensor operator&(const Tensor& a, const Tensor& b) {
  return a.logical_and(b);
}
inline Tensor operator|(const Tensor& a, const Tensor& b) {
  return a.logical_or(b);
}
inline const Tensor& operator+=(const Tensor& a, const Tensor& b) {
  return a.add_(b);
}

using OptionalTensor = std::optional<Tensor>;
using TensorList = std::vector<Tensor>;
// Whether an optional tensor is there and defined.
inline bool given(const OptionalTensor& t) {
  return t.has_value() && t->defined();
}

// --- making tensors. Big blocks on the CPU come from a cache of blocks (memory.h).
Tensor empty(IntList sizes, TensorOptions options);  // row-major
Tensor empty_like(const Tensor& t);                  // row-major, whatever the strides of t
Tensor zeros(IntList sizes, TensorOptions options);
Tensor zeros_like(const Tensor& t);
Tensor ones(IntList sizes, TensorOptions options);
Tensor full(IntList sizes, double value, TensorOptions options);
Tensor arange(int64_t begin, int64_t end, Device device = {});  // int64
inline Tensor arange(int64_t end, Device device = {}) {
  return arange(0, end, device);
}
Tensor from_values(const std::vector<int64_t>& values, Device device = {});  // int64 [n]
Tensor scalar(double value);  // float64 on the CPU, no dimensions
Tensor scalar(int64_t value);

// Returns the dimension, counted from the end where negative. Throws IndexError where there is none.
int64_t wrapped_dimension(int64_t dimension, int64_t dimensions);
std::vector<int64_t> row_major_strides(IntList sizes);
void row_major_strides(IntList sizes, int64_t* strides);

// --- functions of several tensors
Tensor matmul(const Tensor& a, const Tensor& b);  // batches broadcast
Tensor cat(const TensorList& tensors, int64_t dimension = 0);
Tensor stack(const TensorList& tensors, int64_t dimension = 0);
Tensor pad(const Tensor& t, IntList pad,
           double value = 0);  // constant_pad_nd: from the last dimension, before and after
Tensor linear(const Tensor& input, const Tensor& weight, const Tensor& bias);  // bias may be undefined
Tensor embedding(const Tensor& table, const Tensor& rows);
Tensor where(const Tensor& condition, const Tensor& a, const Tensor& b);
Tensor layer_norm(const Tensor& input, const Tensor& weight, const Tensor& bias, double eps);

}  // namespace longformer
