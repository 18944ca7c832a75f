// The templates behind library.h.
#pragma once
#include <cstring>

namespace longformer::torch {

// --- one argument. Stored holds it while the kernel runs: from_stack takes over what the dispatcher's value
// owns, from_call borrows from the caller.
template <class T>
T as(Value value) {
  static_assert(sizeof(T) <= sizeof(Value));
  T result;
  std::memcpy(&result, &value, sizeof(T));
  return result;
}
template <class T>
Value value_of(T x) {
  static_assert(sizeof(T) <= sizeof(Value));
  Value value = 0;
  std::memcpy(&value, &x, sizeof(T));
  return value;
}

// The heap cell of an optional value, allocated as libtorch's own new and delete do.
Value new_cell(Value content);
Value take_cell(Value cell);
// Lists and strings of libtorch; take_ frees them.
Value new_list(const Value* values, size_t n);
std::vector<Value> take_list(Value list);
Value new_string(std::string_view text);
std::string take_string(Value string);
Value new_tensor_value(const Tensor& t);  // its own reference, also of an undefined tensor
inline Tensor take_tensor(Value value) {
  return Tensor::own(as<TensorHandle>(value));
}
// Throws the error of a direct call that passes an argument of another kind.
[[noreturn]] void wrong_tag(const longformer_value& value, const char* expected);
TensorList borrow_list(const longformer_value& value);
std::string_view borrow_words(const longformer_value& value);

// Owned or borrowed integers and words.
struct Integers {
  std::vector<int64_t> owned;
  IntList list;
  operator IntList() const { return list; }
  static Integers from_stack(Value value);
  static Integers from_call(const longformer_value& value);
};
struct OptionalIntegers {
  std::optional<Integers> integers;
  operator OptionalIntList() const { return integers ? OptionalIntList(integers->list) : std::nullopt; }
};
struct Words {
  std::string owned;
  std::string_view borrowed;
  operator std::string_view() const {
    return borrowed.data() != nullptr ? borrowed : std::string_view(owned);
  }
};

template <class T>
struct Argument;

template <>
struct Argument<Tensor> {
  static Tensor from_stack(Value value) { return take_tensor(value); }
  static Tensor from_call(const longformer_value& value) {
    if (value.tag == LONGFORMER_NONE) return {};
    if (value.tag != LONGFORMER_TENSOR) wrong_tag(value, "a tensor");
    return Tensor::borrow(static_cast<TensorHandle>(const_cast<void*>(value.data.pointer)));
  }
};
template <>
struct Argument<OptionalTensor> {
  static OptionalTensor from_stack(Value value) {
    if (value == 0) return std::nullopt;
    return take_tensor(take_cell(value));
  }
  static OptionalTensor from_call(const longformer_value& value) {
    Tensor t = Argument<Tensor>::from_call(value);
    if (!t.defined()) return std::nullopt;
    return t;
  }
};
template <>
struct Argument<TensorList> {
  static TensorList from_stack(Value value) {
    TensorList tensors;
    for (const Value v : take_list(value)) tensors.push_back(take_tensor(v));
    return tensors;
  }
  static TensorList from_call(const longformer_value& value) { return borrow_list(value); }
};
template <>
struct Argument<int64_t> {
  static int64_t from_stack(Value value) { return as<int64_t>(value); }
  static int64_t from_call(const longformer_value& value) {
    if (value.tag != LONGFORMER_INT && value.tag != LONGFORMER_BOOL) wrong_tag(value, "an integer");
    return value.data.integer;
  }
};
template <>
struct Argument<double> {
  static double from_stack(Value value) { return as<double>(value); }
  static double from_call(const longformer_value& value) {
    if (value.tag == LONGFORMER_INT) return static_cast<double>(value.data.integer);
    if (value.tag != LONGFORMER_DOUBLE) wrong_tag(value, "a number");
    return value.data.real;
  }
};
template <>
struct Argument<bool> {
  static bool from_stack(Value value) { return as<bool>(value); }
  static bool from_call(const longformer_value& value) {
    if (value.tag != LONGFORMER_BOOL) wrong_tag(value, "a bool");
    return value.data.integer != 0;
  }
};
template <>
struct Argument<std::string_view> {
  static Words from_stack(Value value) { return {take_string(value), {}}; }
  static Words from_call(const longformer_value& value) { return {{}, borrow_words(value)}; }
};
template <>
struct Argument<IntList> {
  static Integers from_stack(Value value) { return Integers::from_stack(value); }
  static Integers from_call(const longformer_value& value) { return Integers::from_call(value); }
};
template <>
struct Argument<OptionalIntList> {
  static OptionalIntegers from_stack(Value value) {
    if (value == 0) return {};
    return {Integers::from_stack(take_cell(value))};
  }
  static OptionalIntegers from_call(const longformer_value& value) {
    if (value.tag == LONGFORMER_NONE) return {};
    return {Integers::from_call(value)};
  }
};
template <>
struct Argument<std::optional<double>> {
  static std::optional<double> from_stack(Value value) {
    if (value == 0) return std::nullopt;
    return as<double>(take_cell(value));
  }
  static std::optional<double> from_call(const longformer_value& value) {
    if (value.tag == LONGFORMER_NONE) return std::nullopt;
    return Argument<double>::from_call(value);
  }
};

// --- one result
inline Value result_value(const Tensor& t) {
  return new_tensor_value(t);
}
inline Value result_value(Tensor&& t) {
  return t.defined() ? value_of(t.release()) : new_tensor_value(t);
}
inline Value result_value(int64_t x) {
  return value_of(x);
}
inline Value result_value(double x) {
  return value_of(x);
}
inline Value result_value(bool x) {
  return value_of(x);
}
Value result_value(const TensorList& tensors);

inline void result_to_caller(Tensor&& t, longformer_value& result) {
  result.tag = t.defined() ? LONGFORMER_TENSOR : LONGFORMER_NONE;
  result.n = 0;
  result.data.pointer = t.release();
}
inline void result_to_caller(int64_t x, longformer_value& result) {
  result.tag = LONGFORMER_INT;
  result.n = 0;
  result.data.integer = x;
}
inline void result_to_caller(double x, longformer_value& result) {
  result.tag = LONGFORMER_DOUBLE;
  result.n = 0;
  result.data.real = x;
}
inline void result_to_caller(bool x, longformer_value& result) {
  result.tag = LONGFORMER_BOOL;
  result.n = 0;
  result.data.integer = x;
}
void result_to_caller(TensorList&& tensors, longformer_value& result);

template <class Result>
struct Results {
  static constexpr int count = 1;
  static void to_stack(Result&& result, Value* stack) { stack[0] = result_value(std::move(result)); }
  static void to_call(Result&& result, longformer_value* results) {
    result_to_caller(std::move(result), results[0]);
  }
};
template <class... Each>
struct Results<std::tuple<Each...>> {
  static constexpr int count = sizeof...(Each);
  static void to_stack(std::tuple<Each...>&& results, Value* stack) {
    std::apply([&](Each&... each) { ((*stack++ = result_value(std::move(each))), ...); }, results);
  }
  static void to_call(std::tuple<Each...>&& all, longformer_value* results) {
    std::apply([&](Each&... each) { (result_to_caller(std::move(each), *results++), ...); }, all);
  }
};

// --- a kernel in both forms
// Keeps libtorch from recording gradients, and torch.autocast from changing types, while an operator works.
class PlainMode {
 public:
  PlainMode();
  ~PlainMode();
  PlainMode(const PlainMode&) = delete;
  PlainMode& operator=(const PlainMode&) = delete;

 private:
  bool gradients_, autocast_[2];  // as they were; autocast on the CPU and on CUDA
};
// Refuses work in a forked child, and sets the wanted number of threads on this thread.
void enter_kernel();

// How many of an operator's arguments a parameter takes: one, or what its Argument says.
template <class T, class = void>
struct SlotsOf : std::integral_constant<size_t, 1> {};
template <class T>
struct SlotsOf<T, std::void_t<decltype(Argument<T>::slots)>>
    : std::integral_constant<size_t, Argument<T>::slots> {};

template <auto function, class Result, class... Arguments>
struct Forms {
  template <class T>
  using Plain = std::remove_cv_t<std::remove_reference_t<T>>;
  template <class T>
  using Of = Argument<Plain<T>>;
  static constexpr size_t slots = (SlotsOf<Plain<Arguments>>::value + ... + 0);

  // Where the arguments of parameter i begin.
  static constexpr size_t place(size_t i) {
    constexpr size_t each[] = {SlotsOf<Plain<Arguments>>::value..., 0};
    size_t first = 0;
    for (size_t j = 0; j < i; ++j) first += each[j];
    return first;
  }

  template <class T>
  static auto from_stack(const Value* stack) {
    if constexpr (SlotsOf<Plain<T>>::value == 1)
      return Of<T>::from_stack(*stack);
    else
      return Of<T>::from_stack(stack);
  }
  template <class T>
  static auto from_call(const longformer_value* arguments) {
    if constexpr (SlotsOf<Plain<T>>::value == 1)
      return Of<T>::from_call(*arguments);
    else
      return Of<T>::from_call(arguments);
  }
  template <size_t... i>
  static auto read_stack(const Value* stack, std::index_sequence<i...>) {
    return std::tuple<decltype(from_stack<Arguments>(stack))...>{from_stack<Arguments>(stack + place(i))...};
  }
  template <size_t... i>
  static auto read_call(const longformer_value* arguments, std::index_sequence<i...>) {
    return std::tuple<decltype(from_call<Arguments>(arguments))...>{
        from_call<Arguments>(arguments + place(i))...};
  }
  // Calls the function with what is stored converted to what it takes.
  template <class Stored>
  static Result apply(Stored& stored) {
    const PlainMode plain;
    enter_kernel();
    return std::apply([](auto&... each) -> Result { return function(each...); }, stored);
  }
  static void boxed(Value* stack, uint64_t, uint64_t) {
    auto stored = read_stack(stack, std::index_sequence_for<Arguments...>());
    if constexpr (std::is_void_v<Result>)
      apply(stored);
    else
      Results<Result>::to_stack(apply(stored), stack);
  }
  static void direct(const longformer_value* arguments, [[maybe_unused]] longformer_value* results) {
    auto stored = read_call(arguments, std::index_sequence_for<Arguments...>());
    if constexpr (std::is_void_v<Result>)
      apply(stored);
    else
      Results<Result>::to_call(apply(stored), results);
  }
  static constexpr int result_count() {
    if constexpr (std::is_void_v<Result>)
      return 0;
    else
      return Results<Result>::count;
  }
  static Kernel both() { return {&boxed, &direct, static_cast<int>(slots), result_count()}; }
};

template <auto function, class Result, class... Arguments>
Kernel kernel_of(Result (*)(Arguments...)) {
  return Forms<function, Result, Arguments...>::both();
}
template <auto function>
Kernel kernel() {
  return kernel_of<function>(function);
}

// --- calls of libtorch's operators
inline Value argument_value(const Tensor& t) {
  return new_tensor_value(t);
}
inline Value argument_value(const OptionalTensor& t) {
  return given(t) ? new_cell(new_tensor_value(*t)) : 0;
}
inline Value argument_value(std::nullopt_t) {
  return 0;
}
inline Value argument_value(int64_t x) {
  return value_of(x);
}
inline Value argument_value(double x) {
  return value_of(x);
}
inline Value argument_value(bool x) {
  return value_of(x);
}
inline Value argument_value(std::optional<double> x) {
  return x ? new_cell(value_of(*x)) : 0;
}
inline Value argument_value(std::string_view x) {
  return new_string(x);
}
inline Value argument_value(const char* x) {
  return new_string(x);
}
Value argument_value(IntList list);
inline Value argument_value(const std::vector<int64_t>& list) {
  return argument_value(IntList(list));
}
inline Value argument_value(OptionalIntList list) {
  return list ? new_cell(argument_value(*list)) : 0;
}
Value argument_value(const std::vector<OptionalTensor>& tensors);
inline Value argument_value(const TensorList& tensors) {
  return result_value(tensors);
}
inline Value argument_value(ScalarType type) {
  return value_of(static_cast<int64_t>(type));
}

void call_dispatcher(const char* name, const char* overload, Value* stack);

template <class Tuple, size_t... i>
Tuple tuple_from_stack(const Value* stack, std::index_sequence<i...>) {
  return Tuple{Argument<std::tuple_element_t<i, Tuple>>::from_stack(stack[i])...};
}

template <class Result, class... Arguments>
Result call(const char* name, const char* overload, const Arguments&... arguments) {
  // Room for as many results as any operator used here has.
  Value stack[sizeof...(Arguments) < 8 ? 8 : sizeof...(Arguments)] = {argument_value(arguments)...};
  call_dispatcher(name, overload, stack);
  if constexpr (std::is_same_v<Result, Tensor>)
    return take_tensor(stack[0]);
  else if constexpr (!std::is_void_v<Result>)
    return tuple_from_stack<Result>(stack, std::make_index_sequence<std::tuple_size_v<Result>>());
}

}  // namespace longformer::torch
