/*
 * The lease protocol: one resource, two boards, three issuers, clocks that drift.
 *
 * Purpose: an exhaustive search for an instant at which two boards drive (S1), a token that does
 *   not rise (S2) or a renewal that was answered without a majority (S4). README.md says what is
 *   modelled, what is left out, and why leaving it out hides nothing.
 * Source: daemon/core/PROTOCOL.md, parts 3 to 5; daemon/core/lease/{issuer,holder,table}.c,
 *   daemon/core/base/timing.c, daemon/core/raft/raft_confirm.c.
 *
 * Every option of a `do` is one atomic step of one party. Whatever is late, lost, doubled or
 * reordered in the network is a step that is taken later, never, twice or in another order.
 * -DMUTANT_<NAME> builds one seeded fault in, at the places that are marked by its name.
 */

/* ---- bounds */
#ifndef TERMS
#define TERMS 3  /* elections, the first included */
#endif
#ifndef TOKENS
#define TOKENS 3 /* grants */
#endif
#ifndef TTL
#define TTL 3    /* true ticks */
#endif
#ifndef FENCE
#define FENCE 1  /* true ticks */
#endif
#ifndef RELEASE
#define RELEASE 1 /* units of the board's clock */
#endif

/* ---- clocks: an exact one shows 2 units a true tick; rho = 1/2, so a clock shows 1, 2 or 3 */
#define EXACT 2
#define SLOW  1
#define FAST  3
#ifdef MUTANT_CLOCK_PAST_DRIFT
#define FASTEST 4
#else
#define FASTEST FAST
#endif

/* timing_holder_deadline() is `span - RELEASE` after the sending; the outputs are off at `span`. */
#ifdef MUTANT_HOLDER_WITHOUT_RHO
#define HOLD (TTL * EXACT)
#elif defined(MUTANT_RELEASE_TIME_LEFT_OUT)
#define HOLD (TTL * SLOW + RELEASE)
#else
#define HOLD (TTL * SLOW)
#endif

/* timing_issuer_free() */
#ifdef MUTANT_ISSUER_WITHOUT_RHO
#define FREE ((TTL + FENCE) * EXACT)
#elif defined(MUTANT_FENCE_LEFT_OUT)
#define FREE (TTL * FAST)
#else
#define FREE ((TTL + FENCE) * FAST)
#endif

#define BOARDS 2
#define VOTERS 3

/* ---- the committed lease record, and what only the entry `last` ever said */
byte token;          /* of the current grant, 0: free */
bit abandoned;       /* released without proof */
byte last;           /* grants so far; a stand-in for the log index */
byte highest;        /* oracle of S2 */
bit owner[TOKENS + 1];
#ifdef MUTANT_SERVES_BEFORE_NO_OP
byte old_token;      /* what a follower that is one entry behind believes */
#endif

/* ---- issuers */
#define FOLLOWER 0
#define ELECTED  1   /* its own-term no-op is not applied yet */
#define SERVING  2   /* believes that it leads, rightly or not */
byte term[VOTERS];   /* durable */
byte role[VOTERS];
byte view[VOTERS];   /* a serving issuer's applied table: token ... */
bit view_abandoned[VOTERS];
byte acked[VOTERS];  /* voters (bits) that acknowledged the round in flight */
#ifdef WIDE
bit asking[VOTERS];  /* a round is in flight, maybe for other resources' renewals only */
#endif

/* The last issuer whose no-op was committed: only its proposals can still commit. */
#define NOBODY VOTERS
byte chief = NOBODY;
byte wait;           /* units of its clock until free_at */
#define NONE          0
#define GRANT_0       1
#define GRANT_1       2
#define EXPIRE        3
#define RELEASE_FENCED   4
#define RELEASE_UNFENCED 5
byte pending;        /* its proposal; survives it, in followers' logs, until the next no-op */

/* ---- boards: the agent */
#define OUT      0   /* idle or waiting */
#define GRANTED  1
#define HOLDING  2
#define STOPPING 3
byte agent[BOARDS];
byte agent_token[BOARDS];
byte agent_left[BOARDS];  /* units until the outputs must be off, by the last confirmed renewal */
byte disowned[BOARDS];
bit permit[BOARDS];       /* under way to the guard, with the instant of agent_left */
#ifdef MUTANT_PERMIT_AS_DURATION
byte permit_left[BOARDS];
#endif
#ifdef MUTANT_DEADLINE_FROM_ACQUIRE
byte acquire_age[BOARDS];
#endif

/* ---- boards: the guard and its outputs */
#define SAFE     0
#define DRIVING  1
#define DROPPING 2
#define HUNG     3
byte guard[BOARDS];
byte guard_left[BOARDS];  /* units until it must have turned off */
byte fence[BOARDS];       /* true ticks for which outputs may stay on without the guard */

/* ---- network: the newest renewal and the newest release of each board */
#define SENT     1
#define QUEUED   2
#define ASKED    3        /* waits for the round in flight */
#define ANSWERED 4
byte renewal[BOARDS];
byte renewal_at[BOARDS];  /* issuer that has it */
byte renewal_age[BOARDS]; /* since its sending, on the board's clock: what the nonce stands for */
byte heard[BOARDS];       /* oracle of S4: voters that confirmed the term since its receipt */
byte release[BOARDS];     /* token */
bit release_fenced[BOARDS];
bit release_old[BOARDS];  /* sent by the agent's former process */

#define on(b) (guard[b] == DRIVING || (guard[b] >= DROPPING && fence[b] > 0))
#define other(b) (1 - (b))
#define bit_of(n) (1 << (n))
#define majority(mask) ((((mask) & 1) + (((mask) >> 1) & 1) + (((mask) >> 2) & 1)) * 2 > VOTERS)
/* A voter of the leader's term acknowledges; so a majority takes its entries. */
#define follows(v, n) (term[v] == term[n])
#define followed(n) (follows(((n) + 1) % VOTERS, n) || follows(((n) + 2) % VOTERS, n))
#define less(x, by) ((x) > (by) -> (x) - (by) : 0)
#define least(x, y) ((x) < (y) -> (x) : (y))
#define most(x, y) ((x) > (y) -> (x) : (y))
#define highest_term most(term[0], most(term[1], term[2]))

inline forget_renewal(b)
{
    renewal[b] = NONE;
    renewal_at[b] = 0;
    renewal_age[b] = 0;
    heard[b] = 0;
}

inline lose_token(b)
{
    agent[b] = OUT;
    agent_token[b] = 0;
    agent_left[b] = (permit[b] -> agent_left[b] : 0)
}

inline send_release(b, released, fenced)
{
    release[b] = released;
    release_fenced[b] = fenced;
    release_old[b] = 0
}

/* ---- what can't matter any more; if it were kept, equal states would be told apart */

#ifdef MUTANT_RELEASE_WITHOUT_TOKEN
#define release_dead(b) false
#else
#define release_dead(b) (release[b] != token)
#endif

/* A token that is neither committed nor believed by anybody can't be confirmed. */
#define dead(k) (token != k && view[0] != k && view[1] != k && view[2] != k)
#define disowns(b, k) (k && k <= disowned[b] && owner[k] == b)
#define disowns_live(b) (disowns(b, token) || disowns(b, view[0]) || disowns(b, view[1]) || \
                         disowns(b, view[2]))

inline forget_dead_of(b)
{
    if
    :: release[b] && release_dead(b) -> send_release(b, 0, 0)
    :: else
    fi;
    if
    :: disowned[b] && !disowns_live(b) -> disowned[b] = 0
    :: else
    fi;
    if
    :: agent[b] && dead(agent_token[b]) ->
        forget_renewal(b);
        if
        :: agent[b] == GRANTED || (agent[b] == STOPPING && !permit[b]) -> lose_token(b)
        :: else
        fi
    :: else
    fi
}

inline forget_dead()
{
    forget_dead_of(0);
    forget_dead_of(1)
}

/* ---- issuers */

inline drop_renewals_at(n)
{
    if
    :: (renewal[0] == QUEUED || renewal[0] == ASKED) && renewal_at[0] == n -> forget_renewal(0)
    :: else
    fi;
    if
    :: (renewal[1] == QUEUED || renewal[1] == ASKED) && renewal_at[1] == n -> forget_renewal(1)
    :: else
    fi
}

/* Crash, or word of a higher term. What it proposed may live on in followers' logs. */
inline stop_leading(n)
{
    role[n] = FOLLOWER;
    view[n] = 0;
    view_abandoned[n] = 0;
    acked[n] = 0;
#ifdef WIDE
    asking[n] = 0;
#endif
    drop_renewals_at(n);
    if
    :: chief == n ->
        chief = NOBODY;
        wait = 0
    :: else
    fi
}

/* `n` wins with the vote of `v`; the third issuer may go on believing what it believes. */
inline elect(n, v, third)
{
    stop_leading(n);
    stop_leading(v);
    term[n] = highest_term + 1;
    term[v] = term[n];
    role[n] = ELECTED;
#ifdef MUTANT_SERVES_BEFORE_NO_OP
    view[n] = old_token;
#endif
    if
    :: role[third] == ELECTED -> role[third] = FOLLOWER /* can't ever have a majority */
    :: else
    fi;
    forget_dead()
}

inline apply_pending()
{
#ifdef MUTANT_SERVES_BEFORE_NO_OP
    old_token = token;
#endif
    if
    :: pending == GRANT_0 || pending == GRANT_1 ->
#ifdef MUTANT_TOKEN_REUSED
        last = token + 1;
#else
        last++;
#endif
        assert(last > highest); /* S2 */
        highest = last;
        owner[last] = pending - GRANT_0;
        token = last;
        abandoned = 0
    :: pending == EXPIRE || pending == RELEASE_FENCED ->
        token = 0;
        abandoned = 0
    :: pending == RELEASE_UNFENCED ->
#ifdef MUTANT_UNFENCED_FREES
        token = 0
#else
        abandoned = 1
#endif
    :: else
    fi;
    pending = NONE
}

inline see_table(n)
{
    view[n] = token;
    view_abandoned[n] = abandoned
}

/* issuer_event SERVING: the own-term no-op is applied. */
inline begin_serving(n, inherits)
{
    /* The former leader still waits for its own proposal, and says nothing about this lease. */
    if
    :: pending && chief != NOBODY ->
        view[chief] = 0;
        view_abandoned[chief] = 0
    :: else
    fi;
    if
    :: inherits -> apply_pending() /* its log has the former leader's last entry ... */
    :: else -> pending = NONE      /* ... or has not */
    fi;
    chief = n;
    role[n] = SERVING;
    see_table(n);
#ifdef MUTANT_NO_HOLD_OFF
    wait = 0;
#else
    wait = (token -> FREE : 0);
#endif
    forget_dead()
}

inline commit(n)
{
    if
    :: pending == GRANT_0 || pending == GRANT_1 -> wait = FREE
    :: pending == EXPIRE || pending == RELEASE_FENCED -> wait = 0
    :: else
    fi;
    apply_pending();
    see_table(n);
    forget_dead()
}

#ifdef MUTANT_RENEWED_WHILE_PENDING
#define undecided(n) false
#else
#define undecided(n) (chief == n && pending)
#endif
#define current(b, n) (view[n] == agent_token[b] && owner[view[n]] == b && !view_abandoned[n])

/* confirm_item(): answers, or says nothing while a proposal is under way, or says `lost`. */
inline answer(b, n)
{
    if
    :: current(b, n) && !undecided(n) ->
#ifndef ONLY_S1
        assert(majority(heard[b] | bit_of(n))); /* S4 */
#endif
        renewal[b] = ANSWERED;
        renewal_at[b] = 0;
        heard[b] = 0;
        if
        :: chief == n -> wait = FREE
        :: else
        fi
    :: else -> forget_renewal(b)
    fi
}

#ifdef MUTANT_LATE_ARRIVAL_ANSWERED
#define due(b, n) (renewal_at[b] == n && (renewal[b] == ASKED || renewal[b] == QUEUED))
#else
#define due(b, n) (renewal_at[b] == n && renewal[b] == ASKED)
#endif

inline answer_round(n)
{
#ifdef WIDE
    asking[n] = 0;
#endif
    if
    :: due(0, n) -> answer(0, n)
    :: else
    fi;
    if
    :: due(1, n) -> answer(1, n)
    :: else
    fi;
#ifndef MUTANT_OLD_ACK_COUNTED
    acked[n] = 0
#endif
}

#define waits_at(n, phase) ((renewal[0] == phase && renewal_at[0] == n) || \
                            (renewal[1] == phase && renewal_at[1] == n))

#ifdef WIDE
#define in_flight(n) asking[n]
#define wants_round(n) serves(n)
#else
#define in_flight(n) waits_at(n, ASKED)
#define wants_round(n) waits_at(n, QUEUED)
#endif

inline begin_round(n)
{
#ifdef WIDE
    asking[n] = 1;
#endif
#ifndef MUTANT_OLD_ACK_COUNTED
    acked[n] = 0;
#endif
    if
    :: renewal[0] == QUEUED && renewal_at[0] == n -> renewal[0] = ASKED
    :: else
    fi;
    if
    :: renewal[1] == QUEUED && renewal_at[1] == n -> renewal[1] = ASKED
    :: else
    fi
}

inline hear(b, v, n)
{
    if
    :: (renewal[b] == QUEUED || renewal[b] == ASKED) && renewal_at[b] == n ->
        heard[b] = heard[b] | bit_of(v)
    :: else
    fi
}

inline acknowledge(v, n)
{
#ifdef MUTANT_ACK_COUNTED_TWICE
    acked[n]++;
#else
    acked[n] = acked[n] | bit_of(v);
#endif
    hear(0, v, n);
    hear(1, v, n)
}

inline receive_renewal(b, n)
{
    renewal[b] = QUEUED;
    renewal_at[b] = n;
    /* One connection of a board at a time: a newer one ends what came by the older. */
#ifndef MUTANT_OLD_CONNECTION_HEARD
    if
    :: chief == n && release_old[b] ->
        send_release(b, 0, 0)
    :: else
    fi
#endif
}

#ifdef MUTANT_RELEASE_WITHOUT_TOKEN
#define release_matches(b) (release[b] && token && owner[token] == (b))
#else
#define release_matches(b) (release[b] && release[b] == token && owner[token] == (b))
#endif

#ifdef MUTANT_ACK_COUNTED_TWICE
/* Counts voices, not voters: its own, as the leader's and once more as a voter's, makes two. */
#define round_won(n) ((1 + acked[n]) * 2 > VOTERS)
#elif defined(MUTANT_NO_ROUND)
#define round_won(n) true
#else
#define round_won(n) majority(acked[n] | bit_of(n))
#endif

#ifdef MUTANT_SERVES_BEFORE_NO_OP
#define serves(n) (role[n] != FOLLOWER)
#else
#define serves(n) (role[n] == SERVING)
#endif

/* ---- boards */

inline take_grant(b, granted)
{
    agent[b] = GRANTED;
    agent_token[b] = granted;
#ifdef MUTANT_DRIVES_ON_GRANT
    agent_left[b] = HOLD;
    agent[b] = HOLDING;
    permit[b] = 1;
#endif
#ifdef MUTANT_DEADLINE_FROM_ACQUIRE
    if
    :: HOLD - acquire_age[b] > RELEASE ->
        agent_left[b] = HOLD - acquire_age[b];
        agent[b] = HOLDING;
        permit[b] = 1
    :: else
    fi
#endif
}

/* A grant that was given up is not taken up again, however late or often its message comes. */
#ifdef MUTANT_NOT_DISOWNED
#define grant_comes(b, k) (k <= last && owner[k] == b && !dead(k))
#else
#define grant_comes(b, k) (k <= last && owner[k] == b && !dead(k) && k > disowned[b])
#endif

#ifdef MUTANT_DEADLINE_FROM_REPLY
#define confirmed_left(b) HOLD
#else
#define confirmed_left(b) (HOLD - renewal_age[b])
#endif
#define alive(b) (agent[b] == GRANTED || (agent[b] == HOLDING && agent_left[b] > RELEASE))

inline take_answer(b)
{
    if
    :: alive(b) && confirmed_left(b) > RELEASE ->
        agent_left[b] = most(agent_left[b], confirmed_left(b));
        agent[b] = HOLDING;
        permit[b] = 1
#ifdef MUTANT_PERMIT_AS_DURATION
        ; permit_left[b] = agent_left[b]
#endif
    :: else
    fi;
    forget_renewal(b)
}

inline stop(b)
{
    agent_left[b] = (agent[b] == HOLDING -> agent_left[b] : 0);
    agent[b] = STOPPING;
    disowned[b] = most(disowned[b], agent_token[b]);
    forget_renewal(b)
}

inline restart_agent(b)
{
    permit[b] = 0;
    lose_token(b);
    disowned[b] = 0;
    forget_renewal(b);
    release_old[b] = (release[b] -> 1 : 0)
}

/* guard_proves(): shown off, and nothing under way could turn it on. */
#ifdef MUTANT_FENCED_WITHOUT_PROOF
#define proven(b) true
#elif defined(MUTANT_PROOF_IGNORES_PERMIT)
#define proven(b) (guard[b] == SAFE)
#else
#define proven(b) (guard[b] == SAFE && !permit[b])
#endif

#define leftover(b, n) (serves(n) && view[n] && owner[view[n]] == b)

inline release_leftover(b, n)
{
    send_release(b, view[n], 1);
    disowned[b] = most(disowned[b], view[n])
}

inline take_permit(b)
{
    if
    :: guard[b] == SAFE || guard[b] == DRIVING ->
        assert(guard[b] == DRIVING || !on(other(b))); /* S1 */
        guard[b] = DRIVING;
#ifdef MUTANT_PERMIT_AS_DURATION
        guard_left[b] = permit_left[b]
#else
        guard_left[b] = agent_left[b]
#endif
    :: else
    fi;
    permit[b] = 0
#ifdef MUTANT_PERMIT_AS_DURATION
    ; permit_left[b] = 0
#endif
}

inline drop(b)
{
    guard_left[b] = 0;
    guard[b] = (fence[b] > 0 -> DROPPING : SAFE)
}

inline resume(b)
{
    if
    :: guard_left[b] > RELEASE ->
        assert(fence[b] > 0 || !on(other(b))); /* S1 */
        guard[b] = DRIVING;
        fence[b] = 0
    :: else -> drop(b)
    fi
}

#define b _pid

active [BOARDS] proctype board()
{
end:
    do
    /* the agent */
    :: d_step { agent[b] == OUT && grant_comes(b, 1) -> take_grant(b, 1) }
    :: d_step { agent[b] == OUT && grant_comes(b, 2) -> take_grant(b, 2) }
#if TOKENS >= 3
    :: d_step { agent[b] == OUT && grant_comes(b, 3) -> take_grant(b, 3) }
#endif
    :: d_step { alive(b) -> forget_renewal(b); renewal[b] = SENT }
    :: d_step { renewal[b] == ANSWERED -> take_answer(b) }
    :: d_step { agent[b] == GRANTED || agent[b] == HOLDING -> stop(b) }
    :: d_step {
        agent[b] == STOPPING && proven(b) -> send_release(b, agent_token[b], 1); lose_token(b)
    }
    :: d_step {
        agent[b] == STOPPING && !permit[b] -> send_release(b, agent_token[b], 0); lose_token(b)
    }
    :: d_step { agent[b] == OUT && proven(b) && leftover(b, 0) -> release_leftover(b, 0) }
    :: d_step { agent[b] == OUT && proven(b) && leftover(b, 1) -> release_leftover(b, 1) }
    :: d_step { agent[b] == OUT && proven(b) && leftover(b, 2) -> release_leftover(b, 2) }
    :: d_step { agent[b] != OUT || disowned[b] -> restart_agent(b) }
#ifdef MUTANT_DEADLINE_FROM_ACQUIRE
    :: d_step { agent[b] == OUT && acquire_age[b] -> acquire_age[b] = 0 }
#endif
    /* the guard */
    :: d_step { permit[b] && guard[b] != HUNG -> take_permit(b) }
    :: d_step { guard[b] == DRIVING -> fence[b] = FENCE; drop(b) }
    :: d_step { guard[b] == DROPPING -> fence[b] = 0; drop(b) }
#ifdef WIDE
    :: d_step { guard[b] == DRIVING -> fence[b] = FENCE; guard[b] = HUNG }
    :: d_step { guard[b] == HUNG -> resume(b) }
#endif
    od
}

#undef b
#define n (_pid - BOARDS)
#define next ((n + 1) % VOTERS)
#define after ((n + 2) % VOTERS)
/* Which of two that lead nothing wins with the other's vote is a matter of names. */
#define can_win(n, v) (highest_term < TERMS && (role[n] || role[v] || n < v))
#define chief_idle (chief == n && !pending)

active [VOTERS] proctype issuer()
{
end:
    do
    /* Raft; which issuer is the first leader is a matter of names */
    :: d_step { can_win(n, next) && (highest_term || n == 0) -> elect(n, next, after) }
    :: d_step { can_win(n, after) && highest_term -> elect(n, after, next) }
    :: d_step { role[n] == ELECTED && followed(n) && pending -> begin_serving(n, true) }
    :: d_step { role[n] == ELECTED && followed(n) -> begin_serving(n, false) }
#ifdef WIDE
    :: d_step { term[n] < highest_term -> stop_leading(n); term[n] = highest_term }
    :: d_step { role[n] != FOLLOWER -> stop_leading(n) }
#endif
    :: d_step { chief == n && pending && followed(n) -> commit(n) }
    /* renewals */
    :: d_step { serves(n) && renewal[0] == SENT -> receive_renewal(0, n) }
    :: d_step { serves(n) && renewal[1] == SENT -> receive_renewal(1, n) }
    :: d_step { wants_round(n) && !in_flight(n) -> begin_round(n) }
    :: d_step { in_flight(n) && !round_won(n) && follows(next, n) -> acknowledge(next, n) }
    :: d_step { in_flight(n) && !round_won(n) && follows(after, n) -> acknowledge(after, n) }
#ifdef MUTANT_ACK_COUNTED_TWICE
    :: d_step { in_flight(n) && !round_won(n) -> acknowledge(n, n) }
#endif
    :: d_step { in_flight(n) && round_won(n) -> answer_round(n) }
    /* leases; which board is the first holder is a matter of names, too */
    :: d_step { chief_idle && wait == 0 && last < TOKENS -> pending = GRANT_0 }
    :: d_step { chief_idle && wait == 0 && last < TOKENS && last -> pending = GRANT_1 }
    :: d_step { chief_idle && wait == 0 && token -> pending = EXPIRE }
    :: d_step {
        chief_idle && release_matches(0) && (release_fenced[0] || !abandoned) ->
        pending = (release_fenced[0] -> RELEASE_FENCED : RELEASE_UNFENCED)
    }
    :: d_step {
        chief_idle && release_matches(1) && (release_fenced[1] || !abandoned) ->
        pending = (release_fenced[1] -> RELEASE_FENCED : RELEASE_UNFENCED)
    }
    od
}

#undef n

/* ---- time */

inline board_tick(b, rate)
{
    renewal_age[b] = (renewal[b] -> least(renewal_age[b] + rate, HOLD) : 0);
    if
    :: renewal[b] && confirmed_left(b) <= RELEASE -> forget_renewal(b) /* of no use any more */
    :: else
    fi;
    agent_left[b] = less(agent_left[b], rate);
#ifdef MUTANT_DEADLINE_FROM_ACQUIRE
    acquire_age[b] = (agent[b] == OUT -> least(acquire_age[b] + rate, HOLD) : 0);
#endif
#ifndef MUTANT_PERMIT_AS_DURATION
    if
    :: agent_left[b] <= RELEASE -> permit[b] = 0 /* the guard would refuse it: in the past */
    :: else
    fi;
#endif
    fence[b] = less(fence[b], 1);
    guard_left[b] = less(guard_left[b], rate);
    if
    :: guard[b] == DRIVING && guard_left[b] == 0 -> fence[b] = FENCE; drop(b)
    :: (guard[b] == HUNG || guard[b] == DROPPING) && guard_left[b] == 0 -> drop(b)
    :: else
    fi
}

#define board_runs(b) (renewal[b] || agent_left[b] || guard_left[b] || fence[b])

#define anything_runs (board_runs(0) || board_runs(1) || wait)

inline tick(rate_0, rate_1, rate_issuer)
{
    board_tick(0, rate_0);
    board_tick(1, rate_1);
    wait = less(wait, rate_issuer)
}

/* Each clock at each tick as slow or as fast as may be; a clock that nothing looks at, either. */
active proctype time()
{
end:
    do
    :: d_step { wait > SLOW -> tick(SLOW, SLOW, SLOW) }
    :: d_step { anything_runs -> tick(SLOW, SLOW, FASTEST) }
    :: d_step { board_runs(1) && wait > SLOW -> tick(SLOW, FASTEST, SLOW) }
    :: d_step { board_runs(1) -> tick(SLOW, FASTEST, FASTEST) }
    :: d_step { board_runs(0) && wait > SLOW -> tick(FASTEST, SLOW, SLOW) }
    :: d_step { board_runs(0) -> tick(FASTEST, SLOW, FASTEST) }
    :: d_step { board_runs(0) && board_runs(1) && wait > SLOW -> tick(FASTEST, FASTEST, SLOW) }
    :: d_step { board_runs(0) && board_runs(1) -> tick(FASTEST, FASTEST, FASTEST) }
#ifdef WIDE
    :: d_step { wait > EXACT -> tick(SLOW, SLOW, EXACT) }
    :: d_step { board_runs(1) && wait > SLOW -> tick(SLOW, EXACT, SLOW) }
    :: d_step { board_runs(1) && wait > EXACT -> tick(SLOW, EXACT, EXACT) }
    :: d_step { board_runs(1) -> tick(SLOW, EXACT, FASTEST) }
    :: d_step { board_runs(1) && wait > EXACT -> tick(SLOW, FASTEST, EXACT) }
    :: d_step { board_runs(0) && wait > SLOW -> tick(EXACT, SLOW, SLOW) }
    :: d_step { board_runs(0) && wait > EXACT -> tick(EXACT, SLOW, EXACT) }
    :: d_step { board_runs(0) -> tick(EXACT, SLOW, FASTEST) }
    :: d_step { board_runs(0) && board_runs(1) && wait > SLOW -> tick(EXACT, EXACT, SLOW) }
    :: d_step { board_runs(0) && board_runs(1) && wait > EXACT -> tick(EXACT, EXACT, EXACT) }
    :: d_step { board_runs(0) && board_runs(1) -> tick(EXACT, EXACT, FASTEST) }
    :: d_step { board_runs(0) && board_runs(1) && wait > SLOW -> tick(EXACT, FASTEST, SLOW) }
    :: d_step { board_runs(0) && board_runs(1) && wait > EXACT -> tick(EXACT, FASTEST, EXACT) }
    :: d_step { board_runs(0) && board_runs(1) -> tick(EXACT, FASTEST, FASTEST) }
    :: d_step { board_runs(0) && wait > EXACT -> tick(FASTEST, SLOW, EXACT) }
    :: d_step { board_runs(0) && board_runs(1) && wait > SLOW -> tick(FASTEST, EXACT, SLOW) }
    :: d_step { board_runs(0) && board_runs(1) && wait > EXACT -> tick(FASTEST, EXACT, EXACT) }
    :: d_step { board_runs(0) && board_runs(1) -> tick(FASTEST, EXACT, FASTEST) }
    :: d_step { board_runs(0) && board_runs(1) && wait > EXACT -> tick(FASTEST, FASTEST, EXACT) }
#endif
    od
}
