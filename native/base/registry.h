// The operators that the library's files have registered.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "library.h"

namespace longformer::torch {

struct Operator {
  std::string name;
  Kernel kernels[3] = {};  // by Key
};
struct Operators {
  std::vector<std::string> schemas;
  std::map<std::string, Operator> by_name;
};
Operators& operators();

}  // namespace longformer::torch
