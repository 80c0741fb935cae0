/* Bytes from a peer: whatever decodes is in range, so it encodes, and decodes to the same again. */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "lease/codec.h"
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
    if (lease_command_decode(&command, bytes))
        HF_CHECK(lease_command_encode(&command, once, sizeof(once)) > 0);
    if (raft_members_decode(&members, bytes))
        HF_CHECK(raft_members_encode(&members, once, sizeof(once)) > 0);
    if (lease_record_decode(&record, bytes))
        HF_CHECK(lease_record_encode(&record, once, sizeof(once)) > 0);
    if (history_event_decode(&event, bytes))
        HF_CHECK(history_event_encode(&event, once, sizeof(once)) > 0);
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
