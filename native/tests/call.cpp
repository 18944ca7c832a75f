#include "call.h"

namespace longformer::test {

void check_status(longformer_status status) {
  if (status == LONGFORMER_OK) return;
  const std::string words = api().last_error();
  if (status == LONGFORMER_ARGUMENT) throw ValueError(words);
  throw StatusError(status, words);
}

longformer_value& Values::push(longformer_tag tag, size_t n) {
  longformer_value value{};
  value.tag = tag;
  value.n = static_cast<int32_t>(n);
  values_.push_back(value);
  return values_.back();
}

void Values::add(const TensorList& list) {
  lists_.emplace_back();
  for (const Tensor& t : list) lists_.back().push_back(t.handle());
  push(LONGFORMER_TENSOR_LIST, list.size()).data.pointer = lists_.back().data();
}

template <>
Tensor ResultOf<Tensor>::take(const longformer_value* values) {
  if (values->tag == LONGFORMER_NONE) return {};
  LONGFORMER_CHECK(values->tag == LONGFORMER_TENSOR, "a tensor was expected, given tag ", values->tag);
  return Tensor::own(static_cast<torch::TensorHandle>(const_cast<void*>(values->data.pointer)));
}

template <>
TensorList ResultOf<TensorList>::take(const longformer_value* values) {
  LONGFORMER_CHECK(values->tag == LONGFORMER_TENSOR_LIST, "a list was expected, given tag ", values->tag);
  TensorList list;
  const auto* handles = static_cast<const torch::TensorHandle*>(values->data.pointer);
  for (int32_t i = 0; i < values->n; ++i)
    list.push_back(handles[i] != nullptr ? Tensor::own(handles[i]) : Tensor());
  return list;
}

template <>
double ResultOf<double>::take(const longformer_value* values) {
  LONGFORMER_CHECK(values->tag == LONGFORMER_DOUBLE, "a number was expected, given tag ", values->tag);
  return values->data.real;
}

template <>
int64_t ResultOf<int64_t>::take(const longformer_value* values) {
  LONGFORMER_CHECK(values->tag == LONGFORMER_INT, "an integer was expected, given tag ", values->tag);
  return values->data.integer;
}

template <>
bool ResultOf<bool>::take(const longformer_value* values) {
  LONGFORMER_CHECK(values->tag == LONGFORMER_BOOL, "a bool was expected, given tag ", values->tag);
  return values->data.integer != 0;
}

longformer_operator find_operator(const std::string& name, size_t arguments, size_t results) {
  longformer_operator op = nullptr;
  int32_t takes = -1, gives = -1;
  check_status(api().find(name.c_str(), &op, &takes, &gives));
  LONGFORMER_CHECK(takes == static_cast<int32_t>(arguments) && gives == static_cast<int32_t>(results),
                   "longformer::", name, " takes ", takes, " and gives ", gives, "; the test passes ",
                   arguments, " and expects ", results);
  return op;
}

std::string value_error(const std::function<void()>& work) {
  try {
    work();
  } catch (const ValueError& e) {
    return e.what();
  }
  return "";
}

std::string any_error(const std::function<void()>& work) {
  try {
    work();
  } catch (const torch::TorchError& e) {
    // The library, which was opened after this program's own pointers, has libtorch's words.
    return std::string(e.what()) + " " + api().torch_error();
  } catch (const std::exception& e) {
    return e.what();
  }
  return "";
}

}  // namespace longformer::test
