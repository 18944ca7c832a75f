#include "emulated_attention.h"

using longformer::test::Variant;
static const bool added = longformer::test::add_attention_kernels<0, 128, Variant::bare, Variant::flags>();
