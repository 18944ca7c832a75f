/* A host of its own ways: process LIBRARY FOLDER. The library is loaded by dlopen; the host's signal handlers stay and work while the
 * library does; dlclose leaves it loaded and working. */
#define _GNU_SOURCE
#include "support.h"

#include <dlfcn.h>
#include <signal.h>
#include <sys/time.h>

static volatile sig_atomic_t ticks = 0, users = 0;

static void on_tick(int number) { (void)number, ticks++; }
static void on_user(int number) { (void)number, users++; }

static const int kept[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGCHLD, SIGPIPE, SIGQUIT, SIGABRT, SIGCONT, SIGWINCH};
#define KEPT (sizeof kept / sizeof kept[0])

/* Functions by name: nothing of the library is linked. */
#define LOOK_UP(name, type) type name##_ = (type)(intptr_t)dlsym(library, #name)
typedef lf_status (*load_function)(const char*, const lf_load_options*, lf_document_encoder**);
typedef lf_status (*encode_function)(const lf_document_encoder*, const char* const*, const size_t*, size_t, const lf_options*, lf_tensor**, lf_tensor**);
typedef lf_status (*free_function)(void*);
typedef const char* (*text_function)(void);
typedef int32_t (*number_function)(void);

int main(int argc, char** argv) {
  struct sigaction before[64], after, tick;
  struct itimerval interval = {{0, 1000}, {0, 1000}};
  void* library;
  lf_document_encoder* encoder = NULL;
  char* document = make_text(200, 1);
  const char* documents[1];
  size_t i;
  int round;
  documents[0] = document;
  if (argc != 3) return 2;
  memset(&tick, 0, sizeof tick);
  tick.sa_handler = on_tick;
  sigaction(SIGALRM, &tick, NULL); /* without SA_RESTART: system calls inside the library get interrupted */
  signal(SIGUSR1, on_user);
  for (i = 0; i < KEPT; i++) sigaction(kept[i], NULL, &before[i]);

  library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  if (library == NULL) {
    fprintf(stderr, "%s\n", dlerror());
    return 1;
  }
  {
    LOOK_UP(lf_abi_version, number_function);
    LOOK_UP(lf_last_error, text_function);
    LOOK_UP(lf_document_encoder_load, load_function);
    LOOK_UP(lf_document_encoder_encode, encode_function);
    LOOK_UP(lf_document_encoder_free, free_function);
    LOOK_UP(lf_tensor_free, free_function);
    if (lf_abi_version_ == NULL || lf_tensor_free_ == NULL || lf_abi_version_() != LF_ABI_VERSION) return 1;
    setitimer(ITIMER_REAL, &interval, NULL);
    if (lf_document_encoder_load_(argv[2], NULL, &encoder) != LF_OK) {
      fprintf(stderr, "%s\n", lf_last_error_());
      return 1;
    }
    for (round = 0; round < 50; round++) {
      lf_tensor* vector = NULL;
      CHECK(lf_document_encoder_encode_(encoder, documents, NULL, 1, NULL, &vector, NULL) == LF_OK);
      CHECK(lf_tensor_free_(vector) == LF_OK);
      raise(SIGUSR1);
      if (round == 25) CHECK(dlclose(library) == 0); /* the library stays */
    }
    memset(&interval, 0, sizeof interval);
    setitimer(ITIMER_REAL, &interval, NULL);
    CHECK(lf_document_encoder_free_(encoder) == LF_OK);
  }
  CHECK(ticks > 0);
  CHECK(users == 50);
  for (i = 0; i < KEPT; i++) {
    sigaction(kept[i], NULL, &after);
    if (before[i].sa_handler != after.sa_handler) {
      fprintf(stderr, "the handler of signal %d was replaced\n", kept[i]);
      failures++;
    }
  }
  free(document);
  return finish();
}
