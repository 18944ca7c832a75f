#include "coerce.h"

#include <sstream>
#include <utility>

#include "internal.h"

namespace lf_shim {
namespace {

// std::optional<at::Tensor> or c10::optional<at::Tensor>, whichever this libtorch uses.
using OptionalTensor = decltype(std::declval<const c10::IValue&>().toOptional<at::Tensor>());

Kind kind_of(const c10::Type& type, const c10::Type& real) {
  switch (type.kind()) {
    case c10::TypeKind::TensorType:
      return Kind::Tensor;
    case c10::TypeKind::IntType:
    case c10::TypeKind::SymIntType:
      return real.kind() == c10::TypeKind::ScalarTypeType ? Kind::DType : Kind::Int;
    case c10::TypeKind::ScalarTypeType:
      return Kind::DType;
    case c10::TypeKind::LayoutType:
    case c10::TypeKind::MemoryFormatType:
      return Kind::Int;
    case c10::TypeKind::FloatType:
    case c10::TypeKind::SymFloatType:
      return Kind::Float;
    case c10::TypeKind::NumberType:
      return Kind::Number;
    case c10::TypeKind::BoolType:
      return Kind::Bool;
    case c10::TypeKind::StringType:
      return Kind::String;
    case c10::TypeKind::DeviceObjType:
      return Kind::Device;
    case c10::TypeKind::GeneratorType:
      return Kind::Generator;
    default:
      return Kind::Other;
  }
}

c10::TypePtr inside(const c10::TypePtr& type, c10::TypeKind wrapper) {
  return type->kind() == wrapper && !type->containedTypes().empty() ? type->containedTypes()[0] : type;
}

ArgumentInfo info_of(const c10::Argument& argument) {
  ArgumentInfo info;
  info.name = argument.name();
  c10::TypePtr type = argument.type(), real = argument.real_type();
  info.type = real->str();
  info.optional = type->kind() == c10::TypeKind::OptionalType;
  type = inside(type, c10::TypeKind::OptionalType), real = inside(real, c10::TypeKind::OptionalType);
  info.list = type->kind() == c10::TypeKind::ListType;
  if (info.list) {
    type = inside(type, c10::TypeKind::ListType), real = inside(real, c10::TypeKind::ListType);
    info.optional_items = type->kind() == c10::TypeKind::OptionalType;
    type = inside(type, c10::TypeKind::OptionalType), real = inside(real, c10::TypeKind::OptionalType);
    const auto length = argument.N();
    info.length = length ? *length : 0;
  }
  info.kind = kind_of(*type, *real);
  return info;
}

[[noreturn]] void mismatch(const Operator& op, size_t index, const std::string& given) {
  const ArgumentInfo& info = op.arguments[index];
  throw Error(LF_SHIM_ARGUMENT, op.name + ": argument '" + info.name + "' (number " +
                                    std::to_string(index + 1) + "): expected " + info.type + ", given " +
                                    given);
}

at::Tensor borrowed(const void* pointer) {
  return borrow(reinterpret_cast<lf_shim_tensor>(const_cast<void*>(pointer)), "a tensor");
}

// A list of numbers of any tag, item by item.
bool number_list(const lf_shim_value& value) {
  return value.tag == LF_SHIM_INT_LIST || value.tag == LF_SHIM_DOUBLE_LIST;
}

template <class T>
c10::IValue list_of(const T* items, int32_t n) {
  c10::List<T> list;
  list.reserve(n);
  for (int32_t i = 0; i < n; ++i) list.push_back(items[i]);
  return list;
}

c10::IValue coerce_list(const Operator& op, size_t index, const ArgumentInfo& info,
                        const lf_shim_value& value) {
  const auto* ints = static_cast<const int64_t*>(value.data.pointer);
  const auto* doubles = static_cast<const double*>(value.data.pointer);
  const bool scalar = value.tag == LF_SHIM_INT || value.tag == LF_SHIM_DOUBLE || value.tag == LF_SHIM_BOOL;
  if (!scalar && value.n < 0) mismatch(op, index, "a list of " + std::to_string(value.n) + " items");
  if (!scalar && value.n > 0 && !value.data.pointer) mismatch(op, index, "a list at a null address");
  switch (info.kind) {
    case Kind::Int:
      if (value.tag == LF_SHIM_INT_LIST) return at::IntArrayRef(ints, value.n);
      if (value.tag == LF_SHIM_INT && info.length > 0)
        return std::vector<int64_t>(info.length, value.data.integer);
      break;
    case Kind::Float:
      if (value.tag == LF_SHIM_DOUBLE_LIST) return list_of(doubles, value.n);
      if (value.tag == LF_SHIM_INT_LIST) {
        const std::vector<double> converted(ints, ints + value.n);
        return list_of(converted.data(), value.n);
      }
      break;
    case Kind::Bool:
      if (value.tag == LF_SHIM_BOOL_LIST) {
        const auto* bytes = static_cast<const uint8_t*>(value.data.pointer);
        c10::List<bool> list;
        list.reserve(value.n);
        for (int32_t i = 0; i < value.n; ++i) list.push_back(bytes[i] != 0);
        return list;
      }
      if (value.tag == LF_SHIM_BOOL && info.length > 0) {
        c10::List<bool> list;
        for (int64_t i = 0; i < info.length; ++i) list.push_back(value.data.integer != 0);
        return list;
      }
      break;
    case Kind::Number:
      if (number_list(value)) {
        c10::List<at::Scalar> list;
        list.reserve(value.n);
        for (int32_t i = 0; i < value.n; ++i)
          list.push_back(value.tag == LF_SHIM_INT_LIST ? at::Scalar(ints[i]) : at::Scalar(doubles[i]));
        return list;
      }
      break;
    case Kind::Tensor:
      if (value.tag == LF_SHIM_TENSOR_LIST) {
        const auto* handles = static_cast<const lf_shim_tensor*>(value.data.pointer);
        if (info.optional_items) {
          c10::List<OptionalTensor> list;
          list.reserve(value.n);
          for (int32_t i = 0; i < value.n; ++i)
            list.push_back(handles[i] ? OptionalTensor(borrowed(handles[i])) : OptionalTensor());
          return list;
        }
        c10::List<at::Tensor> list;
        list.reserve(value.n);
        for (int32_t i = 0; i < value.n; ++i) {
          if (!handles[i]) mismatch(op, index, "a list whose item " + std::to_string(i) + " is none");
          list.push_back(borrowed(handles[i]));
        }
        return list;
      }
      break;
    default:
      break;
  }
  mismatch(op, index, describe(value));
}

}  // namespace

Operator::Operator(c10::OperatorHandle h) : handle(h) {
  const c10::FunctionSchema& s = handle.schema();
  name = s.overload_name().empty() ? s.name() : s.name() + "." + s.overload_name();
  std::ostringstream text;
  text << s;
  schema = text.str();
  results = s.returns().size();
  for (const c10::Argument& argument : s.arguments()) {
    arguments.push_back(info_of(argument));
    has_default.push_back(argument.default_value().has_value());
    defaults.push_back(argument.default_value() ? *argument.default_value() : c10::IValue());
  }
}

c10::IValue default_value(const Operator& op, size_t index) {
  if (op.has_default[index]) return op.defaults[index];
  throw Error(LF_SHIM_ARGUMENT, op.name + ": argument '" + op.arguments[index].name + "' (number " +
                                    std::to_string(index + 1) + ", " + op.arguments[index].type +
                                    ") is missing and has no default; " + op.schema);
}

c10::IValue coerce(const Operator& op, size_t index, const lf_shim_value& value) {
  const ArgumentInfo& info = op.arguments[index];
  if (value.tag == LF_SHIM_NONE) {
    if (!info.optional) mismatch(op, index, "none");
    return {};
  }
  if (info.list) return coerce_list(op, index, info, value);
  switch (info.kind) {
    case Kind::Tensor:
      if (value.tag == LF_SHIM_TENSOR) return borrowed(value.data.pointer);
      break;
    case Kind::Int:
      if (value.tag == LF_SHIM_INT) return value.data.integer;
      break;
    case Kind::DType:
      if (value.tag == LF_SHIM_INT) return static_cast<int64_t>(checked_dtype(value.data.integer));
      break;
    case Kind::Float:
      if (value.tag == LF_SHIM_DOUBLE) return value.data.real;
      if (value.tag == LF_SHIM_INT) return static_cast<double>(value.data.integer);
      break;
    case Kind::Number:
      if (value.tag == LF_SHIM_DOUBLE) return value.data.real;
      if (value.tag == LF_SHIM_INT) return value.data.integer;
      if (value.tag == LF_SHIM_BOOL) return value.data.integer != 0;
      break;
    case Kind::Bool:
      if (value.tag == LF_SHIM_BOOL) return value.data.integer != 0;
      break;
    case Kind::String:
      if (value.tag == LF_SHIM_STRING && value.n >= 0)
        return std::string(value.n ? static_cast<const char*>(value.data.pointer) : "", value.n);
      break;
    case Kind::Device:
      if (value.tag == LF_SHIM_DEVICE_VALUE) return checked_device(value.data.integer, value.n);
      break;
    default:
      break;
  }
  mismatch(op, index, describe(value));
}

std::string describe(const lf_shim_value& value) {
  std::ostringstream text;
  switch (value.tag) {
    case LF_SHIM_NONE:
      return "none";
    case LF_SHIM_DEFAULT:
      return "the default";
    case LF_SHIM_TENSOR: {
      if (!value.data.pointer) return "a null tensor";
      const at::Tensor t = borrowed(value.data.pointer);
      text << c10::toString(t.scalar_type()) << t.sizes();
      if (!t.device().is_cpu()) text << " on " << t.device();
      return text.str();
    }
    case LF_SHIM_INT:
      text << "int " << value.data.integer;
      return text.str();
    case LF_SHIM_DOUBLE:
      text << "float " << value.data.real;
      return text.str();
    case LF_SHIM_BOOL:
      return value.data.integer ? "bool true" : "bool false";
    case LF_SHIM_STRING:
      return "string \"" +
             std::string(value.n > 0 ? static_cast<const char*>(value.data.pointer) : "",
                         value.n > 0 ? value.n : 0) +
             "\"";
    case LF_SHIM_DEVICE_VALUE:
      text << "device type " << value.data.integer << " index " << value.n;
      return text.str();
    case LF_SHIM_INT_LIST:
      text << at::IntArrayRef(static_cast<const int64_t*>(value.data.pointer), value.n);
      return text.str();
    case LF_SHIM_DOUBLE_LIST:
      text << "list of " << value.n << " floats";
      return text.str();
    case LF_SHIM_BOOL_LIST:
      text << "list of " << value.n << " bools";
      return text.str();
    case LF_SHIM_TENSOR_LIST:
      text << "list of " << value.n << " tensors";
      return text.str();
    default:
      text << "a value of the unknown tag " << value.tag;
      return text.str();
  }
}

}  // namespace lf_shim
