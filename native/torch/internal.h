// Between the files of this folder.
#pragma once
#include <string>

#include "../base/error.h"
#include "interface.h"

namespace longformer::torch {

// From now on what libtorch says of failing calls is kept where it would print it (before 2.13).
void keep_error_words();
// What libtorch said of this thread's last failing call; empty where it said nothing. Asked once for each failure.
std::string take_error_words();

// Hands the collected schemas and kernels to the dispatcher, once.
void register_all();

// Whether this process was forked from one that had used the operators, whose threads did not come along.
bool is_forked();
// Throws ForkedError in such a process.
void refuse_if_forked();
// The process uses the operators: a fork from now on is noticed.
void mark_used();

// How many threads are wanted on every thread; 0: as libtorch has it.
void set_threads(int threads);
void apply_threads();

}  // namespace longformer::torch
