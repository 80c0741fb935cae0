/*
 * Internal to the journal: headers of slots and frames <-> bytes.
 */
#ifndef HOLDFAST_STORE_FORMAT_H
#define HOLDFAST_STORE_FORMAT_H

#include "store/journal.h"

enum {
    FORMAT_HEADER_BYTES = 112,
    FORMAT_HEADER_COPY_AT = 4096, /* a sector of its own, on every device in use */
    FORMAT_FRAMES_AT = 8192,
    FORMAT_FRAME_BYTES = 40,
    FORMAT_RECORD_BYTES = 8,
    FORMAT_ALIGNMENT = 8
};

enum format_state { FORMAT_CURRENT = 1, FORMAT_SUPERSEDED = 2 };

struct format_header {
    uint32_t version;
    uint32_t state;
    uint64_t generation;
    uint64_t image_end; /* offset behind the image */
    char cluster[HF_NAME_MAX + 1];
    struct hf_name node;
};

struct format_frame {
    uint32_t length; /* of the payload */
    uint64_t seq;
    uint64_t generation;
    uint32_t records;
    uint32_t payload_crc;
};

enum format_record {
    FORMAT_HARD_STATE = 1, /* term u64, vote 32 bytes */
    FORMAT_ENTRY = 2,      /* index u64, term u64, kind u32, data */
    FORMAT_TRUNCATE = 3,   /* from u64 */
    FORMAT_SNAPSHOT = 4    /* index u64, term u64, members length u32, members, bytes */
};

enum {
    FORMAT_HARD_STATE_BYTES = 8 + HF_NAME_MAX + 1,
    FORMAT_ENTRY_BYTES = 20,   /* before the data */
    FORMAT_SNAPSHOT_BYTES = 20, /* before the members */
    FORMAT_MEMBERS_MAX = 512
};

void format_put_u32(uint8_t *out, uint32_t value);
void format_put_u64(uint8_t *out, uint64_t value);
uint32_t format_get_u32(const uint8_t *in);
uint64_t format_get_u64(const uint8_t *in);

void format_put_header(uint8_t out[FORMAT_HEADER_BYTES], const struct format_header *header);
bool format_get_header(struct format_header *header, const uint8_t in[FORMAT_HEADER_BYTES]);

void format_put_frame(uint8_t out[FORMAT_FRAME_BYTES], const struct format_frame *frame);
bool format_get_frame(struct format_frame *frame, const uint8_t in[FORMAT_FRAME_BYTES]);

static inline uint64_t format_align(uint64_t offset)
{
    return (offset + FORMAT_ALIGNMENT - 1) & ~(uint64_t)(FORMAT_ALIGNMENT - 1);
}

#endif
