#include "launcher.h"

namespace longformer::cuda {

std::string KernelText::describe() const {
  std::string text = file;
  for (const auto& [name, value] : names) text += std::string(" ") + name + "=" + value;
  return text;
}

}  // namespace longformer::cuda
