/* CRC-32C (Castagnoli), as in RFC 3720 B.4. Pure. */
#ifndef HOLDFAST_STORE_CRC32C_H
#define HOLDFAST_STORE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Continues `crc` (0 to begin with) over `length` bytes. */
uint32_t crc32c(uint32_t crc, const void *data, size_t length);

#endif
