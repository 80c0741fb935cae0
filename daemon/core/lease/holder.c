#include "lease/holder.h"

#include <string.h>

#include "base/check.h"

/* What one lease may add to the output in one step; less room than that waits for the next one. */
enum { ACTIONS_PER_LEASE = 4 * HF_ISSUERS_MAX + 4 };

/* One step: what happened when, and where the actions go. */
struct step {
    struct holder *holder;
    struct instant now;
    struct holder_output *out;
};

/* ---- output */

static struct holder_action *add_action(struct step *step, enum holder_action_kind kind)
{
    HF_CHECK(step->out->count < HOLDER_ACTIONS_MAX);
    struct holder_action *action = &step->out->action[step->out->count++];
    memset(action, 0, sizeof(*action));
    action->kind = kind;
    return action;
}

static void message_init(struct lease_message *message, enum lease_message_kind kind,
                         const struct holder_lease *lease)
{
    memset(message, 0, sizeof(*message));
    message->kind = kind;
    if (lease)
        message->resource = lease->config.resource;
}

static void send_to(struct step *step, const struct hf_name *node,
                    const struct lease_message *message)
{
    struct holder_action *action = add_action(step, HOLDER_SEND);
    action->node = *node;
    action->resource = message->resource;
    action->message = *message;
}

static struct holder_link *find_link(struct holder *holder, const struct hf_name *node)
{
    for (size_t i = 0; i < HF_ISSUERS_MAX && !name_empty(node); i++) {
        if (name_equal(&holder->link[i].node, node))
            return &holder->link[i];
    }
    return NULL;
}

/* For an issuer that connects: its own, or one of an issuer that is gone. NULL: all are in use. */
static struct holder_link *claim_link(struct holder *holder, const struct hf_name *node)
{
    struct holder_link *link = find_link(holder, node);
    for (size_t i = 0; i < HF_ISSUERS_MAX && !link; i++) {
        /* An element is never NULL: NOLINTNEXTLINE(clang-analyzer-core.NullDereference) */
        if (!holder->link[i].up)
            link = &holder->link[i];
    }
    if (link)
        link->node = *node;
    return link;
}

/* To the leader; to every connected issuer if none is known, or it did not answer. */
static void send_to_issuers(struct step *step, const struct lease_message *message, bool everyone)
{
    struct holder *holder = step->holder;
    const struct holder_link *leader = find_link(holder, &holder->leader);
    if (!everyone && leader && leader->up) {
        send_to(step, &leader->node, message);
        return;
    }
    for (size_t i = 0; i < HF_ISSUERS_MAX; i++) {
        if (holder->link[i].up)
            send_to(step, &holder->link[i].node, message);
    }
}

static struct guard_message *send_to_guard(struct step *step, enum guard_message_kind kind,
                                           const struct hf_name *name, uint64_t token)
{
    struct holder_action *action = add_action(step, HOLDER_GUARD);
    action->resource = *name;
    action->token = token;
    guard_message_init(&action->guard, kind);
    action->guard.name = *name;
    action->guard.token = token;
    return &action->guard;
}

static void run_hook(struct step *step, enum holder_action_kind kind,
                     const struct holder_lease *lease, uint64_t token)
{
    struct holder_action *action = add_action(step, kind);
    action->resource = lease->config.resource;
    action->token = token;
    action->reason = kind == HOLDER_LOST_HOOK ? lease->reason : NULL;
}

/* ---- what is known */

static bool any_link(const struct holder *holder)
{
    for (size_t i = 0; i < HF_ISSUERS_MAX; i++) {
        if (holder->link[i].up)
            return true;
    }
    return false;
}

/* A status of this resource that is not old. */
static bool view_fresh(const struct step *step, const struct holder_lease *lease)
{
    const struct holder_guard_view *view = &lease->guard;
    struct instant silent = instant_add(view->heard, step->holder->config.guard_silence);
    return step->holder->guard_up && view->known && instant_before(step->now, silent);
}

/* The guard is one process behind one socket: what it says of one resource, it lives for all. */
static bool guard_alive(const struct step *step)
{
    const struct holder *holder = step->holder;
    struct instant silent = instant_add(holder->guard_heard, holder->config.guard_silence);
    return holder->guard_up && instant_before(step->now, silent);
}

static bool guard_shows_off(const struct holder_lease *lease)
{
    return lease->guard.known && lease->guard.state == GUARD_SAFE && lease->guard.proven;
}

/*
 * The guard's last word proves the outputs off for `token`, for good: either it has seen the token
 * and would refuse it now, or nothing under way on this connection could make it drive.
 */
static bool guard_proves(const struct holder_lease *lease, uint64_t token)
{
    return guard_shows_off(lease) && lease->guard.agrees &&
           (lease->guard.token >= token || lease->permitted < token);
}

static bool ready(const struct step *step, const struct holder_lease *lease)
{
    return view_fresh(step, lease) && lease->guard.agrees && guard_shows_off(lease) &&
           any_link(step->holder);
}

static bool renewable(const struct step *step, const struct holder_lease *lease)
{
    bool alive = lease->state == HOLDER_GRANTED || lease->state == HOLDER_HOLDING;
    return alive && lease->guard.known && lease->guard.agrees && guard_alive(step);
}

/* ---- what is said */

static void send_acquire(struct step *step, struct holder_lease *lease)
{
    struct lease_message message;
    message_init(&message, LEASE_ACQUIRE, lease);
    message.ttl_us = lease->config.ttl.us;
    message.fence_us = lease->config.fence.us;
    message.priority = lease->config.priority;
    message.failback_auto = lease->config.failback_auto;
    message.highest = lease->highest;
    text_copy(message.address, sizeof(message.address), lease->config.address);
    send_to_issuers(step, &message, !lease->answered);
}

static void send_withdraw(struct step *step, const struct holder_lease *lease)
{
    struct lease_message message;
    message_init(&message, LEASE_WITHDRAW, lease);
    send_to_issuers(step, &message, false);
}

static void send_release(struct step *step, const struct holder_lease *lease, uint64_t token,
                         bool fenced)
{
    struct lease_message message;
    message_init(&message, LEASE_RELEASE, lease);
    message.nonce = step->holder->next_nonce++;
    message.token = token;
    message.fenced = fenced;
    text_copy(message.text, sizeof(message.text), lease->reason ? lease->reason : "");
    send_to_issuers(step, &message, !lease->answered);
}

/* The guard has taken this token, or will. */
static void note_taken(struct holder_lease *lease, uint64_t token)
{
    if (token > lease->highest)
        lease->highest = token;
}

static void send_permit(struct step *step, struct holder_lease *lease)
{
    struct guard_message *permit =
        send_to_guard(step, GUARD_PERMIT, &lease->config.resource, lease->token);
    permit->deadline_us = lease->deadline.us;
    permit->terms = lease->config.terms;
    lease->permitted = lease->token;
    note_taken(lease, lease->token);
}

/* ---- outputs stuck on */

static void begin_word(struct step *step, struct holder_lease *lease, bool stuck)
{
    lease->word.stuck = stuck;
    lease->word.off = !stuck;
    lease->word.noted = false;
    lease->word.nonce = 0;
    lease->word.say_at = step->now;
}

/* Said again until it is noted. */
static struct instant say_word(struct step *step, struct holder_lease *lease)
{
    struct holder_word *word = &lease->word;
    struct lease_message message;
    if ((!word->stuck && !word->off) || word->noted)
        return INSTANT_NEVER;
    if (!instant_reached(word->say_at, step->now))
        return word->say_at;
    message_init(&message, LEASE_STUCK, lease);
    message.nonce = step->holder->next_nonce++;
    message.fenced = word->off;
    /* A leader that does not answer may be none any more. */
    send_to_issuers(step, &message, word->nonce != 0);
    if (word->nonce == 0)
        word->nonce = message.nonce;
    word->say_at = instant_add(step->now, span_from_ms(HOLDER_RESEND_MS));
    return word->say_at;
}

static void on_noted(struct holder_lease *lease, const struct lease_message *message)
{
    struct holder_word *word = &lease->word;
    if (message->fenced != word->off || word->nonce == 0 ||
        (int64_t)(message->nonce - word->nonce) < 0)
        return;
    word->noted = true;
    word->off = false;
}

/* ---- the one place that changes a state */

static void disown(struct holder_lease *lease)
{
    if (lease->token > lease->disowned)
        lease->disowned = lease->token;
}

static void leave(struct step *step, struct holder_lease *lease, enum holder_state next)
{
    lease->answered = true;
    lease->ask_at = step->now;
    if (lease->state == HOLDER_WAITING && (next == HOLDER_IDLE || next == HOLDER_BLOCKED))
        send_withdraw(step, lease);
    if (lease->state == HOLDER_WAITING) {
        lease->position = 0;
        lease->refusal = LEASE_REFUSED_NONE;
        memset(&lease->held_by, 0, sizeof(lease->held_by));
    }
}

static void enter(struct step *step, struct holder_lease *lease)
{
    switch (lease->state) {
    case HOLDER_IDLE:
        disown(lease);
        lease->token = 0;
        return;
    case HOLDER_GRANTED:
        step->holder->renew_at = step->now;
        return;
    case HOLDER_STOPPING:
        disown(lease);
        return;
    case HOLDER_RELEASING:
        disown(lease);
        lease->fenced = guard_proves(lease, lease->token);
        return;
    case HOLDER_BLOCKED:
        disown(lease);
        lease->cleared = false;
        /* For the history; it frees nothing, since nothing proves the outputs off. */
        if (lease->token != 0)
            send_release(step, lease, lease->token, false);
        lease->token = 0;
        return;
    case HOLDER_WAITING:
    case HOLDER_HOLDING:
        return;
    case HOLDER_STATES:
        break;
    }
    hf_panic(__FILE__, __LINE__, "holder state");
}

static void put(struct step *step, struct holder_lease *lease, enum holder_input input,
                const char *reason)
{
    const struct cell *cell = holder_cell(lease->state, input);
    enum holder_state next = (enum holder_state)cell->next;
    struct holder_output *out = step->out;
    if (cell->kind == CELL_STAY)
        return;
    HF_CHECK(cell->kind == CELL_GO);
    if (reason)
        lease->reason = reason;
    if (out->change_count < HOLDER_CHANGES_MAX) {
        struct holder_change *change = &out->change[out->change_count++];
        *change =
            (struct holder_change){ lease->config.resource, lease->state, input, next, reason };
    }
    /* Only an operator's word ends a fault. Another life of this agent may have said what was stuck. */
    if (lease->state == HOLDER_BLOCKED)
        begin_word(step, lease, false);
    leave(step, lease, next);
    lease->state = next;
    enter(step, lease);
}

/* ---- messages of issuers */

static struct holder_lease *find_lease(struct holder *holder, const struct hf_name *resource)
{
    for (size_t i = 0; i < holder->lease_count; i++) {
        if (name_equal(&holder->lease[i].config.resource, resource))
            return &holder->lease[i];
    }
    return NULL;
}

static void ask_all_now(struct step *step)
{
    struct holder *holder = step->holder;
    holder->renew_at = step->now;
    for (size_t i = 0; i < holder->lease_count; i++) {
        struct holder_lease *lease = &holder->lease[i];
        lease->word.say_at = step->now;
        if (lease->state == HOLDER_WAITING || lease->state == HOLDER_RELEASING) {
            lease->answered = true;
            lease->ask_at = step->now;
        }
    }
}

static void on_leader(struct step *step, const struct hf_name *node,
                      const struct lease_message *message)
{
    struct holder *holder = step->holder;
    if (message->term < holder->leader_term)
        return;
    holder->leader = *node;
    holder->leader_term = message->term;
    /* What another leader noted may be lost: in a backup, if not else. */
    for (size_t i = 0; i < holder->lease_count; i++) {
        holder->lease[i].word.noted = false;
        holder->lease[i].word.nonce = 0;
    }
    ask_all_now(step);
}

static void on_queued(struct step *step, struct holder_lease *lease,
                      const struct lease_message *message)
{
    bool leftover = name_equal(&message->holder, &step->holder->config.self) && message->token != 0;
    if (lease->state != HOLDER_WAITING)
        return;
    lease->answered = true;
    lease->held_by = message->holder;
    lease->position = message->position;
    lease->refusal = LEASE_REFUSED_NONE;
    /*
     * Only a guard that has seen this very token can prove it off. A guard that has not may be that
     * of another board with a copy of this one's certificate, and the lease be driven there: then
     * its time must run out.
     */
    if (!leftover || lease->guard.token != message->token || !guard_proves(lease, message->token))
        return;
    lease->token = message->token;
    put(step, lease, HOLDER_INPUT_LEFTOVER, "left over from before");
}

static void on_granted(struct step *step, struct holder_lease *lease,
                       const struct lease_message *message)
{
    if (message->token <= lease->disowned || message->token <= lease->token)
        return;
    /* Asked for by a predecessor with another configuration: never driven, its time runs out. */
    if (message->fence_us < lease->config.fence.us) {
        lease->ask_at = step->now;
        return;
    }
    if (lease->state == HOLDER_IDLE || lease->state == HOLDER_WAITING) {
        lease->token = message->token;
        lease->ttl = lease->config.ttl;
        if (message->ttl_us < lease->ttl.us)
            lease->ttl = span_from_us(message->ttl_us);
        lease->deadline = instant_add(step->now, lease->ttl);
    } else if (lease->state == HOLDER_BLOCKED) {
        lease->disowned = message->token;
        send_release(step, lease, message->token, false);
    }
    put(step, lease, HOLDER_INPUT_GRANTED, lease->state == HOLDER_WAITING ? NULL : "not wanted");
}

static bool token_alive(const struct holder_lease *lease, uint64_t token)
{
    bool alive = lease->state == HOLDER_GRANTED || lease->state == HOLDER_HOLDING;
    return alive && lease->token == token;
}

static void on_confirmed(struct step *step, struct holder_lease *lease, struct instant sent)
{
    struct holder *holder = step->holder;
    struct instant deadline =
        timing_holder_deadline(sent, lease->ttl, holder->config.drift_ppm, lease->config.release);
    if (instant_reached(deadline, step->now))
        return; /* came too late to be of any use */
    if (lease->state == HOLDER_HOLDING) {
        struct span slack = instant_diff(lease->deadline, step->now);
        if (slack.us < lease->slack.us)
            lease->slack = slack;
        if (slack.us < holder->slack.us)
            holder->slack = slack;
        deadline = instant_max(deadline, lease->deadline);
    }
    lease->deadline = deadline;
    put(step, lease, HOLDER_INPUT_CONFIRMED, NULL);
    send_permit(step, lease);
}

static void on_renewed(struct step *step, const struct lease_message *message)
{
    struct holder *holder = step->holder;
    const struct holder_nonce *nonce = NULL;
    for (size_t i = 0; i < HOLDER_NONCES && !nonce; i++) {
        if (holder->nonce[i].nonce == message->nonce && message->nonce != 0)
            nonce = &holder->nonce[i];
    }
    if (!nonce)
        return;
    holder->round_trip = instant_diff(step->now, nonce->sent);
    /* A clock that went back is the guard's matter; an issuer would refuse such a renewal. */
    if (holder->round_trip.us < 0)
        holder->round_trip = span_from_us(0);
    if (message->nonce == holder->renew_nonce && !holder->renew_answered) {
        holder->renew_answered = true;
        holder->renew_at = instant_add(holder->renew_sent, holder->renew_interval);
    }
    for (uint8_t i = 0; i < message->item_count && i < HF_LEASES_PER_AGENT_MAX; i++) {
        const struct lease_item *item = &message->items[i];
        struct holder_lease *lease = find_lease(holder, &item->resource);
        if (!lease || !token_alive(lease, item->token))
            continue;
        if (item->lost)
            put(step, lease, HOLDER_INPUT_LOST, "the issuer says that it is lost");
        else if (!instant_reached(lease->deadline, step->now))
            on_confirmed(step, lease, nonce->sent);
    }
}

static void on_lost(struct step *step, struct holder_lease *lease,
                    const struct lease_message *message)
{
    bool stopped = lease->state == HOLDER_STOPPING || lease->state == HOLDER_RELEASING;
    if (token_alive(lease, message->token) || (stopped && lease->token == message->token))
        put(step, lease, HOLDER_INPUT_LOST, "the issuer says that it is lost");
}

static void on_message(struct step *step, const struct hf_name *node,
                       const struct lease_message *message)
{
    struct holder_lease *lease = find_lease(step->holder, &message->resource);
    if (!find_link(step->holder, node))
        return;
    if (message->kind == LEASE_LEADER)
        on_leader(step, node, message);
    else if (message->kind == LEASE_RENEWED)
        on_renewed(step, message);
    else if (!lease)
        return;
    else if (message->kind == LEASE_QUEUED)
        on_queued(step, lease, message);
    else if (message->kind == LEASE_GRANTED)
        on_granted(step, lease, message);
    else if (message->kind == LEASE_LOST)
        on_lost(step, lease, message);
    else if (message->kind == LEASE_NOTED)
        on_noted(lease, message);
    else if (message->kind == LEASE_YIELD && token_alive(lease, message->token))
        put(step, lease, HOLDER_INPUT_YIELD, "asked to yield");
    else if (message->kind == LEASE_RELEASED && lease->state == HOLDER_RELEASING &&
             message->token == lease->token)
        put(step, lease, HOLDER_INPUT_RELEASED, NULL);
    else if (message->kind == LEASE_REFUSED && lease->state == HOLDER_WAITING) {
        lease->answered = true;
        lease->refusal = message->refusal;
    }
}

/* ---- the guard */

static void run_hooks(struct step *step, struct holder_lease *lease)
{
    const struct holder_guard_view *view = &lease->guard;
    bool stopped = view->state == GUARD_SAFE || view->state == GUARD_FAULT;
    if (view->state == GUARD_DRIVING && lease->state == HOLDER_HOLDING &&
        view->token == lease->token && lease->driving != lease->token) {
        lease->driving = lease->token;
        run_hook(step, HOLDER_ACQUIRED, lease, lease->token);
    } else if (stopped && lease->driving != 0) {
        run_hook(step, HOLDER_LOST_HOOK, lease, lease->driving);
        lease->driving = 0;
    }
}

/*
 * The guard says that an output is stuck on; or it has another fault, and a readback is on that
 * should be off by the board's own fence latency.
 */
static bool shows_stuck(const struct step *step, struct holder_lease *lease,
                        const struct guard_message *status)
{
    struct holder_word *word = &lease->word;
    if (status->state != GUARD_FAULT || status->readback_on == 0) {
        word->on_since = INSTANT_NEVER;
        return status->state == GUARD_FAULT && status->fault == GUARD_FAULT_STUCK_ON;
    }
    word->on_since = instant_min(word->on_since, step->now);
    return status->fault == GUARD_FAULT_STUCK_ON ||
           instant_before(instant_add(word->on_since, lease->config.fence), step->now);
}

static void on_guard_status(struct step *step, struct holder_lease *lease,
                            const struct guard_message *status)
{
    struct holder_guard_view *view = &lease->guard;
    /* Latched anew: an operator's word was about the fault before. One said again is no news. */
    if (view->known && view->state != GUARD_FAULT && status->state == GUARD_FAULT)
        lease->cleared = false;
    view->known = true;
    view->state = (enum guard_state)status->state;
    view->fault = (enum guard_fault)status->fault;
    view->token = status->token;
    view->proven = status->proven != 0;
    note_taken(lease, status->token);
    view->agrees = guard_terms_equal(&status->terms, &lease->config.terms);
    view->heard = step->now;
    step->holder->guard_heard = step->now;
    if (shows_stuck(step, lease, status) && !lease->word.stuck)
        begin_word(step, lease, true);
    bool off = view->state == GUARD_SAFE || view->state == GUARD_DROPPING;
    if (view->state == GUARD_FAULT)
        put(step, lease, HOLDER_INPUT_FAULT, guard_fault_name(view->fault));
    else if (!view->agrees)
        put(step, lease, HOLDER_INPUT_DROPPED, "the guard is configured otherwise");
    else if (lease->state == HOLDER_HOLDING &&
             ((off && view->token == lease->token) || view->token > lease->token))
        put(step, lease, HOLDER_INPUT_DROPPED, "the guard dropped it");
    run_hooks(step, lease);
}

static void on_guard_message(struct step *step, const struct guard_message *message)
{
    struct holder_lease *lease = find_lease(step->holder, &message->name);
    if (!lease || !step->holder->guard_up)
        return;
    if (message->kind == GUARD_STATUS)
        on_guard_status(step, lease, message);
    else if (message->kind == GUARD_REFUSED && lease->state == HOLDER_HOLDING &&
             message->token == lease->token)
        put(step, lease, HOLDER_INPUT_DROPPED,
            guard_refusal_name((enum guard_refusal)message->refusal));
}

static void forget_guard(struct step *step)
{
    struct holder *holder = step->holder;
    for (size_t i = 0; i < holder->lease_count; i++) {
        memset(&holder->lease[i].guard, 0, sizeof(holder->lease[i].guard));
        holder->lease[i].permitted = 0;
        holder->lease[i].ask_at = step->now;
    }
}

static void put_to_all(struct step *step, enum holder_input input, const char *reason)
{
    for (size_t i = 0; i < step->holder->lease_count; i++)
        put(step, &step->holder->lease[i], input, reason);
}

static void on_guard_up(struct step *step)
{
    /* A second connection means that the first is gone, seen or not. */
    if (step->holder->guard_up)
        put_to_all(step, HOLDER_INPUT_DROPPED, "the guard was lost");
    step->holder->guard_up = true;
    forget_guard(step);
    send_to_guard(step, GUARD_HELLO, &step->holder->config.self, 0);
    for (size_t i = 0; i < step->holder->lease_count; i++) {
        const struct holder_resource_config *config = &step->holder->lease[i].config;
        send_to_guard(step, GUARD_TERMS, &config->resource, 0)->terms = config->terms;
    }
}

static void on_guard_down(struct step *step)
{
    step->holder->guard_up = false;
    put_to_all(step, HOLDER_INPUT_DROPPED, "the guard was lost");
    forget_guard(step);
}

static void on_clear_fault(struct step *step, const struct hf_name *resource)
{
    struct holder_lease *lease = find_lease(step->holder, resource);
    if (!lease)
        return;
    lease->cleared = true;
    if (step->holder->guard_up)
        send_to_guard(step, GUARD_CLEAR_FAULT, resource, 0);
}

static void on_slept(struct step *step)
{
    memset(step->holder->nonce, 0, sizeof(step->holder->nonce));
    put_to_all(step, HOLDER_INPUT_SLEPT, "the board slept");
}

/* ---- links */

static void on_link(struct step *step, const struct hf_name *node, bool up)
{
    struct holder *holder = step->holder;
    struct holder_link *link = up ? claim_link(holder, node) : find_link(holder, node);
    if (!link)
        return;
    link->up = up;
    if (!up && name_equal(&holder->leader, node))
        memset(&holder->leader, 0, sizeof(holder->leader));
    if (up && name_empty(&holder->leader))
        ask_all_now(step);
}

/* ---- what follows from conditions and time */

/* The input that holds by itself now; false: none. */
static bool standing_input(const struct step *step, const struct holder_lease *lease,
                           enum holder_input *input, const char **reason)
{
    bool passed = instant_reached(lease->deadline, step->now);
    *reason = NULL;
    switch (lease->state) {
    case HOLDER_IDLE:
        *input = HOLDER_INPUT_READY;
        return ready(step, lease);
    case HOLDER_WAITING:
        *input = HOLDER_INPUT_UNREADY;
        return !ready(step, lease);
    case HOLDER_GRANTED:
    case HOLDER_HOLDING:
        *input = HOLDER_INPUT_OVERDUE;
        *reason = "not renewed in time";
        return passed;
    case HOLDER_STOPPING:
        *input = guard_proves(lease, lease->token) ? HOLDER_INPUT_PROVEN : HOLDER_INPUT_UNPROVEN;
        return *input == HOLDER_INPUT_PROVEN || (passed && guard_shows_off(lease));
    case HOLDER_BLOCKED:
        *input = HOLDER_INPUT_PROVEN;
        return lease->cleared && guard_shows_off(lease);
    case HOLDER_RELEASING:
        return false;
    case HOLDER_STATES:
        break;
    }
    hf_panic(__FILE__, __LINE__, "holder state");
}

static void settle(struct step *step, struct holder_lease *lease)
{
    enum holder_input input;
    const char *reason;
    /* Each state is entered at most once: none leads back to where it came from at one instant. */
    for (int i = 0; i < HOLDER_STATES && standing_input(step, lease, &input, &reason); i++)
        put(step, lease, input, reason);
}

static void ask(struct step *step, struct holder_lease *lease)
{
    struct span again = span_from_ms(HOLDER_RESEND_MS);
    if (!instant_reached(lease->ask_at, step->now))
        return;
    if (lease->state == HOLDER_WAITING) {
        send_acquire(step, lease);
    } else if (lease->state == HOLDER_RELEASING) {
        send_release(step, lease, lease->token, lease->fenced);
    } else if (lease->state == HOLDER_STOPPING) {
        again = span_from_ms(HOLDER_DROP_REPEAT_MS);
        if (step->holder->guard_up)
            send_to_guard(step, GUARD_DROP, &lease->config.resource, lease->token);
    } else {
        return;
    }
    lease->answered = false;
    lease->ask_at = instant_add(step->now, again);
}

static struct instant lease_wake_at(const struct step *step, const struct holder_lease *lease)
{
    switch (lease->state) {
    case HOLDER_IDLE:
    case HOLDER_BLOCKED:
        return INSTANT_NEVER;
    case HOLDER_WAITING:
        return instant_min(lease->ask_at,
                           instant_add(lease->guard.heard, step->holder->config.guard_silence));
    case HOLDER_GRANTED:
    case HOLDER_HOLDING:
        return lease->deadline;
    case HOLDER_STOPPING:
        if (!instant_reached(lease->deadline, step->now))
            return instant_min(lease->ask_at, lease->deadline);
        return lease->ask_at;
    case HOLDER_RELEASING:
        return lease->ask_at;
    case HOLDER_STATES:
        break;
    }
    hf_panic(__FILE__, __LINE__, "holder state");
}

static void send_renewal(struct step *step, struct lease_message *message, struct span interval)
{
    struct holder *holder = step->holder;
    message->nonce = holder->next_nonce++;
    message->round_trip_us = holder->round_trip.us;
    message->slack_us = holder->slack.us == INT64_MAX ? 0 : holder->slack.us;
    send_to_issuers(step, message, !holder->renew_answered);
    holder->nonce[holder->nonce_next % HOLDER_NONCES] =
        (struct holder_nonce){ message->nonce, step->now };
    holder->nonce_next++;
    holder->renew_nonce = message->nonce;
    holder->renew_sent = step->now;
    holder->renew_interval = interval;
    holder->renew_answered = false;
    holder->renew_at = instant_add(step->now, span_from_us(interval.us / 2));
}

/* Returns when to come back. */
static struct instant renew(struct step *step)
{
    struct holder *holder = step->holder;
    struct lease_message message;
    struct span shortest = span_from_us(INT64_MAX);
    message_init(&message, LEASE_RENEW, NULL);
    for (size_t i = 0; i < holder->lease_count; i++) {
        const struct holder_lease *lease = &holder->lease[i];
        if (!renewable(step, lease))
            continue;
        message.items[message.item_count++] =
            (struct lease_item){ lease->config.resource, lease->token, false };
        if (lease->ttl.us < shortest.us)
            shortest = lease->ttl;
    }
    if (message.item_count == 0) {
        /* No answer is due: the next renewal goes to the leader alone. */
        holder->renew_answered = true;
        return INSTANT_NEVER;
    }
    if (instant_reached(holder->renew_at, step->now))
        send_renewal(step, &message, timing_renew_interval(shortest));
    return holder->renew_at;
}

static void run_timers(struct step *step)
{
    struct holder *holder = step->holder;
    struct instant wake_at = INSTANT_NEVER;
    for (size_t i = 0; i < holder->lease_count; i++) {
        struct holder_lease *lease = &holder->lease[i];
        /* Room is kept for the renewal of all leases: nothing may delay that. */
        if (step->out->count + ACTIONS_PER_LEASE + HF_ISSUERS_MAX > HOLDER_ACTIONS_MAX) {
            wake_at = step->now;
            break;
        }
        settle(step, lease);
        ask(step, lease);
        wake_at = instant_min(wake_at, say_word(step, lease));
        wake_at = instant_min(wake_at, lease_wake_at(step, lease));
    }
    step->out->wake_at = instant_min(wake_at, renew(step));
}

/* ---- */

/* What holds after every step, whatever came in: see holder.h. */
static void holder_check(const struct holder *holder)
{
    for (size_t i = 0; i < holder->lease_count; i++) {
        const struct holder_lease *lease = &holder->lease[i];
        bool alive = lease->state == HOLDER_GRANTED || lease->state == HOLDER_HOLDING;
        bool given_up = lease->state == HOLDER_STOPPING || lease->state == HOLDER_RELEASING;
        HF_CHECK((lease->token != 0) == (alive || given_up));
        HF_CHECK(lease->token == 0 || (lease->token > lease->disowned) == alive);
        HF_CHECK(!alive || holder->guard_up);
        HF_CHECK(lease->state != HOLDER_HOLDING || lease->permitted == lease->token);
        HF_CHECK(lease->permitted <= lease->highest);
        HF_CHECK(
            lease->state != HOLDER_HOLDING ||
            !instant_before(timing_holder_deadline(holder->latest, lease->ttl,
                                                   holder->config.drift_ppm, lease->config.release),
                            lease->deadline));
        HF_CHECK(!lease->word.stuck || !lease->word.off);
    }
}

void holder_init(struct holder *holder, const struct holder_config *config, struct instant now)
{
    HF_CHECK(config->resource_count <= HF_LEASES_PER_AGENT_MAX);
    memset(holder, 0, sizeof(*holder));
    holder->config = *config;
    holder->latest = now;
    /* Zero means "no nonce". */
    holder->next_nonce = config->nonce_start != 0 ? config->nonce_start : 1;
    holder->renew_at = now;
    holder->renew_answered = true;
    holder->slack = span_from_us(INT64_MAX);
    holder->lease_count = config->resource_count;
    for (size_t i = 0; i < holder->lease_count; i++) {
        holder->lease[i].config = config->resource[i];
        holder->lease[i].state = HOLDER_IDLE;
        holder->lease[i].highest = config->resource[i].highest;
        holder->lease[i].answered = true;
        holder->lease[i].deadline = now;
        holder->lease[i].slack = span_from_us(INT64_MAX);
        holder->lease[i].word.on_since = INSTANT_NEVER;
    }
}

static void take_event(struct step *step, const struct holder_event *event)
{
    switch (event->kind) {
    case HOLDER_EVENT_TIMER:
        return;
    case HOLDER_EVENT_LINK_UP:
    case HOLDER_EVENT_LINK_DOWN:
        on_link(step, &event->node, event->kind == HOLDER_EVENT_LINK_UP);
        return;
    case HOLDER_EVENT_MESSAGE:
        on_message(step, &event->node, event->message);
        return;
    case HOLDER_EVENT_GUARD_UP:
        on_guard_up(step);
        return;
    case HOLDER_EVENT_GUARD_DOWN:
        on_guard_down(step);
        return;
    case HOLDER_EVENT_GUARD_MESSAGE:
        on_guard_message(step, event->guard);
        return;
    case HOLDER_EVENT_CLEAR_FAULT:
        on_clear_fault(step, &event->resource);
        return;
    case HOLDER_EVENT_SLEPT:
        on_slept(step);
        return;
    case HOLDER_EVENT_KINDS:
        break;
    }
    hf_panic(__FILE__, __LINE__, "holder event");
}

void holder_step(struct holder *holder, const struct holder_event *event, struct instant now,
                 struct holder_output *out)
{
    struct step step = { holder, now, out };
    out->count = 0;
    out->change_count = 0;
    holder->latest = instant_max(holder->latest, now);
    take_event(&step, event);
    run_timers(&step);
    holder_check(holder);
}

const struct holder_lease *holder_lease_of(const struct holder *holder,
                                           const struct hf_name *resource)
{
    for (size_t i = 0; i < holder->lease_count; i++) {
        if (name_equal(&holder->lease[i].config.resource, resource))
            return &holder->lease[i];
    }
    return NULL;
}
