#include "emulated_attention.h"

using longformer::test::Variant;
static const bool added = longformer::test::add_attention_kernels<1, 96, Variant::bare, Variant::flags>();
