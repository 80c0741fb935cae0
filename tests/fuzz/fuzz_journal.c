/*
 * A journal on a damaged disk: bytes are changed, then, if the input says so, all checksums made
 * good again, as only a forger or a bug would. Whatever opens is a whole log, and goes on working.
 */
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <string.h>

#include "store/crc32c.h"
#include "store/format.h"
#include "store/journal.h"

enum {
    SLOT_BYTES = 64 * 1024, /* kept; behind it a slot reads as zero and takes nothing */
    SNAPSHOT_BYTES = 4096,
    GROWTH_BYTES = 8192,
    ENTRIES = 6,
    EDIT_BYTES = 5,
    WIDE = 256 /* edits reach this far behind the place where frames begin */
};

struct disk {
    uint8_t bytes[DISK_SLOTS][SLOT_BYTES];
    uint64_t size[DISK_SLOTS];
};

static struct disk disk;
static struct disk good; /* as a healthy journal left it */
static struct journal journal;
static struct journal_recovered recovered;
static struct raft_entry entries[RAFT_LOG_MAX];
static uint8_t recovered_snapshot[SNAPSHOT_BYTES];
static uint8_t snapshot[SNAPSHOT_BYTES];
static uint8_t buffers[2][4 * 1024 * 1024];

static int disk_read(void *context, int slot, uint64_t offset, void *data, size_t length)
{
    (void)context;
    HF_CHECK(offset <= disk.size[slot] && length <= disk.size[slot] - offset);
    memset(data, 0, length);
    if (offset < SLOT_BYTES)
        memcpy(data, disk.bytes[slot] + offset,
               length < SLOT_BYTES - offset ? length : SLOT_BYTES - offset);
    return 0;
}

static int disk_write(void *context, int slot, uint64_t offset, const void *data, size_t length)
{
    (void)context;
    HF_CHECK(offset <= disk.size[slot] && length <= disk.size[slot] - offset);
    if (offset + length > SLOT_BYTES)
        return ENOSPC;
    memcpy(disk.bytes[slot] + offset, data, length);
    return 0;
}

static int disk_sync(void *context, int slot)
{
    (void)context;
    (void)slot;
    return 0;
}

static int disk_size(void *context, int slot, uint64_t *bytes)
{
    (void)context;
    *bytes = disk.size[slot];
    return 0;
}

static int disk_preallocate(void *context, int slot, uint64_t bytes)
{
    (void)context;
    if (bytes > disk.size[slot])
        disk.size[slot] = bytes;
    return 0;
}

static enum journal_result open_journal(void)
{
    static const struct disk_ops ops = { .read = disk_read,
                                         .write = disk_write,
                                         .sync = disk_sync,
                                         .size = disk_size,
                                         .preallocate = disk_preallocate };
    struct journal_config config = { .ops = &ops,
                                     .cluster = "line-3",
                                     .entries = entries,
                                     .recovered_snapshot = recovered_snapshot,
                                     .snapshot = snapshot,
                                     .snapshot_capacity = SNAPSHOT_BYTES,
                                     .buffer = { buffers[0], buffers[1] },
                                     .growth_bytes = GROWTH_BYTES };
    HF_CHECK(journal_buffer_bytes(SNAPSHOT_BYTES) <= sizeof(buffers[0]));
    HF_CHECK(name_from_string(&config.node, "board-a"));
    memset(&journal, 0, sizeof(journal));
    memset(&recovered, 0, sizeof(recovered));
    return journal_open(&journal, &config, &recovered);
}

/* ---- a healthy journal */

static struct raft_entry written[ENTRIES + 1];

static const struct raft_entry *entry_at(const void *log, uint64_t index)
{
    (void)log;
    return index >= 1 && index <= ENTRIES ? &written[index] : NULL;
}

static enum journal_result flush(const struct raft_persist *persist)
{
    const struct journal_log log = { entry_at, NULL };
    enum journal_result result = journal_append(&journal, persist, &log);
    if (result != JOURNAL_OK)
        return result;
    HF_CHECK(journal_take(&journal));
    return journal_flush(&journal);
}

static void write_good(void)
{
    HF_CHECK(open_journal() == JOURNAL_OK && recovered.fresh);
    for (uint64_t i = 1; i <= ENTRIES; i++) {
        struct raft_persist persist = { .wanted = true,
                                        .seq = i,
                                        .hard_state = true,
                                        .term = i,
                                        .first_index = i,
                                        .last_index = i };
        HF_CHECK(name_from_string(&persist.vote, "board-b"));
        written[i].index = i;
        written[i].term = i;
        written[i].length = 40;
        HF_CHECK(flush(&persist) == JOURNAL_OK);
    }
    /* Most of what was reserved is still zero: a shorter file says the same, and is read faster. */
    for (int slot = 0; slot < DISK_SLOTS; slot++) {
        if (disk.size[slot] > SLOT_BYTES)
            disk.size[slot] = SLOT_BYTES;
    }
    good = disk;
}

/* ---- damage */

static void edit(const uint8_t *at)
{
    int slot = at[0] & 1;
    uint64_t base = at[0] & 2 ? FORMAT_FRAMES_AT : at[0] & 4 ? FORMAT_HEADER_COPY_AT : 0;
    uint64_t offset = base + (at[1] | (uint64_t)at[2] << 8) % (at[0] & 8 ? 4096 : WIDE);
    for (int i = 0; i <= at[0] >> 6; i++)
        disk.bytes[slot][offset + (uint64_t)i] = at[0] & 16 ? at[3] : (uint8_t)(at[3] ^ at[4]);
}

static void shorten(int slot, uint64_t size)
{
    if (size >= disk.size[slot])
        return;
    disk.size[slot] = size;
    memset(disk.bytes[slot] + size, 0, SLOT_BYTES - size);
}

static void mend_header(uint8_t *header)
{
    format_put_u32(header + FORMAT_HEADER_BYTES - 4, crc32c(0, header, FORMAT_HEADER_BYTES - 4));
}

static void mend(int slot)
{
    uint8_t *bytes = disk.bytes[slot];
    mend_header(bytes);
    mend_header(bytes + FORMAT_HEADER_COPY_AT);
    for (uint64_t at = FORMAT_FRAMES_AT; at + FORMAT_FRAME_BYTES <= SLOT_BYTES;) {
        uint8_t *frame = bytes + at;
        uint64_t length = format_get_u32(frame + 4);
        if (length > SLOT_BYTES - at - FORMAT_FRAME_BYTES || length == 0)
            return;
        format_put_u32(frame + 28, crc32c(0, frame + FORMAT_FRAME_BYTES, length));
        format_put_u32(frame + FORMAT_FRAME_BYTES - 4, crc32c(0, frame, FORMAT_FRAME_BYTES - 4));
        at = format_align(at + FORMAT_FRAME_BYTES + length);
    }
}

static void check_recovered(void)
{
    const struct raft_recovered *raft = &recovered.raft;
    HF_CHECK(raft->entry_count <= RAFT_LOG_MAX);
    for (size_t i = 0; i < raft->entry_count; i++) {
        HF_CHECK(raft->entries[i].index == raft->snapshot_index + 1 + i);
        HF_CHECK(raft->entries[i].length <= RAFT_ENTRY_DATA_MAX);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (good.size[0] == 0 && good.size[1] == 0)
        write_good();
    if (size == 0)
        return 0;
    disk = good;
    if (data[0] & 2)
        shorten(data[0] >> 7, (uint64_t)(data[0] >> 2 & 31) * 1024);
    for (size_t at = 1; at + EDIT_BYTES <= size; at += EDIT_BYTES)
        edit(data + at);
    for (int slot = 0; slot < DISK_SLOTS && (data[0] & 1); slot++)
        mend(slot);
    enum journal_result result = open_journal();
    HF_CHECK(result < JOURNAL_RESULTS);
    if (result != JOURNAL_OK) {
        HF_CHECK(journal.error[0] != '\0');
        return 0;
    }
    check_recovered();
    uint64_t term = recovered.raft.term;
    struct raft_persist persist = {
        .wanted = true, .seq = 1, .hard_state = true, .term = term + 1, .first_index = 1
    };
    if (term < UINT64_MAX && flush(&persist) == JOURNAL_OK) {
        HF_CHECK(open_journal() == JOURNAL_OK);
        check_recovered();
        HF_CHECK(recovered.raft.term == term + 1);
    }
    return 0;
}
