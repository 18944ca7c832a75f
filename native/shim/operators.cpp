// Operators: looked up once, arguments coerced by the schema, the boxed call, results.
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/ivalue.h>
#include <ATen/core/stack.h>

#include <map>
#include <memory>
#include <mutex>
#include <sstream>
#include <vector>

#include "coerce.h"
#include "internal.h"

namespace lf_shim {
namespace {

// What results point into until the next call on this thread.
struct ResultMemory {
  std::vector<std::vector<int64_t>> ints;
  std::vector<std::vector<double>> doubles;
  std::vector<std::vector<uint8_t>> bytes;
  std::vector<std::vector<lf_shim_tensor>> tensors;
  std::vector<std::string> strings;
  void clear() { ints.clear(), doubles.clear(), bytes.clear(), tensors.clear(), strings.clear(); }
  // Room ahead of time, so that growing does not move what earlier results point at.
  void reserve(size_t n) {
    ints.reserve(n), doubles.reserve(n), bytes.reserve(n), tensors.reserve(n), strings.reserve(n);
  }
};
thread_local ResultMemory result_memory;
thread_local bool result_memory_used = false;

// Whole MiB of memory that only this tensor keeps alive: what a garbage collector cannot see.
int32_t owned_mib(const at::Tensor& t) {
  if (!t.has_storage() || t.storage().use_count() != 1) return 0;
  return static_cast<int32_t>(std::min<size_t>(t.storage().nbytes() >> 20, INT32_MAX));
}

lf_shim_value tensor_value(at::Tensor t) {
  if (!t.defined()) return {LF_SHIM_NONE, 0, {}};
  lf_shim_value value{LF_SHIM_TENSOR, owned_mib(t), {}};
  value.data.pointer = hand_out(std::move(t));
  return value;
}

// The memory of this thread, with room for all results of the operator.
ResultMemory& memory_for(const Operator& op) {
  if (!result_memory_used) result_memory.reserve(op.results);
  result_memory_used = true;
  return result_memory;
}

template <class T>
lf_shim_value list_value(lf_shim_tag tag, std::vector<std::vector<T>>& memory, std::vector<T> items) {
  memory.push_back(std::move(items));
  lf_shim_value value{tag, static_cast<int32_t>(memory.back().size()), {}};
  value.data.pointer = memory.back().data();
  return value;
}

lf_shim_value result_value(const Operator& op, c10::IValue&& v) {
  lf_shim_value value{LF_SHIM_NONE, 0, {}};
  if (v.isTensor()) return tensor_value(std::move(v).toTensor());
  if (v.isNone()) return value;
  if (v.isInt()) return value.tag = LF_SHIM_INT, value.data.integer = v.toInt(), value;
  if (v.isDouble()) return value.tag = LF_SHIM_DOUBLE, value.data.real = v.toDouble(), value;
  if (v.isBool()) return value.tag = LF_SHIM_BOOL, value.data.integer = v.toBool(), value;
  if (v.isDevice()) {
    const c10::Device device = v.toDevice();
    value = {LF_SHIM_DEVICE_VALUE, device.index(), {}};
    value.data.integer = static_cast<int64_t>(device.type());
    return value;
  }
  ResultMemory& memory = memory_for(op);
  if (v.isString()) {
    memory.strings.push_back(v.toStringRef());
    value = {LF_SHIM_STRING, static_cast<int32_t>(memory.strings.back().size()), {}};
    value.data.pointer = memory.strings.back().data();
    return value;
  }
  if (v.isIntList()) return list_value(LF_SHIM_INT_LIST, memory.ints, v.toIntVector());
  if (v.isDoubleList()) return list_value(LF_SHIM_DOUBLE_LIST, memory.doubles, v.toDoubleVector());
  if (v.isBoolList()) {
    std::vector<uint8_t> items;
    for (bool item : v.toBoolList()) items.push_back(item);
    return list_value(LF_SHIM_BOOL_LIST, memory.bytes, std::move(items));
  }
  if (v.isTensorList()) {
    auto tensors = std::move(v).toTensorVector();
    std::vector<lf_shim_tensor> items(tensors.size());
    for (size_t i = 0; i < tensors.size(); ++i) items[i] = hand_out(std::move(tensors[i]));
    return list_value(LF_SHIM_TENSOR_LIST, memory.tensors, std::move(items));
  }
  throw Error(LF_SHIM_ARGUMENT, op.name + ": a result of the kind " + v.tagKind() + " cannot be handed out");
}

// Results that were handed out before a later one failed.
void release_results(lf_shim_value* results, int32_t n) {
  for (int32_t i = 0; i < n; ++i) {
    const void* pointer = results[i].data.pointer;
    if (results[i].tag == LF_SHIM_TENSOR)
      lf_shim_tensor_release(reinterpret_cast<lf_shim_tensor>(const_cast<void*>(pointer)));
    if (results[i].tag == LF_SHIM_TENSOR_LIST)
      for (int32_t k = 0; k < results[i].n; ++k)
        lf_shim_tensor_release(static_cast<const lf_shim_tensor*>(pointer)[k]);
  }
}

// "aten::mm(Float[2, 3], Float[4, 5])": the first thing to know about a shape error.
std::string call_text(const Operator& op, const lf_shim_value* arguments, int32_t n) {
  std::ostringstream text;
  text << op.name << '(';
  for (int32_t i = 0; i < n; ++i) text << (i ? ", " : "") << describe(arguments[i]);
  text << ')';
  return text.str();
}

std::string known_overloads(const std::string& name) {
  std::string text;
  for (const auto& other : c10::Dispatcher::singleton().getAllOpNames())
    if (other.name == name) text += (text.empty() ? "\"" : ", \"") + other.overload_name + "\"";
  return text;
}

const Operator* find(const std::string& name, const std::string& overload) {
  static std::mutex mutex;
  static auto& cache = *new std::map<std::pair<std::string, std::string>, std::unique_ptr<Operator>>();
  std::lock_guard<std::mutex> lock(mutex);
  auto& slot = cache[{name, overload}];
  if (!slot) {
    auto handle = c10::Dispatcher::singleton().findSchema({name, overload});
    if (!handle) {
      cache.erase({name, overload});
      const std::string known = known_overloads(name);
      throw Error(LF_SHIM_NOT_FOUND,
                  known.empty()
                      ? "libtorch " + std::string(loaded_version()) + " has no operator \"" + name + "\""
                      : "operator \"" + name + "\" has no overload \"" + overload + "\"; it has " + known);
    }
    slot = std::make_unique<Operator>(*handle);
  }
  return slot.get();
}

const Operator& checked(lf_shim_operator op) {
  return *reinterpret_cast<const Operator*>(required(op, "op"));
}

}  // namespace
}  // namespace lf_shim

using namespace lf_shim;

lf_shim_status lf_shim_operator_find(const char* name, const char* overload, lf_shim_operator* result) {
  return guarded([&] {
    required(result, "result");
    const Operator* op = find(required(name, "name"), overload ? overload : "");
    *result = reinterpret_cast<lf_shim_operator>(const_cast<Operator*>(op));
  });
}

lf_shim_status lf_shim_operator_schema(lf_shim_operator op, const char** schema, int32_t* arguments,
                                       int32_t* results) {
  return guarded([&] {
    const Operator& o = checked(op);
    if (schema) *schema = o.schema.c_str();
    if (arguments) *arguments = static_cast<int32_t>(o.arguments.size());
    if (results) *results = static_cast<int32_t>(o.results);
  });
}

lf_shim_status lf_shim_call(lf_shim_operator op, const lf_shim_value* arguments, int32_t n,
                            lf_shim_value* results, int32_t capacity, int32_t* count) {
  const lf_shim_status status = guarded([&] {
    const Operator& o = checked(op);
    required(count, "count");
    *count = 0;
    if (n < 0 || static_cast<size_t>(n) > o.arguments.size())
      throw Error(LF_SHIM_ARGUMENT, o.name + ": takes " + std::to_string(o.arguments.size()) +
                                        " arguments, given " + std::to_string(n) + "; " + o.schema);
    if (n > 0) required(arguments, "arguments");
    if (capacity < static_cast<int32_t>(o.results))
      throw Error(LF_SHIM_ARGUMENT, o.name + ": has " + std::to_string(o.results) +
                                        " results, room given for " + std::to_string(capacity));
    if (o.results > 0) required(results, "results");

    torch::jit::Stack stack;
    stack.reserve(std::max(o.arguments.size(), o.results));
    for (size_t i = 0; i < o.arguments.size(); ++i) {
      const bool given = i < static_cast<size_t>(n) && arguments[i].tag != LF_SHIM_DEFAULT;
      stack.push_back(given ? coerce(o, i, arguments[i]) : default_value(o, i));
    }
    apply_thread_count();
    o.handle.callBoxed(stack);

    if (result_memory_used) {
      result_memory.clear();
      result_memory_used = false;
    }
    int32_t written = 0;
    try {
      for (auto& v : stack) {
        results[written] = result_value(o, std::move(v));
        ++written;
      }
    } catch (...) {
      release_results(results, written);
      throw;
    }
    *count = written;
  });
  if (status != LF_SHIM_TORCH_ERROR) return status;
  return guarded([&] {
    const std::string message = call_text(checked(op), arguments, n) + ": " + lf_shim_last_error();
    throw Error(LF_SHIM_TORCH_ERROR, message);
  });
}
