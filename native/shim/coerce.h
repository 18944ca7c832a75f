// From tagged values to what an operator's schema asks for.
#pragma once
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/function_schema.h>
#include <ATen/core/ivalue.h>

#include <string>
#include <vector>

#include "longformer_shim.h"

namespace lf_shim {

// What an argument takes, read once from its schema type.
enum class Kind { Tensor, Int, DType, Float, Number, Bool, String, Device, Generator, Other };

struct ArgumentInfo {
  std::string name;
  std::string type;       // as the schema writes it, for messages
  Kind kind;              // of the value, or of the elements of a list
  bool optional = false;  // takes None
  bool list = false;
  bool optional_items = false;  // Tensor?[]
  int64_t length = 0;           // of int[N]; 0 if any. A single number stands for N times that number
};

struct Operator {
  c10::OperatorHandle handle;
  std::string name;  // "aten::add.Tensor"
  std::string schema;
  std::vector<ArgumentInfo> arguments;
  std::vector<c10::IValue> defaults;  // None where there is no default
  std::vector<bool> has_default;
  size_t results;
  explicit Operator(c10::OperatorHandle handle);
};

// The argument as the boxed call wants it. Throws LF_SHIM_ARGUMENT naming operator, argument, expected and
// given.
c10::IValue coerce(const Operator& op, size_t index, const lf_shim_value& value);

// The schema's default. Throws LF_SHIM_ARGUMENT where an argument without one is missing.
c10::IValue default_value(const Operator& op, size_t index);

// A value in a few words, for messages: "int 3", "Float[2, 3]", "none".
std::string describe(const lf_shim_value& value);

}  // namespace lf_shim
