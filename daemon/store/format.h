/*
 * Internal to the journal: headers of slots, frames and marks <-> bytes. See FORMAT.md.
 */
#ifndef HOLDFAST_STORE_FORMAT_H
#define HOLDFAST_STORE_FORMAT_H

#include "store/journal.h"

enum {
    FORMAT_HEADER_BYTES = 112,
    FORMAT_BLOCK_BYTES = 4096, /* of devices in use; what is damaged together */
    FORMAT_HEADER_COPY_AT = FORMAT_BLOCK_BYTES,
    FORMAT_MARKS_AT = 2 * FORMAT_BLOCK_BYTES, /* one block for odd, one for even sequences */
    FORMAT_MARKS = 2,
    FORMAT_FRAMES_AT = 4 * FORMAT_BLOCK_BYTES,
    FORMAT_FRAME_BYTES = 40,
    FORMAT_MARK_BYTES = 48,
    FORMAT_COPIED_MAX = FORMAT_BLOCK_BYTES - FORMAT_MARK_BYTES, /* longest frame with a copy */
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

/* That frame `seq` was written, and where; behind it the frame once more, unless too long. */
struct format_mark {
    uint32_t length; /* of the copy, 0: none */
    uint64_t seq;
    uint64_t generation;
    uint64_t offset; /* of the frame */
};

enum format_record {
    FORMAT_HARD_STATE = 1, /* term u64, vote 32 bytes */
    FORMAT_ENTRY = 2,      /* index u64, term u64, kind u32, data */
    FORMAT_TRUNCATE = 3,   /* from u64 */
    FORMAT_SNAPSHOT = 4,   /* index u64, term u64, members length u32, members, bytes */
    FORMAT_RECOVERING = 5, /* as a hard state, of an issuer that has no say yet */
    FORMAT_BEGUN = 6       /* the same, of one that was begun as a part of a new cluster */
};

enum {
    FORMAT_HARD_STATE_BYTES = 8 + HF_NAME_MAX + 1,
    FORMAT_ENTRY_BYTES = 20,    /* before the data */
    FORMAT_SNAPSHOT_BYTES = 20, /* before the members */
    FORMAT_MEMBERS_MAX = 768
};

void format_put_u32(uint8_t *out, uint32_t value);
void format_put_u64(uint8_t *out, uint64_t value);
uint32_t format_get_u32(const uint8_t *in);
uint64_t format_get_u64(const uint8_t *in);

void format_put_header(uint8_t out[FORMAT_HEADER_BYTES], const struct format_header *header);
bool format_get_header(struct format_header *header, const uint8_t in[FORMAT_HEADER_BYTES]);

void format_put_frame(uint8_t out[FORMAT_FRAME_BYTES], const struct format_frame *frame);
bool format_get_frame(struct format_frame *frame, const uint8_t in[FORMAT_FRAME_BYTES]);

void format_put_mark(uint8_t out[FORMAT_MARK_BYTES], const struct format_mark *mark);
bool format_get_mark(struct format_mark *mark, const uint8_t in[FORMAT_MARK_BYTES]);

static inline uint64_t format_mark_at(uint64_t seq)
{
    return FORMAT_MARKS_AT + seq % FORMAT_MARKS * FORMAT_BLOCK_BYTES;
}

static inline uint64_t format_next_block(uint64_t offset)
{
    return (offset / FORMAT_BLOCK_BYTES + 1) * FORMAT_BLOCK_BYTES;
}

/* Where a frame of `length` bytes goes, behind what ends at `end`: across no block's end. */
static inline uint64_t format_place(uint64_t end, size_t length)
{
    bool crosses = end / FORMAT_BLOCK_BYTES != (end + length - 1) / FORMAT_BLOCK_BYTES;
    return crosses && length <= FORMAT_BLOCK_BYTES ? format_next_block(end) : end;
}

static inline uint64_t format_align(uint64_t offset)
{
    return (offset + FORMAT_ALIGNMENT - 1) & ~(uint64_t)(FORMAT_ALIGNMENT - 1);
}

#endif
