// Operators of libtorch, called by name. Numbers are passed as tensors without dimensions, since the
// dispatcher of libtorch 2.10 takes no Scalars. Text is never passed: 2.10 does not free it.
#include <algorithm>
#include <cmath>

#include "../base/library.h"

namespace longformer {

using torch::call;

namespace {

// A number as an operand of t: an integer where t holds integers, so that the result does too.
Tensor operand(const Tensor& t, double number) {
  if (!t.is_floating_point() && number == std::floor(number) && std::abs(number) < 0x1p62)
    return scalar(static_cast<int64_t>(number));
  return scalar(number);
}

// Keeps the type of t, which a wider number would change where t has no dimensions.
Tensor like(const Tensor& t, const Tensor& result) {
  return t.is_floating_point() ? result.to(t.scalar_type()) : result;
}

// Returns a + b for sign 1, a - b for -1. The interface's subtraction takes a float, which integers refuse.
Tensor sum_of(const Tensor& a, const Tensor& b, int64_t sign) {
  if (a.is_floating_point() || b.is_floating_point()) {
    torch::TensorHandle result = nullptr;
    LONGFORMER_TORCH(
        torch::aoti_torch_aten_subtract_Tensor(a.handle(), b.handle(), static_cast<double>(-sign), &result));
    return Tensor::own(result);
  }
  std::vector<int64_t> shape(std::max(a.sizes().size(), b.sizes().size()), 1);
  for (const Tensor* t : {&a, &b}) {
    const IntList sizes = t->sizes();
    const size_t before = shape.size() - sizes.size();
    for (size_t i = 0; i < sizes.size(); ++i)
      if (shape[before + i] == 1) shape[before + i] = sizes[i];
  }
  // Multiplying moves a number to the other's device; copying it would wait for the device.
  const Device where = a.is_cpu() ? b.device() : a.device();
  const auto wide = [&](const Tensor& t) {
    const Tensor l = t.to(kLong);
    return (l.device() == where || l.dim() > 0 ? l : ones({}, {kLong, where}).mul(l)).expand(shape);
  };
  return stack({wide(a), sign < 0 ? wide(b.neg()) : wide(b)}).sum(0);
}

Tensor unary(const char* name, const Tensor& t) {
  return call(name, "", t);
}
Tensor binary(const char* name, const Tensor& a, const Tensor& b) {
  return call(name, "Tensor", a, b);
}

}  // namespace

// --- arithmetic

Tensor Tensor::add(const Tensor& other) const {
  return sum_of(*this, other, 1);
}
Tensor Tensor::sub(const Tensor& other) const {
  return sum_of(*this, other, -1);
}
Tensor Tensor::mul(const Tensor& other) const {
  return binary("aten::mul", *this, other);
}
Tensor Tensor::div(const Tensor& other) const {
  return binary("aten::div", *this, other);
}
Tensor Tensor::add(double number) const {
  return like(*this, sum_of(*this, operand(*this, number), 1));
}
Tensor Tensor::mul(double number) const {
  return like(*this, mul(operand(*this, number)));
}
Tensor Tensor::add(int64_t number) const {
  return like(*this, sum_of(*this, scalar(number), 1));
}
Tensor Tensor::mul(int64_t number) const {
  return like(*this, mul(scalar(number)));
}
Tensor Tensor::remainder(int64_t number) const {
  return binary("aten::remainder", *this, scalar(number));
}
Tensor Tensor::neg() const {
  return unary("aten::neg", *this);
}
const Tensor& Tensor::mul_(const Tensor& other) const {
  call("aten::mul_", "Tensor", *this, other);
  return *this;
}
const Tensor& Tensor::mul_(double number) const {
  return mul_(operand(*this, number));
}
const Tensor& Tensor::mul_(int64_t number) const {
  return mul_(scalar(number));
}
const Tensor& Tensor::div_(double number) const {
  call("aten::div_", "Tensor", *this, scalar(number));
  return *this;
}
const Tensor& Tensor::exp_() const {
  call("aten::exp_", "", *this);
  return *this;
}
Tensor Tensor::exp() const {
  return unary("aten::exp", *this);
}
Tensor Tensor::tanh() const {
  return unary("aten::tanh", *this);
}
Tensor Tensor::relu() const {
  return unary("aten::relu", *this);
}
Tensor Tensor::sigmoid() const {
  return unary("aten::sigmoid", *this);
}
Tensor Tensor::erf() const {
  return unary("aten::erf", *this);
}
Tensor Tensor::rsqrt() const {
  return unary("aten::rsqrt", *this);
}
Tensor Tensor::clamp_min(int64_t lowest) const {
  return call("aten::clamp_min", "Tensor", *this, scalar(lowest));
}
Tensor Tensor::bitwise_and(int64_t bits) const {
  return binary("aten::bitwise_and", *this, scalar(bits));
}
const Tensor& Tensor::bitwise_and_(int64_t bits) const {
  call("aten::bitwise_and_", "Tensor", *this, scalar(bits));
  return *this;
}
const Tensor& Tensor::bitwise_xor_(const Tensor& other) const {
  call("aten::bitwise_xor_", "Tensor", *this, other);
  return *this;
}
Tensor Tensor::bitwise_right_shift(int64_t bits) const {
  return binary("aten::bitwise_right_shift", *this, scalar(bits));
}

// --- comparison, logic

Tensor Tensor::eq(double number) const {
  return binary("aten::eq", *this, operand(*this, number));
}
Tensor Tensor::ne(double number) const {
  return binary("aten::ne", *this, operand(*this, number));
}
Tensor Tensor::lt(double number) const {
  return binary("aten::lt", *this, operand(*this, number));
}
Tensor Tensor::le(double number) const {
  return binary("aten::le", *this, operand(*this, number));
}
Tensor Tensor::gt(double number) const {
  return binary("aten::gt", *this, operand(*this, number));
}
Tensor Tensor::ge(double number) const {
  return binary("aten::ge", *this, operand(*this, number));
}
Tensor Tensor::eq(const Tensor& other) const {
  return binary("aten::eq", *this, other);
}
Tensor Tensor::logical_and(const Tensor& other) const {
  return call("aten::logical_and", "", *this, other);
}
Tensor Tensor::logical_or(const Tensor& other) const {
  return call("aten::logical_or", "", *this, other);
}
Tensor Tensor::logical_not() const {
  return unary("aten::logical_not", *this);
}
const Tensor& Tensor::logical_not_() const {
  call("aten::logical_not_", "", *this);
  return *this;
}
const Tensor& Tensor::logical_and_(const Tensor& other) const {
  call("aten::logical_and_", "", *this, other);
  return *this;
}
const Tensor& Tensor::logical_or_(const Tensor& other) const {
  call("aten::logical_or_", "", *this, other);
  return *this;
}
Tensor Tensor::any(int64_t dimension) const {
  return call("aten::any", "dim", *this, dimension, false);
}
Tensor Tensor::isnan() const {
  return unary("aten::isnan", *this);
}

// --- selection

Tensor Tensor::masked_fill(const Tensor& mask, double value) const {
  return call("aten::masked_fill", "Tensor", *this, mask, operand(*this, value));
}
const Tensor& Tensor::masked_fill_(const Tensor& mask, double value) const {
  call("aten::masked_fill_", "Tensor", *this, mask, operand(*this, value));
  return *this;
}
Tensor Tensor::index_select(int64_t dimension, const Tensor& index) const {
  return call("aten::index_select", "", *this, dimension, index);
}
void Tensor::index_select_into(int64_t dimension, const Tensor& index, const Tensor& out) const {
  call("aten::index_select", "out", *this, dimension, index, out);
}
Tensor Tensor::gather(int64_t dimension, const Tensor& index) const {
  return call("aten::gather", "", *this, dimension, index, false);
}
const Tensor& Tensor::index_copy_(int64_t dimension, const Tensor& index, const Tensor& source) const {
  call("aten::index_copy_", "", *this, dimension, index, source);
  return *this;
}
const Tensor& Tensor::index_fill_(int64_t dimension, const Tensor& index, double value) const {
  call("aten::index_fill_", "int_Tensor", *this, dimension, index, operand(*this, value));
  return *this;
}
const Tensor& Tensor::index_add_rows_(const Tensor& index, const Tensor& source) const {
  call("aten::index_put_", "", *this, std::vector<OptionalTensor>{index}, source, true);
  return *this;
}

// --- reductions

Tensor Tensor::sum() const {
  return call("aten::sum", "", *this, std::nullopt);
}
Tensor Tensor::sum(IntList dimensions, bool keep) const {
  return call("aten::sum", "dim_IntList", *this, OptionalIntList(dimensions), keep, std::nullopt);
}
Tensor Tensor::max() const {
  return unary("aten::max", *this);
}
Tensor Tensor::abs() const {
  return unary("aten::abs", *this);
}
Tensor Tensor::softmax(int64_t dimension) const {
  return call("aten::_softmax", "", *this, dimension, false);
}
Tensor Tensor::logsumexp(int64_t dimension, bool keep) const {
  return call("aten::logsumexp", "", *this, IntList(&dimension, 1), keep);
}

// --- functions of several tensors

Tensor matmul(const Tensor& a, const Tensor& b) {
  return call("aten::matmul", "", a, b);
}
Tensor cat(const TensorList& tensors, int64_t dimension) {
  return call("aten::cat", "", tensors, dimension);
}
Tensor stack(const TensorList& tensors, int64_t dimension) {
  return call("aten::stack", "", tensors, dimension);
}
Tensor pad(const Tensor& t, IntList pad, double value) {
  torch::TensorHandle result = nullptr;
  LONGFORMER_TORCH(torch::aoti_torch_aten_pad(t.handle(), pad.data(), static_cast<int64_t>(pad.size()),
                                              "constant", &value, &result));
  return Tensor::own(result);
}
Tensor linear(const Tensor& input, const Tensor& weight, const Tensor& bias) {
  return call("aten::linear", "", input, weight, bias.defined() ? OptionalTensor(bias) : std::nullopt);
}
Tensor embedding(const Tensor& table, const Tensor& rows) {
  return call("aten::embedding", "", table, rows, int64_t{-1}, false, false);
}
Tensor where(const Tensor& condition, const Tensor& a, const Tensor& b) {
  return call("aten::where", "self", condition, a, b);
}
Tensor layer_norm(const Tensor& input, const Tensor& weight, const Tensor& bias, double eps) {
  const auto optional = [](const Tensor& t) { return t.defined() ? OptionalTensor(t) : std::nullopt; };
  return call("aten::layer_norm", "", input, weight.sizes(), optional(weight), optional(bias), eps, false);
}

}  // namespace longformer
