#include "emulated_relative.h"

using namespace longformer::test;
static const bool added =
    add_relative_kernels<0, 32, Variant::bare, Variant::flags, Variant::dropout, Variant::unaligned>() &&
    add_relative_kernels<0, 64, Variant::bare>();
