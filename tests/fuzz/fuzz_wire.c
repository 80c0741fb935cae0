/* Bytes from a peer: whatever decodes is in range, so it encodes, and decodes to the same again. */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "wire/wire.h"

static struct wire_message first;
static struct wire_message second;
static uint8_t once[2 * WIRE_FRAME_MAX];
static uint8_t twice[2 * WIRE_FRAME_MAX];

static void try_envelope(struct bytes bytes)
{
    if (wire_decode(&first, bytes) != NULL)
        return;
    HF_CHECK(first.kind < WIRE_KINDS);
    size_t length = wire_encode(&first, once, sizeof(once));
    HF_CHECK(length > 0);
    HF_CHECK(wire_decode(&second, (struct bytes){ once, length }) == NULL);
    HF_CHECK(wire_encode(&second, twice, sizeof(twice)) == length);
    HF_CHECK(memcmp(once, twice, length) == 0);
}

static void try_parts(struct bytes bytes)
{
    struct lease_command command;
    struct raft_members members;
    struct lease_record record;
    struct history_event event;
    if (wire_decode_command(&command, bytes))
        HF_CHECK(wire_encode_command(&command, once, sizeof(once)) > 0);
    if (wire_decode_members(&members, bytes))
        HF_CHECK(wire_encode_members(&members, once, sizeof(once)) > 0);
    if (wire_decode_record(&record, bytes))
        HF_CHECK(wire_encode_record(&record, once, sizeof(once)) > 0);
    if (wire_decode_event(&event, bytes))
        HF_CHECK(wire_encode_event(&event, once, sizeof(once)) > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct bytes rest = { data + 1, size - 1 };
    if (data[0] & 1)
        try_envelope(rest);
    else
        try_parts(rest);
    return 0;
}
