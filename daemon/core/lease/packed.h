/*
 * Numbers and names of fixed width, as a snapshot has them: big-endian, names filled up with zeros.
 * What is written has room at `*at`, and what is read was counted before. Private to this folder.
 */
#ifndef HOLDFAST_CORE_LEASE_PACKED_H
#define HOLDFAST_CORE_LEASE_PACKED_H

#include <string.h>

#include "base/name.h"

static inline void put_number(uint8_t *out, size_t *at, uint64_t value, size_t width)
{
    for (size_t i = 0; i < width; i++)
        out[*at + i] = (uint8_t)(value >> (8 * (width - 1 - i)));
    *at += width;
}

static inline uint64_t take_number(const uint8_t *data, size_t *at, size_t width)
{
    uint64_t value = 0;
    for (size_t i = 0; i < width; i++)
        value = value << 8 | data[*at + i];
    *at += width;
    return value;
}

static inline void put_name(uint8_t *out, size_t *at, const struct hf_name *name)
{
    memcpy(out + *at, name->text, sizeof(name->text));
    *at += sizeof(name->text);
}

static inline bool take_name(const uint8_t *data, size_t *at, struct hf_name *name)
{
    size_t length = 0;
    while (length < HF_NAME_MAX && data[*at + length] != '\0')
        length++;
    bool good = name_set(name, (const char *)data + *at, length);
    /* One form only: what follows the name is zero. */
    good = good && memcmp(name->text, data + *at, sizeof(name->text)) == 0;
    *at += sizeof(name->text);
    return good;
}

#endif
