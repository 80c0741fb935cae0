/* The command `backup`: the replicated state at an index that a majority confirmed, as text. */
#include <inttypes.h>
#include <stdlib.h>

#include "backup/backup.h"
#include "console/operate.h"
#include "hal/clock.h"
#include "log/log.h"

/* More than this would keep a peer's connection from its heartbeats. */
enum { BACKUP_RELAY_MAX = 256 * 1024 };

static bool describe(struct call *call, struct backup *backup, uint8_t *bytes)
{
    const struct replica *replica = issuer_shell_replica(call->view->issuer_shell);
    *backup = (struct backup){
        .cluster = call->view->conf->cluster_name,
        .node = call->view->conf->node_id,
        .index = replica->table.applied,
        .term = replica->raft.term,
        .wall_us = hal_clock_wall_us(),
        .lease_max_us = issuer_shell_lease_max_us(replica),
        .members = replica->raft.members,
    };
    backup->table.length = lease_table_encode(&replica->table, bytes, lease_table_encoded_max());
    backup->table.data = bytes;
    return backup->table.length > 0;
}

static void answer_text(struct call *call, const struct backup *backup, const char *text,
                        size_t length)
{
    log_line(LOG_NOTICE, "operator %s%s%s: backup of entry %" PRIu64, call->caller.who.text,
             call->caller.relayed ? " via " : "", call->caller.via.text, backup->index);
    if (call->json) {
        report_token(&call->report, "index", backup->index);
        report_text(&call->report, "backup", text);
        call_answer(call);
        return;
    }
    call->sink.on_write(call->sink.context, text, length);
    call_finish(call, CALL_OK);
}

static void backup_answer(struct call *call)
{
    struct backup backup;
    size_t capacity = backup_text_max(lease_table_encoded_max());
    uint8_t *bytes = malloc(lease_table_encoded_max());
    char *text = malloc(capacity);
    size_t length = 0;
    const struct raft *raft = &issuer_shell_replica(call->view->issuer_shell)->raft;
    bool changing = raft_change_pending(raft);
    if (!changing && bytes != NULL && text != NULL && describe(call, &backup, bytes))
        length = backup_write(&backup, text, capacity);
    if (changing)
        call_fail(call, CALL_CONFLICT, "a change of the issuers is under way; try again");
    else if (length == 0)
        call_fail(call, CALL_FAILED, "out of memory");
    else if (call->caller.relayed && length > BACKUP_RELAY_MAX)
        call_fail(call, CALL_UNAVAILABLE,
                  "the backup has %zu bytes, too many to be passed on: ask "
                  "the console of the leader, %s",
                  length, call->view->conf->node_id.text);
    else
        answer_text(call, &backup, text, length);
    free(bytes);
    free(text);
}

void operate_backup(struct call *call)
{
    if (operate_here(call, NULL))
        call_read(call, backup_answer);
}
