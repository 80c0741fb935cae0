/*
 * Names of libc's calls that the Makefile wraps: where a long has 32 bits, those of 64-bit seconds
 * and offsets are called otherwise.
 */
#ifndef HOLDFAST_TESTS_SIM_WRAPPED_H
#define HOLDFAST_TESTS_SIM_WRAPPED_H

#include <limits.h>

#if LONG_MAX > INT_MAX
#define WRAPPED(side, name, name_of_64_bits) __asm__("__" side "_" name)
#else
#define WRAPPED(side, name, name_of_64_bits) __asm__("__" side "_" name_of_64_bits)
#endif

#endif
