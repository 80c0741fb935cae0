/* A peer's byte stream in pieces of any size: the same frames come out as from one piece. */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "peer/frame.h"
#include "wire/wire.h"

struct sum {
    uint64_t frames;
    uint64_t digest;
    enum frame_result last;
};

static void take(struct sum *sum, struct frame_reader *reader, struct bytes input)
{
    struct bytes frame;
    uint32_t length = 0;
    while ((sum->last = frame_read(reader, &input, &frame, &length)) == FRAME_READY) {
        HF_CHECK(frame.length >= 1 && frame.length <= WIRE_FRAME_MAX);
        sum->frames++;
        for (size_t i = 0; i < frame.length; i++)
            sum->digest = (sum->digest ^ frame.data[i]) * UINT64_C(0x100000001B3);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct sum whole = { .last = FRAME_MORE };
    struct sum pieces = { .last = FRAME_MORE };
    struct frame_reader reader = { 0 };
    size_t step = (size_t)data[0] + 1;
    take(&whole, &reader, (struct bytes){ data + 1, size - 1 });
    frame_free(&reader);
    memset(&reader, 0, sizeof(reader));
    for (size_t at = 1; at < size && pieces.last == FRAME_MORE; at += step) {
        size_t length = size - at < step ? size - at : step;
        take(&pieces, &reader, (struct bytes){ data + at, length });
    }
    frame_free(&reader);
    HF_CHECK(whole.last == pieces.last);
    HF_CHECK(whole.frames == pieces.frames && whole.digest == pieces.digest);
    return 0;
}
