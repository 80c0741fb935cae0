#include "peer/frame.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "wire/wire.h"

void frame_header_put(uint8_t out[FRAME_HEADER_BYTES], uint32_t length)
{
    out[0] = (uint8_t)(length >> 24);
    out[1] = (uint8_t)(length >> 16);
    out[2] = (uint8_t)(length >> 8);
    out[3] = (uint8_t)length;
}

static uint32_t header_length(const uint8_t *header)
{
    return (uint32_t)header[0] << 24 | (uint32_t)header[1] << 16 | (uint32_t)header[2] << 8 |
           header[3];
}

static bool length_allowed(uint32_t length)
{
    return length >= 1 && length <= WIRE_FRAME_MAX;
}

void frame_free(struct frame_reader *reader)
{
    free(reader->buffer);
    *reader = (struct frame_reader){ 0 };
}

/* Gives back the frame that the last call handed out: it was valid until this call. */
static void release_last(struct frame_reader *reader)
{
    if (reader->consumed == 0)
        return;
    reader->have = 0;
    reader->consumed = 0;
    if (reader->capacity > FRAME_KEEP_BYTES)
        frame_free(reader);
}

/* Moves input into the buffer until it holds `target` bytes. False if there is no memory. */
static bool gather(struct frame_reader *reader, struct bytes *input, uint32_t target)
{
    size_t missing = target - reader->have;
    size_t take = input->length < missing ? input->length : missing;
    uint32_t need = reader->have + (uint32_t)take;
    if (need > reader->capacity) {
        uint32_t capacity = reader->capacity == 0 ? FRAME_KEEP_BYTES : reader->capacity;
        while (capacity < need)
            capacity *= 2;
        uint8_t *grown = realloc(reader->buffer, capacity);
        if (grown == NULL)
            return false;
        reader->buffer = grown;
        reader->capacity = capacity;
    }
    if (take > 0)
        memcpy(reader->buffer + reader->have, input->data, take);
    reader->have = need;
    input->data += take;
    input->length -= take;
    return true;
}

static enum frame_result read_in_place(struct bytes *input, struct bytes *frame, uint32_t length)
{
    *frame = (struct bytes){ input->data + FRAME_HEADER_BYTES, length };
    input->data += FRAME_HEADER_BYTES + length;
    input->length -= FRAME_HEADER_BYTES + length;
    return FRAME_READY;
}

enum frame_result frame_read(struct frame_reader *reader, struct bytes *input, struct bytes *frame,
                             uint32_t *length)
{
    release_last(reader);
    if (input->length == 0)
        return FRAME_MORE;
    if (reader->have == 0 && input->length >= FRAME_HEADER_BYTES) {
        *length = header_length(input->data);
        if (!length_allowed(*length))
            return FRAME_BAD_LENGTH;
        if (input->length - FRAME_HEADER_BYTES >= *length)
            return read_in_place(input, frame, *length);
    }
    if (reader->have < FRAME_HEADER_BYTES && !gather(reader, input, FRAME_HEADER_BYTES))
        return FRAME_NO_MEMORY;
    if (reader->have < FRAME_HEADER_BYTES)
        return FRAME_MORE;
    *length = header_length(reader->buffer);
    if (!length_allowed(*length))
        return FRAME_BAD_LENGTH;
    if (!gather(reader, input, FRAME_HEADER_BYTES + *length))
        return FRAME_NO_MEMORY;
    if (reader->have < FRAME_HEADER_BYTES + *length)
        return FRAME_MORE;
    reader->consumed = reader->have;
    *frame = (struct bytes){ reader->buffer + FRAME_HEADER_BYTES, *length };
    return FRAME_READY;
}
