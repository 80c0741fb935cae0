/* Acts on the issuers: who leads, and who they are. */
#include <stdio.h>
#include <string.h>

#include "console/operate.h"
#include "hal/clock.h"
#include "peer/address.h"

/* ---- leadership ---- */

/* A transfer is no entry of the log: it is done when this issuer sees the other one lead. */
static void leader_transfer_look(uv_timer_t *timer)
{
    struct call *call = timer->data;
    const struct raft *raft = &issuer_shell_replica(call->view->issuer_shell)->raft;
    int64_t waited_us = hal_clock_now().us - call->started_us;
    if (raft->term > call->act.act.term && name_equal(&raft->leader, &call->resource)) {
        report_text(&call->report, "done", "that issuer leads");
        report_text(&call->report, "leader", raft->leader.text);
        report_token(&call->report, "term", raft->term);
        call_answer(call);
    } else if (raft->term == call->act.act.term && raft->role == RAFT_LEADER &&
               name_empty(&raft->transfer_to)) {
        call_fail(call, CALL_CONFLICT, "%s: did not take over in time; %s leads on",
                  call->resource.text, call->view->conf->node_id.text);
    } else if (waited_us > span_from_ms(CALL_COMMIT_MS).us) {
        call_fail(call, CALL_TIMEOUT,
                  "not known yet: %s was asked to lead; see status for who does",
                  call->resource.text);
    }
}

void operate_leader_transfer(struct call *call)
{
    struct replica_event event = { .kind = REPLICA_LEADER_TRANSFER };
    if (!operate_name(call, 1, "issuer", &event.node) || !operate_here(call, NULL))
        return;
    if (name_equal(&event.node, &call->view->conf->node_id)) {
        call_fail(call, CALL_CONFLICT, "%s: leads already", event.node.text);
        return;
    }
    call->resource = event.node;
    if (!operate_step(call, &event))
        return;
    call->act.act.term = issuer_shell_replica(call->view->issuer_shell)->raft.term;
    uv_timer_start(&call->timer, leader_transfer_look, 0, CALL_POLL_MS);
}

/* ---- members ---- */

static const char *const member_done[RAFT_CHANGES] = {
    [RAFT_CHANGE_ADD] = "added as a learner; promote it once issuers shows that it has caught up",
    [RAFT_CHANGE_PROMOTE] = "promoted to a voter",
    [RAFT_CHANGE_REMOVE] = "removed",
};

static void member_answer(struct call *call)
{
    const struct raft_members *members =
        &issuer_shell_replica(call->view->issuer_shell)->raft.members;
    uint8_t voters = raft_voter_count(members);
    report_text(&call->report, "done", member_done[call->change]);
    report_number(&call->report, "voters", voters);
    report_number(&call->report, "majority", raft_quorum(members));
    if (voters == 2)
        report_text(&call->report, "warning",
                    "two voters survive no loss: without either, nothing is granted and every "
                    "lease ends; for while one is replaced only");
    else if (voters % 2 == 0)
        report_text(&call->report, "warning",
                    "an even number of voters survives no more losses than one less");
    call_answer(call);
}

/* Configuration files may not list two issuers at one address, so the log may not either. */
static bool member_address_free(struct call *call, const struct replica_event *event)
{
    const struct console_view *view = call->view;
    for (uint8_t i = 0; i < view->issuers->count; i++) {
        const struct issuers_peer *peer = &view->issuers->peer[i];
        if (strcmp(peer->address, event->address) != 0 || name_equal(&peer->id, &event->node))
            continue;
        call_fail(call, CALL_CONFLICT,
                  "address %s: is that of issuer %s already, every address must be different",
                  event->address, peer->id.text);
        return false;
    }
    return true;
}

static void operate_member(struct call *call, enum raft_change change, const char *verb)
{
    struct replica_event event = { .kind = REPLICA_MEMBERS, .change = change };
    struct sockaddr_storage parsed;
    char text[HF_REASON_MAX + 1];
    if (!operate_name(call, 1, "issuer", &event.node))
        return;
    if (change == RAFT_CHANGE_ADD) {
        event.address = call->word[2];
        if (strlen(event.address) > HF_ADDRESS_MAX || !address_parse(event.address, &parsed) ||
            address_port(&parsed) == 0) {
            call_fail(call, CALL_BAD_COMMAND,
                      "address %.70s: must be IPV4:PORT or [IPV6]:PORT, port 1 to 65535",
                      event.address);
            return;
        }
    }
    snprintf(text, sizeof(text), "member %s %s%s%s", verb, event.node.text,
             change == RAFT_CHANGE_ADD ? " " : "", change == RAFT_CHANGE_ADD ? event.address : "");
    event.text = text;
    if (!operate_here(call, NULL) ||
        (change == RAFT_CHANGE_ADD && !member_address_free(call, &event)) ||
        !operate_step(call, &event))
        return;
    call->change = change;
    operate_await(call, member_answer);
}

void operate_member_add(struct call *call)
{
    operate_member(call, RAFT_CHANGE_ADD, "add");
}

void operate_member_promote(struct call *call)
{
    operate_member(call, RAFT_CHANGE_PROMOTE, "promote");
}

void operate_member_remove(struct call *call)
{
    operate_member(call, RAFT_CHANGE_REMOVE, "remove");
}
