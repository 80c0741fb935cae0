/*
 * Names: node ids and resources. 1 to HF_NAME_MAX characters of [A-Za-z0-9._-], not starting with
 * '-' or '.'. An empty name means "nobody" or "none". Plain data, zero padded, so that equal names
 * are equal bytes.
 */
#ifndef HOLDFAST_CORE_BASE_NAME_H
#define HOLDFAST_CORE_BASE_NAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/limits.h"

struct hf_name {
    char text[HF_NAME_MAX + 1];
};

/*
 * Sets *name from text of `length` bytes (need not be terminated). Returns false, and leaves *name
 * empty, if the text is no valid name.
 */
bool name_set(struct hf_name *name, const char *text, size_t length);

/* As name_set() for a terminated string. */
bool name_from_string(struct hf_name *name, const char *text);

/* Zero if equal; else the order of their bytes. */
int name_compare(const struct hf_name *a, const struct hf_name *b);

/*
 * By words, since nothing is asked more often. The built-in, as a call of memcpy() stays a call in a
 * freestanding build.
 */
static inline bool name_equal(const struct hf_name *a, const struct hf_name *b)
{
    uint64_t different = 0;
    for (size_t at = 0; at < sizeof(a->text); at += sizeof(uint64_t)) {
        uint64_t left;
        uint64_t right;
        __builtin_memcpy(&left, a->text + at, sizeof(left));
        __builtin_memcpy(&right, b->text + at, sizeof(right));
        different |= left ^ right;
    }
    return different == 0;
}
_Static_assert((HF_NAME_MAX + 1) % sizeof(uint64_t) == 0, "names are whole words");

static inline bool name_empty(const struct hf_name *name)
{
    return name->text[0] == '\0';
}

/* Copies at most `size` - 1 bytes of text into `out`, terminates and zero-fills it. */
void text_copy(char *out, size_t size, const char *text);

#endif
