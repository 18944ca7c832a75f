// Declarations for the files of this folder alone.
#pragma once
#include <string>

#include "../base/error.h"
#include "interface.h"

namespace longformer::torch {

// Keeps libtorch's messages from now on, where it would print them (before 2.13).
void keep_error_words();
// Returns and forgets libtorch's message of this thread's last failing call. Empty where there was none.
std::string take_error_words();

// Registers the collected schemas and kernels with the dispatcher. Called once.
void register_all();

// Whether this process was forked from one that had used the operators. Its threads did not come along.
bool is_forked();
// Throws ForkedError in such a process.
void refuse_if_forked();
// Notes that this process uses the operators, so that its forked children are refused.
void mark_used();

// Sets how many threads an operator may use, on any thread that calls it. 0: libtorch's own number.
void set_threads(int threads);
void apply_threads();

}  // namespace longformer::torch
