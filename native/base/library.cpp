#include "library.h"

#include "registry.h"

namespace longformer::torch {

void wrong_tag(const longformer_value& value, const char* expected) {
  throw ValueError(text("longformer: an argument must be ", expected, ", given something of the kind ", value.tag));
}

TensorList borrow_list(const longformer_value& value) {
  if (value.tag != LONGFORMER_TENSOR_LIST) wrong_tag(value, "a list of tensors");
  TensorList tensors;
  const auto* handles = static_cast<const TensorHandle*>(value.data.pointer);
  for (int32_t i = 0; i < value.n; ++i) tensors.push_back(Tensor::borrow(handles[i]));
  return tensors;
}

Integers Integers::from_call(const longformer_value& value) {
  if (value.tag != LONGFORMER_INT_LIST) wrong_tag(value, "a list of integers");
  Integers result;
  result.list = {static_cast<const int64_t*>(value.data.pointer), static_cast<size_t>(value.n)};
  return result;
}

void result_to_caller(TensorList&& tensors, longformer_value& result) {
  static thread_local std::vector<TensorHandle> handles;
  handles.clear();
  for (Tensor& t : tensors) handles.push_back(t.release());
  result.tag = LONGFORMER_TENSOR_LIST;
  result.n = static_cast<int32_t>(handles.size());
  result.data.pointer = handles.data();
}

Operators& operators() {
  static Operators all;
  return all;
}

void Registry::def(const char* schema) {
  operators().schemas.push_back(schema);
}

void Registry::impl(Key key, const char* name, Kernel kernel) {
  Operator& op = operators().by_name[name];
  op.name = name;
  op.kernels[static_cast<int>(key)] = kernel;
}

Registration::Registration(void (*fill)(Registry&)) {
  Registry registry;
  fill(registry);
}

}  // namespace longformer::torch
