/* The guard's table: every state x event. Only data; guard.c acts on it. */
#include "base/check.h"
#include "guard/guard.h"

#define NO_NEW_TOKEN    ILLEGAL("a new token is taken from safe only")
#define NO_RENEWAL      ILLEGAL("only the token that drives is renewed")
#define NO_DEADLINE     ILLEGAL("a deadline runs only while driving")
#define NOT_TOLD_ON     ILLEGAL("no output is told on")
#define NO_PROOF        ILLEGAL("only a drop is proven")
#define NOTHING_WRITTEN ILLEGAL("what it is in was written down before")

static const struct cell guard_table[GUARD_STATES][GUARD_EVENTS] = {
    [GUARD_SAFE] = {
        [GUARD_EVENT_PERMIT] = GO(GUARD_DRIVING),
        [GUARD_EVENT_RENEW] = NO_RENEWAL,
        [GUARD_EVENT_DROP] = STAY,
        [GUARD_EVENT_AGENT_UP] = STAY,
        [GUARD_EVENT_AGENT_LOST] = STAY,
        [GUARD_EVENT_DEADLINE] = NO_DEADLINE,
        [GUARD_EVENT_OVERRUN] = NO_DEADLINE,
        [GUARD_EVENT_LATE] = STAY,
        [GUARD_EVENT_SHOWN_OFF] = NO_PROOF,
        [GUARD_EVENT_STUCK_ON] = GO(GUARD_FAULT),
        [GUARD_EVENT_STUCK_OFF] = NOT_TOLD_ON,
        [GUARD_EVENT_IO_ERROR] = GO(GUARD_FAULT),
        [GUARD_EVENT_CLOCK] = GO(GUARD_FAULT),
        [GUARD_EVENT_SLEPT] = STAY,
        [GUARD_EVENT_CLEAR_FAULT] = STAY,
        [GUARD_EVENT_UNRECORDED] = NOTHING_WRITTEN,
        [GUARD_EVENT_STOP] = STAY,
    },
    [GUARD_DRIVING] = {
        [GUARD_EVENT_PERMIT] = NO_NEW_TOKEN,
        [GUARD_EVENT_RENEW] = STAY,
        [GUARD_EVENT_DROP] = GO(GUARD_DROPPING),
        [GUARD_EVENT_AGENT_UP] = ILLEGAL("the agent that drove is lost before the next is up"),
        [GUARD_EVENT_AGENT_LOST] = GO(GUARD_DROPPING),
        [GUARD_EVENT_DEADLINE] = GO(GUARD_DROPPING),
        [GUARD_EVENT_OVERRUN] = GO(GUARD_FAULT),
        [GUARD_EVENT_LATE] = GO(GUARD_DROPPING),
        [GUARD_EVENT_SHOWN_OFF] = NO_PROOF,
        [GUARD_EVENT_STUCK_ON] = ILLEGAL("the outputs are told on"),
        [GUARD_EVENT_STUCK_OFF] = GO(GUARD_FAULT),
        [GUARD_EVENT_IO_ERROR] = GO(GUARD_FAULT),
        [GUARD_EVENT_CLOCK] = GO(GUARD_FAULT),
        [GUARD_EVENT_SLEPT] = GO(GUARD_DROPPING),
        [GUARD_EVENT_CLEAR_FAULT] = STAY,
        [GUARD_EVENT_UNRECORDED] = NOTHING_WRITTEN,
        [GUARD_EVENT_STOP] = GO(GUARD_DROPPING),
    },
    [GUARD_DROPPING] = {
        [GUARD_EVENT_PERMIT] = NO_NEW_TOKEN,
        [GUARD_EVENT_RENEW] = NO_RENEWAL,
        [GUARD_EVENT_DROP] = STAY,
        [GUARD_EVENT_AGENT_UP] = STAY,
        [GUARD_EVENT_AGENT_LOST] = STAY,
        [GUARD_EVENT_DEADLINE] = NO_DEADLINE,
        [GUARD_EVENT_OVERRUN] = NO_DEADLINE,
        [GUARD_EVENT_LATE] = STAY,
        [GUARD_EVENT_SHOWN_OFF] = GO(GUARD_SAFE),
        [GUARD_EVENT_STUCK_ON] = GO(GUARD_FAULT),
        [GUARD_EVENT_STUCK_OFF] = NOT_TOLD_ON,
        [GUARD_EVENT_IO_ERROR] = GO(GUARD_FAULT),
        [GUARD_EVENT_CLOCK] = GO(GUARD_FAULT),
        [GUARD_EVENT_SLEPT] = STAY,
        [GUARD_EVENT_CLEAR_FAULT] = STAY,
        [GUARD_EVENT_UNRECORDED] = GO(GUARD_FAULT),
        [GUARD_EVENT_STOP] = STAY,
    },
    [GUARD_FAULT] = {
        [GUARD_EVENT_PERMIT] = NO_NEW_TOKEN,
        [GUARD_EVENT_RENEW] = NO_RENEWAL,
        [GUARD_EVENT_DROP] = STAY,
        [GUARD_EVENT_AGENT_UP] = STAY,
        [GUARD_EVENT_AGENT_LOST] = STAY,
        [GUARD_EVENT_DEADLINE] = NO_DEADLINE,
        [GUARD_EVENT_OVERRUN] = NO_DEADLINE,
        [GUARD_EVENT_LATE] = STAY,
        [GUARD_EVENT_SHOWN_OFF] = NO_PROOF,
        [GUARD_EVENT_STUCK_ON] = ILLEGAL("the first fault is the one that is kept"),
        [GUARD_EVENT_STUCK_OFF] = NOT_TOLD_ON,
        [GUARD_EVENT_IO_ERROR] = STAY,
        [GUARD_EVENT_CLOCK] = STAY,
        [GUARD_EVENT_SLEPT] = STAY,
        [GUARD_EVENT_CLEAR_FAULT] = GO(GUARD_DROPPING),
        [GUARD_EVENT_UNRECORDED] = STAY,
        [GUARD_EVENT_STOP] = STAY,
    },
};

const struct cell *guard_cell(enum guard_state state, enum guard_event event)
{
    HF_CHECK((unsigned)state < GUARD_STATES && (unsigned)event < GUARD_EVENTS);
    return &guard_table[state][event];
}

const char *guard_event_name(enum guard_event event)
{
    static const char *const names[GUARD_EVENTS] = {
        [GUARD_EVENT_PERMIT] = "permit",
        [GUARD_EVENT_RENEW] = "renew",
        [GUARD_EVENT_DROP] = "drop",
        [GUARD_EVENT_AGENT_UP] = "agent up",
        [GUARD_EVENT_AGENT_LOST] = "agent lost",
        [GUARD_EVENT_DEADLINE] = "deadline",
        [GUARD_EVENT_OVERRUN] = "deadline overrun",
        [GUARD_EVENT_LATE] = "late loop",
        [GUARD_EVENT_SHOWN_OFF] = "shown off",
        [GUARD_EVENT_STUCK_ON] = "stuck on",
        [GUARD_EVENT_STUCK_OFF] = "stuck off",
        [GUARD_EVENT_IO_ERROR] = "output error",
        [GUARD_EVENT_CLOCK] = "clock not sane",
        [GUARD_EVENT_SLEPT] = "board slept",
        [GUARD_EVENT_CLEAR_FAULT] = "clear fault",
        [GUARD_EVENT_UNRECORDED] = "not written down",
        [GUARD_EVENT_STOP] = "stop",
    };
    HF_CHECK((unsigned)event < GUARD_EVENTS);
    return names[event];
}
