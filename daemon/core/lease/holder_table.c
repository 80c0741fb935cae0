/* The holder's states x inputs, and their names. */
#include "base/check.h"
#include "lease/holder.h"

#define NO_TOKEN    ILLEGAL("there is no token that it could be about")
#define NOT_ASKED   ILLEGAL("nothing was released")
#define DISOWNED    ILLEGAL("answers to a token that was given up are not passed on")
#define NO_DEADLINE ILLEGAL("a deadline runs only while granted or holding")
#define NO_PROOF    ILLEGAL("a proof is looked for only while stopping or blocked")

static const struct cell cells[HOLDER_STATES][HOLDER_INPUTS] = {
    [HOLDER_IDLE] = {
        [HOLDER_INPUT_READY] = GO(HOLDER_WAITING),
        [HOLDER_INPUT_UNREADY] = STAY,
        [HOLDER_INPUT_GRANTED] = GO(HOLDER_STOPPING), /* an acquire that was withdrawn too late */
        [HOLDER_INPUT_CONFIRMED] = NO_TOKEN,
        [HOLDER_INPUT_LOST] = NO_TOKEN,
        [HOLDER_INPUT_YIELD] = NO_TOKEN,
        [HOLDER_INPUT_LEFTOVER] = STAY, /* asked again once the guard is ready */
        [HOLDER_INPUT_RELEASED] = NOT_ASKED,
        [HOLDER_INPUT_OVERDUE] = NO_DEADLINE,
        [HOLDER_INPUT_DROPPED] = STAY,
        [HOLDER_INPUT_PROVEN] = NO_PROOF,
        [HOLDER_INPUT_UNPROVEN] = NO_PROOF,
        [HOLDER_INPUT_FAULT] = GO(HOLDER_BLOCKED),
        [HOLDER_INPUT_SLEPT] = STAY,
    },
    [HOLDER_WAITING] = {
        [HOLDER_INPUT_READY] = STAY,
        [HOLDER_INPUT_UNREADY] = GO(HOLDER_IDLE),
        [HOLDER_INPUT_GRANTED] = GO(HOLDER_GRANTED),
        [HOLDER_INPUT_CONFIRMED] = NO_TOKEN,
        [HOLDER_INPUT_LOST] = NO_TOKEN,
        [HOLDER_INPUT_YIELD] = NO_TOKEN,
        [HOLDER_INPUT_LEFTOVER] = GO(HOLDER_RELEASING),
        [HOLDER_INPUT_RELEASED] = NOT_ASKED,
        [HOLDER_INPUT_OVERDUE] = NO_DEADLINE,
        [HOLDER_INPUT_DROPPED] = GO(HOLDER_IDLE),
        [HOLDER_INPUT_PROVEN] = NO_PROOF,
        [HOLDER_INPUT_UNPROVEN] = NO_PROOF,
        [HOLDER_INPUT_FAULT] = GO(HOLDER_BLOCKED),
        [HOLDER_INPUT_SLEPT] = STAY,
    },
    [HOLDER_GRANTED] = {
        [HOLDER_INPUT_READY] = STAY,
        [HOLDER_INPUT_UNREADY] = STAY,
        [HOLDER_INPUT_GRANTED] = GO(HOLDER_STOPPING), /* a newer token: this one is void */
        [HOLDER_INPUT_CONFIRMED] = GO(HOLDER_HOLDING),
        [HOLDER_INPUT_LOST] = GO(HOLDER_STOPPING),
        [HOLDER_INPUT_YIELD] = GO(HOLDER_STOPPING),
        [HOLDER_INPUT_LEFTOVER] = STAY, /* the next renewal says what counts */
        [HOLDER_INPUT_RELEASED] = NOT_ASKED,
        [HOLDER_INPUT_OVERDUE] = GO(HOLDER_STOPPING),
        [HOLDER_INPUT_DROPPED] = GO(HOLDER_STOPPING),
        [HOLDER_INPUT_PROVEN] = NO_PROOF,
        [HOLDER_INPUT_UNPROVEN] = NO_PROOF,
        [HOLDER_INPUT_FAULT] = GO(HOLDER_BLOCKED),
        [HOLDER_INPUT_SLEPT] = GO(HOLDER_STOPPING),
    },
    [HOLDER_HOLDING] = {
        [HOLDER_INPUT_READY] = STAY,
        [HOLDER_INPUT_UNREADY] = STAY,
        [HOLDER_INPUT_GRANTED] = GO(HOLDER_STOPPING),
        [HOLDER_INPUT_CONFIRMED] = STAY,
        [HOLDER_INPUT_LOST] = GO(HOLDER_STOPPING),
        [HOLDER_INPUT_YIELD] = GO(HOLDER_STOPPING),
        [HOLDER_INPUT_LEFTOVER] = STAY,
        [HOLDER_INPUT_RELEASED] = NOT_ASKED,
        [HOLDER_INPUT_OVERDUE] = GO(HOLDER_STOPPING),
        [HOLDER_INPUT_DROPPED] = GO(HOLDER_STOPPING),
        [HOLDER_INPUT_PROVEN] = NO_PROOF,
        [HOLDER_INPUT_UNPROVEN] = NO_PROOF,
        [HOLDER_INPUT_FAULT] = GO(HOLDER_BLOCKED),
        [HOLDER_INPUT_SLEPT] = GO(HOLDER_STOPPING),
    },
    [HOLDER_STOPPING] = {
        [HOLDER_INPUT_READY] = STAY,
        [HOLDER_INPUT_UNREADY] = STAY,
        [HOLDER_INPUT_GRANTED] = STAY, /* comes back as a leftover */
        [HOLDER_INPUT_CONFIRMED] = DISOWNED,
        [HOLDER_INPUT_LOST] = STAY, /* the outputs must be proven off all the same */
        [HOLDER_INPUT_YIELD] = DISOWNED,
        [HOLDER_INPUT_LEFTOVER] = STAY,
        [HOLDER_INPUT_RELEASED] = NOT_ASKED,
        [HOLDER_INPUT_OVERDUE] = NO_DEADLINE,
        [HOLDER_INPUT_DROPPED] = STAY,
        [HOLDER_INPUT_PROVEN] = GO(HOLDER_RELEASING),
        [HOLDER_INPUT_UNPROVEN] = GO(HOLDER_RELEASING),
        [HOLDER_INPUT_FAULT] = GO(HOLDER_BLOCKED),
        [HOLDER_INPUT_SLEPT] = STAY,
    },
    [HOLDER_RELEASING] = {
        [HOLDER_INPUT_READY] = STAY,
        [HOLDER_INPUT_UNREADY] = STAY,
        [HOLDER_INPUT_GRANTED] = STAY,
        [HOLDER_INPUT_CONFIRMED] = DISOWNED,
        [HOLDER_INPUT_LOST] = GO(HOLDER_IDLE),
        [HOLDER_INPUT_YIELD] = DISOWNED,
        [HOLDER_INPUT_LEFTOVER] = STAY,
        [HOLDER_INPUT_RELEASED] = GO(HOLDER_IDLE),
        [HOLDER_INPUT_OVERDUE] = NO_DEADLINE,
        [HOLDER_INPUT_DROPPED] = STAY,
        [HOLDER_INPUT_PROVEN] = NO_PROOF,
        [HOLDER_INPUT_UNPROVEN] = NO_PROOF,
        [HOLDER_INPUT_FAULT] = GO(HOLDER_BLOCKED),
        [HOLDER_INPUT_SLEPT] = STAY,
    },
    [HOLDER_BLOCKED] = {
        [HOLDER_INPUT_READY] = STAY,
        [HOLDER_INPUT_UNREADY] = STAY,
        [HOLDER_INPUT_GRANTED] = STAY, /* given back at once, without proof */
        [HOLDER_INPUT_CONFIRMED] = DISOWNED,
        [HOLDER_INPUT_LOST] = NO_TOKEN,
        [HOLDER_INPUT_YIELD] = NO_TOKEN,
        [HOLDER_INPUT_LEFTOVER] = STAY,
        [HOLDER_INPUT_RELEASED] = NO_TOKEN,
        [HOLDER_INPUT_OVERDUE] = NO_DEADLINE,
        [HOLDER_INPUT_DROPPED] = STAY,
        [HOLDER_INPUT_PROVEN] = GO(HOLDER_IDLE),
        [HOLDER_INPUT_UNPROVEN] = NO_PROOF,
        [HOLDER_INPUT_FAULT] = STAY,
        [HOLDER_INPUT_SLEPT] = STAY,
    },
};

static const char *const state_names[HOLDER_STATES] = {
    [HOLDER_IDLE] = "idle",       [HOLDER_WAITING] = "waiting",   [HOLDER_GRANTED] = "granted",
    [HOLDER_HOLDING] = "holding", [HOLDER_STOPPING] = "stopping", [HOLDER_RELEASING] = "releasing",
    [HOLDER_BLOCKED] = "blocked",
};

static const char *const input_names[HOLDER_INPUTS] = {
    [HOLDER_INPUT_READY] = "ready",       [HOLDER_INPUT_UNREADY] = "unready",
    [HOLDER_INPUT_GRANTED] = "granted",   [HOLDER_INPUT_CONFIRMED] = "confirmed",
    [HOLDER_INPUT_LOST] = "lost",         [HOLDER_INPUT_YIELD] = "yield",
    [HOLDER_INPUT_LEFTOVER] = "leftover", [HOLDER_INPUT_RELEASED] = "released",
    [HOLDER_INPUT_OVERDUE] = "overdue",   [HOLDER_INPUT_DROPPED] = "dropped",
    [HOLDER_INPUT_PROVEN] = "proven",     [HOLDER_INPUT_UNPROVEN] = "unproven",
    [HOLDER_INPUT_FAULT] = "fault",       [HOLDER_INPUT_SLEPT] = "slept",
};

const struct cell *holder_cell(enum holder_state state, enum holder_input input)
{
    HF_CHECK(state >= 0 && state < HOLDER_STATES && input >= 0 && input < HOLDER_INPUTS);
    return &cells[state][input];
}

const char *holder_state_name(enum holder_state state)
{
    HF_CHECK(state >= 0 && state < HOLDER_STATES);
    return state_names[state];
}

const char *holder_input_name(enum holder_input input)
{
    HF_CHECK(input >= 0 && input < HOLDER_INPUTS);
    return input_names[input];
}
