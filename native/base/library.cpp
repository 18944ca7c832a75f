#include "library.h"

#include "registry.h"

namespace longformer::torch {

void wrong_tag(const longformer_value& value, const char* expected) {
  throw ValueError(
      text("longformer: an argument must be ", expected, ", given something of the kind ", value.tag));
}

// The n elements at the value's pointer.
template <class T>
const T* elements_of(const longformer_value& value) {
  LONGFORMER_CHECK_VALUE(value.n >= 0 && (value.n == 0 || value.data.pointer != nullptr),
                         "longformer: an argument of ", value.n, " elements points at ", value.data.pointer);
  return static_cast<const T*>(value.data.pointer);
}

TensorList borrow_list(const longformer_value& value) {
  if (value.tag != LONGFORMER_TENSOR_LIST) wrong_tag(value, "a list of tensors");
  TensorList tensors;
  const TensorHandle* handles = elements_of<TensorHandle>(value);
  for (int32_t i = 0; i < value.n; ++i) tensors.push_back(Tensor::borrow(handles[i]));
  return tensors;
}

Integers Integers::from_call(const longformer_value& value) {
  if (value.tag != LONGFORMER_INT_LIST) wrong_tag(value, "a list of integers");
  Integers result;
  result.list = {elements_of<int64_t>(value), static_cast<size_t>(value.n)};
  return result;
}

std::string_view borrow_words(const longformer_value& value) {
  if (value.tag != LONGFORMER_STRING) wrong_tag(value, "a string");
  return {elements_of<char>(value), static_cast<size_t>(value.n)};
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

void Registry::def(std::string schema) {
  operators().schemas.push_back(std::move(schema));
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
