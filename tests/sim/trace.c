#include "tests/sim/trace.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "base/check.h"
#include "lease/codec.h"
#include "tests/sim/sim.h"

enum { TEXT_MAX = 160 };

/* ---- lines */

static void put(const struct world *world, int64_t at_us, const char *who, const char *what)
{
    struct trace *trace = world->settings.trace;
    int64_t ms = (at_us + 500) / 1000;
    if (at_us >= trace->from_us)
        fprintf(trace->out, "%4" PRId64 ".%03" PRId64 "  %-8s  %s\n", ms / 1000, ms % 1000, who,
                what);
}

/* A line that stays on has its off_us pushed ahead by every edge: once it is past, it was off. */
static void poll_lines(const struct world *world)
{
    struct trace *trace = world->settings.trace;
    for (int board = 0; board < world->board_count; board++) {
        for (int i = 0; i < world->resource_count; i++) {
            char text[TEXT_MAX];
            bool on = line_is_on(&world->board[board].line[i], world->now_us);
            bool *was_on = &trace->was_on[board][i];
            if (*was_on && !on) {
                snprintf(text, sizeof(text), "%s: line off", world->resource[i].text);
                *was_on = false;
                put(world, world->board[board].line[i].off_us,
                    world->name[board_node(world, board)].text, text);
            }
            *was_on = on;
        }
    }
}

static void sum_up(const struct world *world, int board)
{
    struct trace *trace = world->settings.trace;
    struct trace_renewals *renewals = &trace->of[board];
    char text[TEXT_MAX];
    if (renewals->sent == 0)
        return;
    /* One that is still under way belongs to the next sum. */
    bool waits = renewals->sent == 1 && renewals->confirmed == 0 &&
                 world->now_us - renewals->since_us < world->plan.ttl_us / 4;
    if (waits)
        return;
    int64_t since_ms = (renewals->since_us + 500) / 1000;
    snprintf(text, sizeof(text),
             "... since %" PRId64 ".%03" PRId64
             " renewals: %u sent, %u confirmed; disk flushes: %u",
             since_ms / 1000, since_ms % 1000, renewals->sent, renewals->confirmed,
             trace->flushes - renewals->flushes);
    put(world, world->now_us, world->name[board_node(world, board)].text, text);
    renewals->sent = 0;
    renewals->confirmed = 0;
}

static void put_now(const struct world *world, const char *who, const char *what)
{
    poll_lines(world);
    for (int board = 0; board < world->board_count; board++)
        sum_up(world, board);
    put(world, world->now_us, who, what);
}

__attribute__((format(printf, 3, 4))) static void say(const struct world *world, int node,
                                                      const char *format, ...)
{
    char text[TEXT_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    put_now(world, world->name[node].text, text);
}

void trace_line(const struct world *world, const char *line)
{
    char who[TEXT_MAX];
    const char *what = strstr(line, ": ");
    if (!world->settings.trace || !what || strstr(line, ": connection to ") ||
        strstr(line, ": entry "))
        return;
    snprintf(who, sizeof(who), "%.*s", (int)(what - line), line);
    put_now(world, who, what + 2);
}

/* ---- issuers */

static void put_commit(const struct world *world, int issuer, const struct raft_entry *entry)
{
    struct lease_command command;
    unsigned long long index = entry->index;
    if (entry->kind != RAFT_ENTRY_COMMAND ||
        !lease_command_decode(&command, (struct bytes){ entry->data, entry->length })) {
        say(world, issuer, "entry %llu committed: no-op of term %llu", index,
            (unsigned long long)entry->term);
        return;
    }
    const char *resource = command.resource.text;
    switch (command.kind) {
    case LEASE_COMMAND_GRANT:
        say(world, issuer, "entry %llu committed: GRANT %s to %s, token %llu", index, resource,
            command.holder.text, index);
        return;
    case LEASE_COMMAND_RELEASE:
        say(world, issuer, "entry %llu committed: RELEASE %s by %s, token %llu, %s", index,
            resource, command.holder.text, (unsigned long long)command.token,
            command.fenced ? "proven off" : "not proven");
        return;
    case LEASE_COMMAND_EXPIRE:
        say(world, issuer, "entry %llu committed: EXPIRE %s of %s, token %llu", index, resource,
            command.holder.text, (unsigned long long)command.token);
        return;
    case LEASE_COMMAND_PIN:
        say(world, issuer, "entry %llu committed: %s %s%s%s", index,
            command.pinned ? "PIN" : "UNPIN", resource, command.pinned ? " to " : "",
            command.pinned ? command.holder.text : "");
        return;
    case LEASE_COMMAND_REMOVE:
        say(world, issuer, "entry %llu committed: REMOVE %s", index, resource);
        return;
    case LEASE_COMMAND_NOTE:
        say(world, issuer, "entry %llu committed: note", index);
        return;
    case LEASE_COMMAND_OVERRULE:
        say(world, issuer, "entry %llu committed: OVERRULE %s, token %llu of %s", index, resource,
            (unsigned long long)command.token, command.holder.text);
        return;
    case LEASE_COMMAND_STUCK:
        say(world, issuer, "entry %llu committed: STUCK %s at %s", index, resource,
            command.holder.text);
        return;
    case LEASE_COMMAND_CLEAR:
        say(world, issuer, "entry %llu committed: CLEAR %s %s %s", index, resource,
            command.go ? "though on at" : "at", command.holder.text);
        return;
    case LEASE_COMMAND_KINDS:
        break;
    }
    hf_panic(__FILE__, __LINE__, "command");
}

static void put_free(const struct world *world, int issuer, const struct lease_record *record)
{
    const struct replica *replica = world->issuer[issuer].replica;
    struct instant free_at = issuer_free_at(&replica->issuer, &record->resource);
    int64_t free_ms = (clock_true_us(world, issuer, free_at) + 500) / 1000;
    say(world, issuer,
        "%s is %s's by token %llu; nobody else gets it before %" PRId64 ".%03" PRId64,
        record->resource.text, record->holder.text, (unsigned long long)record->token,
        free_ms / 1000, free_ms % 1000);
}

static void put_leases_of(const struct world *world, int issuer)
{
    const struct lease_table *table = &world->issuer[issuer].replica->table;
    for (uint32_t i = 0; i < table->count; i++) {
        if (!name_empty(&table->record[i].holder))
            put_free(world, issuer, &table->record[i]);
    }
}

void trace_leases(const struct world *world)
{
    struct trace *trace = world->settings.trace;
    int leader = sim_issuer_leader(world);
    if (!trace || leader < 0 || trace->leases_us == world->now_us)
        return;
    trace->leases_us = world->now_us;
    put_leases_of(world, leader);
}

static void poll_issuer(const struct world *world, int issuer)
{
    struct trace *trace = world->settings.trace;
    const struct replica *replica = world->issuer[issuer].replica;
    bool serving = world->issuer[issuer].process.up && replica_serving(replica);
    uint64_t applied = world->issuer[issuer].process.up ? replica->table.applied : 0;
    while (trace->committed < applied) {
        const struct raft_entry *entry = raft_entry_at(&replica->raft, ++trace->committed);
        if (entry)
            put_commit(world, issuer, entry);
    }
    if (serving && !trace->serving[issuer]) {
        say(world, issuer, "serves");
        for (int board = 0; board < world->board_count; board++)
            trace->of[board].wanted = true;
        put_leases_of(world, issuer);
    }
    trace->serving[issuer] = serving;
}

void trace_poll(const struct world *world)
{
    if (!world->settings.trace)
        return;
    poll_lines(world);
    for (int i = 0; i < world->issuer_count; i++)
        poll_issuer(world, i);
}

void trace_flush_begins(const struct world *world, int issuer)
{
    struct trace *trace = world->settings.trace;
    if (!trace)
        return;
    trace->flushes++;
    if (trace->disk)
        say(world, issuer, "disk: flush begins; log up to entry %llu",
            (unsigned long long)world->issuer[issuer].replica->raft.last_index);
}

void trace_flush_done(const struct world *world, int issuer)
{
    if (world->settings.trace && world->settings.trace->disk)
        say(world, issuer, "disk: flush done");
}

/* ---- messages about leases */

static void put_who_confirmed(const struct world *world, int issuer, int board, uint64_t nonce)
{
    const struct oracle_issuer *seen = &world->oracle.issuer[issuer];
    const struct oracle_renewal *renewal =
        &world->oracle.board[board].renewal[nonce % ORACLE_RENEWALS];
    char text[TEXT_MAX] = "";
    size_t length = 0;
    for (int i = 0; i < world->issuer_count; i++) {
        if (i != issuer && seen->reply_sent_us[i] < renewal->received_us[issuer])
            continue;
        length += (size_t)snprintf(text + length, sizeof(text) - length, "%s%s",
                                   length > 0 ? ", " : "", world->name[i].text);
    }
    say(world, issuer, "renewal of %s answered: %s confirmed term %llu since it came",
        world->name[board_node(world, board)].text, text,
        (unsigned long long)world->issuer[issuer].replica->raft.term);
}

void trace_issuer_says(const struct world *world, int issuer, int board,
                       const struct lease_message *message)
{
    struct trace *trace = world->settings.trace;
    const char *to = world->name[board_node(world, board)].text;
    unsigned long long token = message->token;
    int resource = world_resource(world, &message->resource);
    if (!trace)
        return;
    /* What it says follows from what it applied. */
    poll_issuer(world, issuer);
    switch (message->kind) {
    case LEASE_GRANTED:
        trace->asked[board][resource] = false;
        trace->queued[board][resource] = 0;
        say(world, issuer, "to %s: granted %s, token %llu: renew once before driving", to,
            message->resource.text, token);
        return;
    case LEASE_QUEUED:
        if (trace->queued[board][resource] != message->position)
            say(world, issuer, "to %s: number %u in the queue for %s", to, message->position,
                message->resource.text);
        trace->queued[board][resource] = message->position;
        return;
    case LEASE_YIELD:
        say(world, issuer, "to %s: yield %s, token %llu%s%s", to, message->resource.text, token,
            name_empty(&message->holder) ? "" : ", to ", message->holder.text);
        return;
    case LEASE_RELEASED:
    case LEASE_LOST:
        say(world, issuer, "to %s: %s token %llu is %s", to, message->resource.text, token,
            message->kind == LEASE_LOST ? "yours no more" : "released");
        return;
    case LEASE_REFUSED:
        say(world, issuer, "to %s: %s refused: %s", to, message->resource.text, message->text);
        return;
    case LEASE_RENEWED:
        if (trace->of[board].shown && trace->of[board].nonce == message->nonce)
            put_who_confirmed(world, issuer, board, message->nonce);
        return;
    case LEASE_NOTED:
        say(world, issuer, "to %s: noted: an output of %s is %s", to, message->resource.text,
            message->fenced ? "off again" : "stuck on");
        return;
    case LEASE_STUCK:
    case LEASE_LEADER:
    case LEASE_ACQUIRE:
    case LEASE_WITHDRAW:
    case LEASE_RENEW:
    case LEASE_RELEASE:
    case LEASE_MESSAGE_KINDS:
        return;
    }
}

static void note_renewal(const struct world *world, int board, const struct lease_message *message)
{
    struct trace *trace = world->settings.trace;
    struct trace_renewals *renewals = &trace->of[board];
    if (renewals->nonce == message->nonce)
        return;
    renewals->nonce = message->nonce;
    renewals->shown = false;
    for (uint8_t i = 0; i < message->item_count; i++) {
        int resource = world_resource(world, &message->items[i].resource);
        bool first = renewals->shown_token[resource] != message->items[i].token;
        if (!first && !trace->renewals && !renewals->wanted)
            continue;
        renewals->shown_token[resource] = message->items[i].token;
        renewals->shown = true;
        say(world, board_node(world, board), "asks for %s renewal of %s, token %llu",
            first ? "the first" : "a", world->resource[resource].text,
            (unsigned long long)message->items[i].token);
    }
    renewals->wanted = false;
    if (renewals->shown)
        return;
    if (renewals->sent++ == 0) {
        renewals->since_us = world->now_us;
        renewals->flushes = trace->flushes;
    }
}

void trace_agent_says(const struct world *world, int board, const struct lease_message *message)
{
    struct trace *trace = world->settings.trace;
    int node = board_node(world, board);
    if (!trace)
        return;
    if (message->kind == LEASE_RENEW) {
        note_renewal(world, board, message);
        return;
    }
    int resource = world_resource(world, &message->resource);
    bool *asked = &trace->asked[board][resource];
    uint64_t *released = &trace->released[board][resource];
    if (message->kind == LEASE_ACQUIRE && !*asked)
        say(world, node, "asks for %s, priority %d", message->resource.text, message->priority);
    if (message->kind == LEASE_RELEASE && *released != message->token)
        say(world, node, "releases %s, token %llu, %s", message->resource.text,
            (unsigned long long)message->token,
            message->fenced ? "outputs proven off" : "nothing proven");
    if (message->kind == LEASE_RELEASE)
        *released = message->token;
    if (message->kind == LEASE_STUCK)
        say(world, node, "says that an output of %s is %s", message->resource.text,
            message->fenced ? "off again" : "stuck on");
    else
        *asked = message->kind == LEASE_ACQUIRE;
}

void trace_renewed(const struct world *world, int board, const struct lease_message *message)
{
    struct trace *trace = world->settings.trace;
    if (!trace || message->nonce != trace->of[board].nonce)
        return;
    if (!trace->of[board].shown)
        trace->of[board].confirmed++;
}

void trace_end(const struct world *world)
{
    if (!world->settings.trace)
        return;
    poll_lines(world);
    for (int board = 0; board < world->board_count; board++)
        sum_up(world, board);
    put(world, world->now_us, "", "end");
}
