/* hf_panic() for tests: a failed assertion of the product fails the test, by name and place. */
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"

_Noreturn __attribute__((weak)) void hf_panic(const char *file, int line, const char *what)
{
    fprintf(stderr, "%s:%d: assertion failed: %s\n", file, line, what);
    abort();
}
