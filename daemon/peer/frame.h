/*
 * Frames out of a byte stream: 4 bytes big-endian length (1..WIRE_FRAME_MAX), then the envelope.
 *
 * Purpose: a frame that lies whole in the input is passed on where it lies; only a torn one is put
 *   together in memory that grows as its bytes really come, and is given back after it.
 * Owner: one peer link, which embeds it, zeroed.
 */
#ifndef HOLDFAST_PEER_FRAME_H
#define HOLDFAST_PEER_FRAME_H

#include <stdint.h>

#include "base/bytes.h"

enum { FRAME_HEADER_BYTES = 4, FRAME_KEEP_BYTES = 1024 };

struct frame_reader {
    uint8_t *buffer;
    uint32_t capacity;
    uint32_t have;     /* bytes of the torn frame, its header included */
    uint32_t consumed; /* of `have`, handed out by the last call */
};

enum frame_result {
    FRAME_MORE,       /* input is used up */
    FRAME_READY,      /* *frame is valid until the next call, and as long as the input */
    FRAME_BAD_LENGTH, /* *length says which; the stream cannot be read on */
    FRAME_NO_MEMORY
};

/* Takes from *input. `length` gets the announced length of a bad frame. */
enum frame_result frame_read(struct frame_reader *reader, struct bytes *input, struct bytes *frame,
                             uint32_t *length);

void frame_free(struct frame_reader *reader);

/* Writes the header of an envelope of `length` bytes. */
void frame_header_put(uint8_t out[FRAME_HEADER_BYTES], uint32_t length);

#endif
