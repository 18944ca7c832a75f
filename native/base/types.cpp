// Dtypes, devices and lists of integers, and how messages write them.
#include <algorithm>
#include <ostream>

#include "tensor.h"

namespace longformer {

int64_t element_size(ScalarType type) {
  switch (type) {
    case ScalarType::uint8:
    case ScalarType::int8:
    case ScalarType::boolean:
      return 1;
    case ScalarType::int16:
    case ScalarType::float16:
    case ScalarType::bfloat16:
      return 2;
    case ScalarType::int32:
    case ScalarType::float32:
      return 4;
    case ScalarType::int64:
    case ScalarType::float64:
      return 8;
  }
  throw ValueError(text("longformer: no operator takes the dtype with the number ", static_cast<int32_t>(type)));
}

bool is_floating(ScalarType type) {
  return type == kFloat || type == kDouble || type == kHalf || type == kBFloat16;
}

std::ostream& operator<<(std::ostream& to, ScalarType type) {
  static const char* const names[] = {"Byte", "Char", "Short", "Int", "Long", "Half", "Float", "Double",
                                      "ComplexHalf", "ComplexFloat", "ComplexDouble", "Bool", "QInt8", "QUInt8", "QInt32", "BFloat16"};
  const auto number = static_cast<size_t>(type);
  if (number < sizeof(names) / sizeof(*names)) return to << names[number];
  return to << "dtype " << number;
}

std::ostream& operator<<(std::ostream& to, const Device& device) {
  if (device.type == DeviceType::cpu) return to << "cpu";
  if (device.type == DeviceType::meta) return to << "meta";
  if (device.type == DeviceType::cuda)
    to << "cuda";
  else
    to << "device type " << static_cast<int32_t>(device.type);
  return device.index < 0 ? to : to << ":" << device.index;
}

bool IntList::operator==(const IntList& other) const {
  return size_ == other.size_ && std::equal(begin(), end(), other.begin());
}

std::ostream& operator<<(std::ostream& to, const IntList& list) {
  to << "[";
  for (size_t i = 0; i < list.size(); ++i) to << (i > 0 ? ", " : "") << list[i];
  return to << "]";
}

}  // namespace longformer
