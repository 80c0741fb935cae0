/* What every harness includes: libFuzzer calls it with one input after the other, in one process. */
#ifndef HOLDFAST_TESTS_FUZZ_H
#define HOLDFAST_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* HF_CHECK() ends a harness whose claim does not hold; libFuzzer then keeps the input. */
#include "base/check.h"

/* Always 0. Memory at `data` is exactly `size` bytes, so that reading past it is noticed. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
