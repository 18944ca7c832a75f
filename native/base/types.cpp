// Dtypes, devices and lists of integers, and how messages write them.
#include <algorithm>
#include <ostream>

#include "tensor.h"

namespace longformer {

int64_t element_size(ScalarType type) {
  switch (static_cast<int32_t>(type)) {
    case 0:
    case 1:
    case 11:
    case 23:
    case 24:
    case 25:
    case 26:  // uint8, int8, bool, four kinds of float8
      return 1;
    case 2:
    case 5:
    case 15:
    case 27:  // int16, float16, bfloat16, uint16
      return 2;
    case 3:
    case 6:
    case 8:
    case 28:  // int32, float32, complex32, uint32
      return 4;
    case 4:
    case 7:
    case 9:
    case 29:  // int64, float64, complex64, uint64
      return 8;
    case 10:  // complex128
      return 16;
  }
  throw ValueError(text("longformer: no dtype has the number ", static_cast<int32_t>(type)));
}

bool is_floating(ScalarType type) {
  return type == kFloat || type == kDouble || type == kHalf || type == kBFloat16;
}

std::ostream& operator<<(std::ostream& to, ScalarType type) {
  static const char* const names[] = {
      "Byte",        "Char",         "Short",         "Int",  "Long",  "Half",   "Float",  "Double",
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
