/* The exported functions of liblongformer.so: each calls the managed one (lfm_*), unless this process was forked after
 * the library had been used. A fork copies one thread only; those of the .NET runtime and of libtorch, which their locks may wait
 * for, do not come along. A managed call in such a child could hang for ever, so none is made: the call fails with a message. */
#include <pthread.h>

#include "longformer.h"

#define HIDDEN __attribute__((visibility("hidden")))

HIDDEN int lf_used;   /* a call was made: the runtime is there */
HIDDEN int lf_forked; /* and a fork came after it, of which this is the child */

static const char message[] =
    "this process was forked after liblongformer had been used, and a fork leaves the threads of the .NET runtime and of libtorch "
    "behind: start workers with spawn or forkserver (Python: multiprocessing.get_context(\"spawn\")), or use the library in the "
    "children only";

static void in_child(void) { lf_forked = lf_used; }

__attribute__((constructor)) static void watch_forks(void) { pthread_atfork(NULL, NULL, in_child); }

/* The result of a refused function. */
HIDDEN int lf_refuse(void) { return LF_FORKED; }
HIDDEN const char* lf_refuse_text(void) { return message; }

/* Known without the runtime. */
const char* lf_version(void) { return LONGFORMER_VERSION; }
int32_t lf_abi_version(void) { return LF_ABI_VERSION; }

/* All arguments stay where they are: registers and stack are not touched. */
#if !defined(__x86_64__)
#error "exports.c: the jump to the managed functions is written for x86-64"
#endif
#define EXPORT_OR(name, refusal)                   \
  __asm__(".text\n"                                \
          ".globl lf_" #name "\n"                  \
          ".type lf_" #name ", @function\n"        \
          "lf_" #name ":\n"                        \
          "  movl $1, lf_used(%rip)\n"             \
          "  cmpl $0, lf_forked(%rip)\n"           \
          "  jne " #refusal "\n"                   \
          "  jmp lfm_" #name "\n"                  \
          ".size lf_" #name ", .-lf_" #name "\n")
#define EXPORT(name) EXPORT_OR(name, lf_refuse);
EXPORT_OR(last_error, lf_refuse_text);
/* EXPORT(x) for every other lfm_x that the compiler lists; written by the build. */
#include "exports.inc"
