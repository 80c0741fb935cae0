/* Frames come out whole, however the stream is cut, and bad lengths are named. */
#include "tests/unit/support/unit.h"

#include <string.h>

#include "peer/frame.h"
#include "wire/wire.h"

enum { FRAMES = 5 };
static const uint32_t lengths[FRAMES] = { 1, 300, 5000, WIRE_FRAME_MAX, 7 };
static uint8_t stream[5 * FRAME_HEADER_BYTES + 1 + 300 + 5000 + WIRE_FRAME_MAX + 7];

static void fill_stream(void)
{
    uint8_t *at = stream;
    for (int i = 0; i < FRAMES; i++) {
        frame_header_put(at, lengths[i]);
        memset(at + FRAME_HEADER_BYTES, i + 1, lengths[i]);
        at += FRAME_HEADER_BYTES + lengths[i];
    }
}

static void frames_come_out_whole_however_the_stream_is_cut(void **state)
{
    static const size_t cuts[] = { 1, 2, 3, 5, 7, 100, 303, 304, 305, 4096, 8192, sizeof(stream) };
    (void)state;
    fill_stream();
    for (size_t c = 0; c < sizeof(cuts) / sizeof(cuts[0]); c++) {
        struct frame_reader reader = { 0 };
        int seen = 0;
        for (size_t at = 0; at < sizeof(stream); at += cuts[c]) {
            size_t left = sizeof(stream) - at;
            struct bytes input = { stream + at, left < cuts[c] ? left : cuts[c] };
            struct bytes frame;
            uint32_t length;
            enum frame_result result;
            while ((result = frame_read(&reader, &input, &frame, &length)) == FRAME_READY) {
                assert_true(seen < FRAMES);
                assert_int_equal(frame.length, lengths[seen]);
                assert_int_equal(frame.data[0], seen + 1);
                assert_int_equal(frame.data[frame.length - 1], seen + 1);
                seen++;
            }
            assert_int_equal(result, FRAME_MORE);
            assert_int_equal(input.length, 0);
        }
        assert_int_equal(seen, FRAMES);
        assert_true(reader.capacity <= FRAME_KEEP_BYTES);
        frame_free(&reader);
    }
}

static void length_outside_the_limits_is_named(void **state)
{
    static const uint32_t bad[] = { 0, WIRE_FRAME_MAX + 1, 0x80000000u, UINT32_MAX };
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        for (size_t first = 1; first <= FRAME_HEADER_BYTES; first++) {
            uint8_t header[FRAME_HEADER_BYTES];
            frame_header_put(header, bad[i]);
            struct frame_reader reader = { 0 };
            struct bytes frame;
            uint32_t length = 1;
            struct bytes input = { header, first };
            enum frame_result result = frame_read(&reader, &input, &frame, &length);
            if (first < FRAME_HEADER_BYTES) {
                assert_int_equal(result, FRAME_MORE);
                input = (struct bytes){ header + first, FRAME_HEADER_BYTES - first };
                result = frame_read(&reader, &input, &frame, &length);
            }
            assert_int_equal(result, FRAME_BAD_LENGTH);
            assert_int_equal(length, bad[i]);
            frame_free(&reader);
        }
    }
}

static void announced_length_alone_takes_no_memory(void **state)
{
    uint8_t bytes[FRAME_HEADER_BYTES + 10] = { 0 };
    (void)state;
    frame_header_put(bytes, WIRE_FRAME_MAX);
    struct frame_reader reader = { 0 };
    struct bytes frame;
    uint32_t length;
    struct bytes input = { bytes, sizeof(bytes) };
    assert_int_equal(frame_read(&reader, &input, &frame, &length), FRAME_MORE);
    assert_true(reader.capacity <= FRAME_KEEP_BYTES);
    frame_free(&reader);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_come_out_whole_however_the_stream_is_cut),
        cmocka_unit_test(length_outside_the_limits_is_named),
        cmocka_unit_test(announced_length_alone_takes_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
