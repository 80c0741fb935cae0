/*
 * One command of the console, from its line to the end of its answer.
 *
 * Owner: whoever started it (a console session, or a relayed query), until it is finished or
 *   cancelled; loop thread. The sink gets the answer in pieces and then exactly one finish.
 * Lifecycle: call_start(), then on_write*, on_finish from inside or later; or call_cancel().
 */
#ifndef HOLDFAST_CONSOLE_CALL_H
#define HOLDFAST_CONSOLE_CALL_H

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include "console/report.h"
#include "console/view.h"
#include "console/voucher.h"

enum {
    CALL_LINE_MAX = 512, /* bytes, as the console's */
    CALL_WORDS_MAX = 12,
    CALL_RELAY_MS = 5000,  /* a relayed command is answered within this, or fails */
    CALL_COMMIT_MS = 4000, /* an act is committed, less than what a relay waits */
    CALL_READ_MS = 2000,   /* a confirmation round */
    CALL_POLL_MS = 5       /* how often a transfer's progress is looked at */
};

/* Error codes; the numbers are HTTP's, since everybody knows them. */
enum call_error {
    CALL_OK = 0,
    CALL_BAD_COMMAND = 400,
    CALL_FORBIDDEN = 403,
    CALL_NOT_FOUND = 404,
    CALL_CONFLICT = 409,
    CALL_ELSEWHERE = 421, /* the text ends with "ask ISSUER at ADDRESS", if that is known */
    CALL_TOO_MANY = 429,
    CALL_FAILED = 500,
    CALL_UNAVAILABLE = 503,
    CALL_TIMEOUT = 504
};

struct call_caller {
    struct hf_name who; /* certificate name */
    bool operator_role;
    bool json;          /* asked for by the relaying node; a line may also say --json */
    bool relayed;       /* is not relayed a second time */
    struct hf_name via; /* relayed: the node whose word `who` and `operator_role` are */
};

struct call_sink {
    void *context;
    void (*on_write)(void *context, const char *data, size_t length);
    /* The call is gone when this returns. An error's text was written before. */
    void (*on_finish)(void *context, enum call_error error);
};

struct call;

/* Parses and starts `line`. The sink may be called, and the call be finished, before it returns. */
void call_start(const struct console_view *view, const char *line, const struct call_caller *caller,
                const struct call_sink *sink, struct call **handle);

/* The sink is not called any more. */
void call_cancel(struct call *call);

/* ---- for the commands ---- */

struct call {
    const struct console_view *view;
    struct call_caller caller;
    struct call_sink sink;
    struct call **handle;         /* cleared when the call is finished */
    char line[CALL_LINE_MAX + 1]; /* as it came, for relaying */
    char words[CALL_LINE_MAX + 1];
    char *word[CALL_WORDS_MAX];
    int word_count;
    bool json;
    bool acts;                 /* an operator's command */
    enum voucher_act by_board; /* what a board may relay of it */
    struct report report;
    bool finished;

    uv_timer_t timer; /* open for the call's whole life */
    int64_t started_us;
    struct issuer_shell_reader reader;
    bool reading;
    void (*on_read)(struct call *call); /* a majority confirmed that this issuer leads */
    struct issuer_shell_watcher watcher;
    bool watching;
    bool endless; /* a watch, here or relayed: the caller ends it */
    struct hf_name resource;
    enum raft_change change; /* of members */
    /* What an operator asked for, and where it stands in the log. */
    struct issuer_shell_waiting act;
    /* Which transfer of the resource it is: no two end at one time. */
    struct instant transfer_until;
    bool awaiting;
    void (*on_done)(struct call *call); /* it is committed */
    const char *done;                   /* what it is called then */
    uint64_t query_id;                  /* 0: not relayed */
    struct hf_name target;
    struct call *next; /* of those that another node answers */
};

/* Sends the report as the whole answer and finishes. */
void call_answer(struct call *call);

/* "ERR code text" and finish. */
__attribute__((format(printf, 3, 4))) void call_fail(struct call *call, enum call_error error,
                                                     const char *format, ...);

/* Finishes without an answer of its own (a stream that ended, a relayed answer that is whole). */
void call_finish(struct call *call, enum call_error error);

/*
 * Relays the line to `target` and finishes with its answer. Fails the call if that node is not up
 * or the call came by relay already.
 */
void call_relay(struct call *call, const struct hf_name *target);

/*
 * `on_read` answers from this issuer's copy once a majority confirmed that it still leads; without one
 * within CALL_READ_MS, the call fails.
 */
void call_read(struct call *call, void (*on_read)(struct call *call));

/* The issuer to ask: the leader if known, else any issuer that is up. False: nobody. */
bool call_find_leader(const struct call *call, struct hf_name *leader);

/* Value of an option "--name VALUE" (removed from the words), NULL if absent or without value. */
const char *call_take_option(struct call *call, const char *name);

struct call_command {
    const char *name;  /* one or two words */
    const char *usage; /* NULL: not shown by help, nodes say it to each other */
    bool operator_only;
    int words;    /* behind the name; options in the usage: the command counts */
    int optional; /* and so many more, at most */
    /* What of it a board may relay, to the leader mostly; see voucher.h. */
    enum voucher_act by_board;
    void (*run)(struct call *call);
};

/* The commands, by file. */
void show_status(struct call *call);
void show_leases(struct call *call);
void show_issuers(struct call *call);
void show_agents(struct call *call);
void show_guard(struct call *call);
void show_budget(struct call *call);
void show_metrics(struct call *call);
void show_history(struct call *call);
void watch_history(struct call *call);
void operate_transfer(struct call *call);
void operate_pin(struct call *call);
void operate_unpin(struct call *call);
void operate_overrule(struct call *call);
void operate_fault_clear(struct call *call);
void operate_leader_transfer(struct call *call);
void operate_member_add(struct call *call);
void operate_member_promote(struct call *call);
void operate_member_remove(struct call *call);
void operate_note_fault(struct call *call);
void operate_fault_where(struct call *call);
void operate_resource_remove(struct call *call);
void operate_backup(struct call *call);

/* Prometheus text of this node into `text`. */
void metrics_print(const struct console_view *view, struct text *text);

#endif
