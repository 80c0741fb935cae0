/*
 * FNV-1a, 64 bits: sums against bits that fall over, not against people. What it sums is on disks and
 * between nodes, so it stays as it is.
 * Source: draft-eastlake-fnv, "The FNV Non-Cryptographic Hash Algorithm".
 */
#ifndef HOLDFAST_CORE_BASE_FNV_H
#define HOLDFAST_CORE_BASE_FNV_H

#include <stddef.h>
#include <stdint.h>

#define FNV_START UINT64_C(0xcbf29ce484222325)

/* `hash` is FNV_START, or what an earlier call returned: then the data goes on. */
static inline uint64_t fnv_add(uint64_t hash, const void *data, size_t length)
{
    const uint8_t *bytes = data;
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
    return hash;
}

#endif
