#include "emulated_relative.h"

using namespace longformer::test;
static const bool added =
    add_relative_kernels<1, 64, Variant::bare, Variant::flags, Variant::dropout, Variant::unaligned>() &&
    add_relative_kernels<1, 128, Variant::dropout>() && add_relative_kernels<2, 64, Variant::bare>();
