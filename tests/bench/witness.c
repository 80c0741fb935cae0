#include "tests/bench/witness.h"

#include <string.h>

#include "base/check.h"

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static struct witness_drive *drive_at(struct witness *witness, int board, int resource)
{
    HF_CHECK(board >= 0 && board < witness->board_count);
    HF_CHECK(resource >= 0 && resource < witness->resource_count);
    return &witness->resources[resource].boards[board];
}

static struct witness_line *line_at(struct witness *witness, int board, int resource, int line)
{
    struct witness_drive *drive = drive_at(witness, board, resource);
    HF_CHECK(line >= 0 && line < witness->resources[resource].line_count);
    return &drive->lines[line];
}

void witness_init(struct witness *witness, int boards, witness_report *report, void *context)
{
    HF_CHECK(boards > 0 && boards <= WITNESS_BOARDS_MAX);
    memset(witness, 0, sizeof *witness);
    witness->board_count = boards;
    witness->report = report;
    witness->context = context;
}

int witness_add_resource(struct witness *witness)
{
    HF_CHECK(witness->resource_count < WITNESS_RESOURCES_MAX);
    return witness->resource_count++;
}

int witness_add_line(struct witness *witness, int resource, enum witness_kind kind, int64_t hold_ns)
{
    HF_CHECK(resource >= 0 && resource < witness->resource_count);
    struct witness_resource *entry = &witness->resources[resource];
    HF_CHECK(entry->line_count < WITNESS_LINES_MAX);
    HF_CHECK(kind == WITNESS_GPIO || hold_ns > 0);
    entry->kinds[entry->line_count] = kind;
    entry->hold_ns[entry->line_count] = hold_ns;
    return entry->line_count++;
}

/* The end of the board's current interval as known now, or of its last one. */
static int64_t drive_end_ns(const struct witness_resource *resource,
                            const struct witness_drive *drive)
{
    int64_t end = drive->until_ns;
    for (int i = 0; drive->lines_on > 0 && i < resource->line_count; i++)
        if (drive->lines[i].on)
            end = later(end, drive->lines[i].until_ns);
    return end;
}

static void report_overlap(struct witness *witness, int resource, int board, int other)
{
    struct witness_drive *mine = &witness->resources[resource].boards[board];
    const struct witness_drive *theirs = &witness->resources[resource].boards[other];
    if (mine->reported_own[other] == mine->serial && mine->reported_other[other] == theirs->serial)
        return;
    struct witness_drive *back = &witness->resources[resource].boards[other];
    mine->reported_own[other] = back->reported_other[board] = mine->serial;
    mine->reported_other[other] = back->reported_own[board] = theirs->serial;
    witness->overlaps++;
    witness->report(witness->context,
                    &(struct witness_event){ .type = WITNESS_EVENT_OVERLAP,
                                             .at_ns = later(mine->from_ns, theirs->from_ns),
                                             .resource = resource,
                                             .board = board,
                                             .other = other,
                                             .since_ns = mine->from_ns,
                                             .other_since_ns = theirs->from_ns });
}

/* The board's current interval began or grew: compare it with every other board's. */
static void check_overlaps(struct witness *witness, int resource, int board)
{
    const struct witness_resource *entry = &witness->resources[resource];
    const struct witness_drive *mine = &entry->boards[board];
    int64_t end = drive_end_ns(entry, mine);
    for (int other = 0; other < witness->board_count; other++) {
        const struct witness_drive *theirs = &entry->boards[other];
        if (other == board || theirs->serial == 0)
            continue;
        if (later(mine->from_ns, theirs->from_ns) <
            (end < drive_end_ns(entry, theirs) ? end : drive_end_ns(entry, theirs)))
            report_overlap(witness, resource, board, other);
    }
}

static void report_level(struct witness *witness, enum witness_event_type type, int board,
                         int resource, int line, bool level, int64_t at_ns)
{
    witness->report(witness->context, &(struct witness_event){ .type = type,
                                                               .at_ns = at_ns,
                                                               .resource = resource,
                                                               .board = board,
                                                               .line = line,
                                                               .level = level });
}

/*
 * The relay is on from since_ns until at least until_ns. An interval that would begin inside the
 * last one continues it, so that nothing of either is lost.
 */
static void raise_line(struct witness *witness, int board, int resource, int index,
                       int64_t since_ns, int64_t until_ns)
{
    struct witness_drive *drive = drive_at(witness, board, resource);
    struct witness_line *line = &drive->lines[index];
    if (line->on) {
        line->until_ns = later(line->until_ns, until_ns);
        check_overlaps(witness, resource, board);
        return;
    }
    int64_t start_ns = later(since_ns, line->until_ns);
    line->on = true;
    line->until_ns = later(until_ns, start_ns);
    report_level(witness, WITNESS_EVENT_LINE, board, resource, index, true, start_ns);
    if (drive->lines_on++ == 0) {
        int64_t from_ns = later(since_ns, drive->until_ns);
        if (drive->serial == 0 || from_ns > drive->until_ns) {
            drive->from_ns = from_ns;
            drive->serial++;
        }
        report_level(witness, WITNESS_EVENT_DRIVE, board, resource, 0, true, from_ns);
    } else if (since_ns < drive->from_ns) {
        /* Another line of this board, read sooner but raised later: the drive began with this one.
         */
        drive->from_ns = since_ns;
    }
    check_overlaps(witness, resource, board);
}

static void lower_line(struct witness *witness, int board, int resource, int index, int64_t at_ns)
{
    struct witness_drive *drive = drive_at(witness, board, resource);
    struct witness_line *line = &drive->lines[index];
    if (!line->on)
        return;
    line->on = false;
    line->until_ns = at_ns;
    report_level(witness, WITNESS_EVENT_LINE, board, resource, index, false, at_ns);
    /* Lines that go off in one batch may be lowered out of order: the latest counts. */
    drive->until_ns = later(drive->until_ns, at_ns);
    if (--drive->lines_on == 0)
        report_level(witness, WITNESS_EVENT_DRIVE, board, resource, 0, false, drive->until_ns);
}

/* A gpio line's edge, or a pulse line's rising one: on from now. */
static int64_t commanded_until(const struct witness_resource *kind, int line, bool level,
                               int64_t latest_ns)
{
    if (kind->kinds[line] == WITNESS_PULSE)
        return latest_ns + kind->hold_ns[line];
    return level ? WITNESS_FOREVER : latest_ns;
}

void witness_set_level(struct witness *witness, int board, int resource, int line, bool level,
                       int64_t earliest_ns, int64_t latest_ns)
{
    HF_CHECK(earliest_ns <= latest_ns);
    struct witness_line *entry = line_at(witness, board, resource, line);
    const struct witness_resource *kind = &witness->resources[resource];
    if (entry->level == level)
        return;
    entry->level = level;
    if (!level && kind->kinds[line] == WITNESS_PULSE)
        return;
    witness_advance(witness, earliest_ns);
    entry->commanded_until_ns = commanded_until(kind, line, level, latest_ns);
    if (entry->force != WITNESS_FORCE_NONE)
        return;
    if (level)
        raise_line(witness, board, resource, line, earliest_ns, entry->commanded_until_ns);
    else
        lower_line(witness, board, resource, line, latest_ns);
}

void witness_set_force(struct witness *witness, int board, int resource, int line,
                       enum witness_force force, int64_t at_ns)
{
    struct witness_line *entry = line_at(witness, board, resource, line);
    witness_advance(witness, at_ns);
    entry->force = force;
    int64_t until_ns = entry->commanded_until_ns;
    if (force == WITNESS_FORCE_ON)
        until_ns = WITNESS_FOREVER;
    else if (force == WITNESS_FORCE_OFF)
        until_ns = at_ns;
    if (until_ns <= at_ns) {
        lower_line(witness, board, resource, line, at_ns);
    } else {
        raise_line(witness, board, resource, line, at_ns, until_ns);
        entry->until_ns = until_ns;
    }
}

/* Finds the line that ends first; false if none ends by itself. */
static bool find_next(const struct witness *witness, int *board, int *resource, int *line,
                      int64_t *end_ns)
{
    *end_ns = WITNESS_FOREVER;
    for (int r = 0; r < witness->resource_count; r++)
        for (int b = 0; b < witness->board_count; b++) {
            const struct witness_drive *drive = &witness->resources[r].boards[b];
            for (int i = 0; drive->lines_on > 0 && i < witness->resources[r].line_count; i++)
                if (drive->lines[i].on && drive->lines[i].until_ns < *end_ns) {
                    *end_ns = drive->lines[i].until_ns;
                    *board = b;
                    *resource = r;
                    *line = i;
                }
        }
    return *end_ns < WITNESS_FOREVER;
}

void witness_advance(struct witness *witness, int64_t now_ns)
{
    int board = 0;
    int resource = 0;
    int line = 0;
    int64_t end_ns = 0;
    /* Each turn lowers one line, so this ends. */
    while (find_next(witness, &board, &resource, &line, &end_ns) && end_ns <= now_ns)
        lower_line(witness, board, resource, line, end_ns);
}

int64_t witness_next_ns(const struct witness *witness)
{
    int board = 0;
    int resource = 0;
    int line = 0;
    int64_t end_ns = 0;
    (void)find_next(witness, &board, &resource, &line, &end_ns);
    return end_ns;
}

bool witness_line_on(const struct witness *witness, int board, int resource, int line)
{
    return witness->resources[resource].boards[board].lines[line].on;
}

bool witness_drives(const struct witness *witness, int board, int resource)
{
    return witness->resources[resource].boards[board].lines_on > 0;
}

bool witness_drove_at(const struct witness *witness, int board, int resource, int64_t at_ns)
{
    const struct witness_resource *entry = &witness->resources[resource];
    const struct witness_drive *drive = &entry->boards[board];
    return drive->serial != 0 && at_ns >= drive->from_ns && at_ns < drive_end_ns(entry, drive);
}
