/*
 * A borrowed run of bytes. The owner keeps them alive for as long as the callee says.
 */
#ifndef HOLDFAST_CORE_BASE_BYTES_H
#define HOLDFAST_CORE_BASE_BYTES_H

#include <stddef.h>
#include <stdint.h>

struct bytes {
    const uint8_t *data;
    size_t length;
};

#endif
