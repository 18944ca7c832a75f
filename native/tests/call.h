// Calls of operators by name, in both ways that users have: directly (api.h, as C# does) and through
// libtorch's dispatcher (as Python does). All arguments are passed, in the order of the schema:
//   call<Tensor>("linear", input, weight, OptionalTensor(bias), OptionalTensor(), "gelu", OptionalTensor());
// A wrong kind is refused by the direct call; through the dispatcher it is a crash.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "../base/library.h"
#include "../base/tensor.h"
#include "../ops/options.h"
#include "library.h"

namespace longformer::test {

enum class Way { direct, dispatcher };

// The failures of a direct call other than LONGFORMER_ARGUMENT, which is ValueError here.
struct StatusError : std::runtime_error {
  StatusError(longformer_status s, const std::string& words) : std::runtime_error(words), status(s) {}
  longformer_status status;
};
// Throws what a status of api.h means.
void check_status(longformer_status status);

// --- arguments of a direct call

// The memory that a call's values point at, as long as the call lasts.
class Values {
 public:
  void add(const Tensor& t) {
    push(t.defined() ? LONGFORMER_TENSOR : LONGFORMER_NONE, 1).data.pointer = t.handle();
  }
  // Not a copy: its handle would be gone before the call.
  void add(const OptionalTensor& t) { given(t) ? add(*t) : none(); }
  void add(const TensorList& list);
  void add(int64_t value) { push(LONGFORMER_INT, 1).data.integer = value; }
  void add(double value) { push(LONGFORMER_DOUBLE, 1).data.real = value; }
  void add(bool value) { push(LONGFORMER_BOOL, 1).data.integer = value; }
  void add(std::string_view text) { push(LONGFORMER_STRING, text.size()).data.pointer = text.data(); }
  void add(IntList list) { push(LONGFORMER_INT_LIST, list.size()).data.pointer = list.data(); }
  template <class T>
  void add(const std::optional<T>& value) {
    value.has_value() ? add(*value) : none();
  }
  void add(std::nullopt_t) { none(); }
  const std::vector<longformer_value>& values() const { return values_; }

 private:
  void none() { push(LONGFORMER_NONE, 0).data.integer = 0; }
  longformer_value& push(longformer_tag tag, size_t n);
  std::vector<longformer_value> values_;
  std::vector<std::vector<const void*>> lists_;
};

// --- results of a direct call

template <class T>
struct ResultOf {
  static constexpr size_t count = 1;
  static T take(const longformer_value* values);
};
template <>
struct ResultOf<void> {
  static constexpr size_t count = 0;
  static void take(const longformer_value*) {}
};
template <class... T>
struct ResultOf<std::tuple<T...>> {
  static constexpr size_t count = sizeof...(T);
  static std::tuple<T...> take(const longformer_value* values) {
    return take(values, std::index_sequence_for<T...>());
  }
  template <size_t... i>
  static std::tuple<T...> take(const longformer_value* values, std::index_sequence<i...>) {
    return {ResultOf<T>::take(values + i)...};
  }
};
template <>
Tensor ResultOf<Tensor>::take(const longformer_value* values);
template <>
TensorList ResultOf<TensorList>::take(const longformer_value* values);
template <>
double ResultOf<double>::take(const longformer_value* values);
template <>
int64_t ResultOf<int64_t>::take(const longformer_value* values);
template <>
bool ResultOf<bool>::take(const longformer_value* values);

// The operator of that name and how many arguments and results it has; throws where there is none.
longformer_operator find_operator(const std::string& name, size_t arguments, size_t results);

// --- both ways

inline std::string_view as_argument(const char* text) {
  return text;
}
inline std::string_view as_argument(const std::string& text) {
  return text;
}
inline IntList as_argument(const std::vector<int64_t>& list) {
  return list;
}
inline int64_t as_argument(int value) {
  return value;
}
template <class T>
const T& as_argument(const T& value) {
  return value;
}

template <class Result>
Result call_direct(const std::string& name, const Values& arguments) {
  constexpr size_t count = ResultOf<Result>::count;
  const longformer_operator op = find_operator(name, arguments.values().size(), count);
  longformer_value results[count + 1] = {};
  check_status(
      api().call(op, arguments.values().data(), static_cast<int32_t>(arguments.values().size()), results));
  return ResultOf<Result>::take(results);
}

template <class Result, class... Arguments>
Result call_dispatcher(const std::string& name, const Arguments&... arguments) {
  const size_t dot = name.find('.');
  const std::string base = "longformer::" + name.substr(0, dot),
                    overload = dot == std::string::npos ? "" : name.substr(dot + 1);
  return torch::call<Result>(base.c_str(), overload.c_str(), as_argument(arguments)...);
}

// `name` without the namespace, "linear" or "linear.out". Through the dispatcher every error is a
// torch::TorchError, whose words api().torch_error() has; tensors and nothing are the only results there.
template <class Result = Tensor, class... Arguments>
Result call(Way way, const std::string& name, const Arguments&... arguments) {
  if constexpr (!std::is_arithmetic_v<Result> && !std::is_same_v<Result, TensorList>) {
    if (way == Way::dispatcher) return call_dispatcher<Result>(name, arguments...);
  }
  LONGFORMER_CHECK(way == Way::direct, "the result of ", name, " is no tensor: called directly only");
  Values values;
  (values.add(as_argument(arguments)), ...);
  return call_direct<Result>(name, values);
}
template <class Result = Tensor, class... Arguments>
Result call(const char* name, const Arguments&... arguments) {
  return call<Result>(Way::direct, name, arguments...);
}

// The options that operators of one kind take, in the order of the schema, behind an operator's tensors.
template <int operators, size_t... i>
auto chosen_options(const AttentionOptions& o, std::index_sequence<i...>) {
  const auto chosen = [&](auto number) {
    constexpr size_t n = decltype(number)::value;
    if constexpr (options::taken<n>(operators))
      return std::make_tuple(o.*std::get<n>(options::kTable).member);
    else
      return std::tuple<>();
  };
  return std::tuple_cat(chosen(std::integral_constant<size_t, i>())...);
}
template <class Result, int operators, class... Tensors>
Result call_with(const OptionsOf<operators>& o, Way way, const char* name, const Tensors&... tensors) {
  return std::apply([&](const auto&... all) { return call<Result>(way, name, all...); },
                    std::tuple_cat(std::tie(tensors...), chosen_options<operators>(o, options::All())));
}

// Returns the message of the ValueError that the work throws; empty where it throws nothing.
std::string value_error(const std::function<void()>& work);
// Returns the message of the exception that the work throws.
std::string any_error(const std::function<void()>& work);

}  // namespace longformer::test
