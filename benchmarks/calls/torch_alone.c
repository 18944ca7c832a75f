/* Measures the loading of libtorch itself: torch_alone LIBTORCH_CPU. Prints milliseconds. */
#define _POSIX_C_SOURCE 200809L
#include <dlfcn.h>
#include <stdio.h>
#include <time.h>

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

int main(int argc, char** argv) {
  const double start = now();
  if (argc != 2 || dlopen(argv[1], RTLD_LAZY) == NULL) {
    fprintf(stderr, "%s\n", argc == 2 ? dlerror() : "usage: torch_alone LIBTORCH_CPU");
    return 1;
  }
  printf("%.0f\n", now() - start);
  return 0;
}
