/* What a run is asked for, what its seed makes of it, and the bounds of the simulated world. */
#ifndef HOLDFAST_TESTS_SIM_SETTINGS_H
#define HOLDFAST_TESTS_SIM_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

enum {
    SIM_ISSUERS_MAX = 5,
    SIM_BOARDS_MAX = 3,
    SIM_NODES_MAX = SIM_ISSUERS_MAX + SIM_BOARDS_MAX,
    SIM_RESOURCES_MAX = 4,
    SIM_DISK_OPERATIONS_MAX = 64,
    SIM_DISK_SLOT_BYTES = 4 * 1024 * 1024,
    SIM_HARD_STATES_MAX = 256,
    SIM_OPERATORS = 16,
    SIM_GENERATIONS_MAX = 3,
    SIM_TRAIL_BYTES = 4096,
    SIM_FAILURE_MAX = 256,
    SIM_DRIFT_PPM = 2000,
    SIM_ELECTION_MS = 300, /* times the plan's scale, as all that follows from it */
    SIM_HEARTBEAT_MS = 50,
    SIM_RELEASE_MS = 5,
    SIM_GUARD_STATUS_MS = 20,
    SIM_GUARD_SILENCE_MS = 200,
    SIM_WATCHDOG_MS = 2000,
    SIM_SETTLE_US = 3000000 /* before the first fault, times the plan's scale */
};

enum sim_type {
    SIM_CHAOS,       /* every fault, then a quiet phase */
    SIM_LEADER_KILL, /* only the leader dies, at the recommended ttl: nobody may drop (L2) */
    SIM_BOARD_KILL,  /* only the driving board dies: the next drives within the bound (L1) */
    SIM_ISSUER_CUT, /* one issuer is cut off from the others: a healthy leader stays, a deaf one goes */
    SIM_SLOW_DISKS, /* syncs take far longer than a lease: nobody drops, the leader stays */
    SIM_RESTORE,    /* chaos, in which all is lost and restored from a backup of before */
    SIM_SLACK, /* a slow leader, a stalled agent, by what a healthy holder bears: nobody drops */
    SIM_ONE_ISSUER, /* chaos, in which one issuer is the cluster, and its journal is lost */
    SIM_TYPES
};

/* Bugs that the world itself plants, to show that the oracles see them. */
enum sim_plant {
    PLANT_NONE,
    PLANT_DEADLINE,      /* a permit reaches the guard with a later deadline */
    PLANT_ANSWER,        /* an issuer that does not lead answers renewals */
    PLANT_VOTE,          /* a refused vote is turned into a granted one */
    PLANT_DISK,          /* the disk says "synced" and is not */
    PLANT_RELEASE,       /* an agent releases as proven what still drives */
    PLANT_TOKEN,         /* a grant is announced with another token */
    PLANT_RESTORED_FREE, /* a restored cluster grants at once */
    PLANT_RESTORED_LOG,  /* a restored log goes on where its backup ends */
    PLANTS
};

struct settings {
    uint64_t seed;
    uint8_t generations; /* a child of it, and of that, ...: child.h */
    uint8_t child[SIM_GENERATIONS_MAX];
    bool verbose;
    bool skew_beyond;   /* clocks far outside drift_ppm: S1 must break */
    enum sim_type only; /* the type of the run; SIM_TYPES: as the seed chooses */
    enum sim_plant plant;
    uint32_t tolerated;  /* bit per oracle: counted, does not end the run */
    struct trace *trace; /* written by the run; NULL: none */
};

enum sim_output {
    OUTPUT_PULSE,        /* charge pump: off a hold time after the last edge, whatever happened */
    OUTPUT_GPIO_PROCESS, /* plain: off when the guard dies; nothing is promised if it hangs */
    OUTPUT_GPIO_KERNEL   /* plain: off when the guard dies or the watchdog has reset the board */
};

/* A board's outputs and watchdog, as they are and as its configuration says. */
struct sim_hardware {
    enum sim_output output;
    bool watchdog;
    bool close_pings; /* a guard that dies leaves the watchdog freshly fed */
    bool retains;     /* a pin keeps its level when the guard dies */
    bool blind;       /* pulse: its outputs have no readback */
    int64_t reset_us; /* from the watchdog's bite to the pins at their pull, at most */
    int64_t fence_us; /* declared: as the configuration reckons it */
};

/* A long ttl is so many short ones: its renewals come too late for those. */
enum { SIM_LONG_TTLS = 6 };

/* In sim_plan.failback. */
static inline uint32_t sim_failback_bit(int resource, int board)
{
    return UINT32_C(1) << (resource * SIM_BOARDS_MAX + board);
}

/* The world of a run, as the seed chose it. */
struct sim_plan {
    enum sim_type type;
    int issuers;
    int boards;
    int resources;
    int64_t scale; /* of every period, ttls, faults and the run's length */
    int64_t ttl_us;
    int64_t restored_ttl_us; /* another one, by turns, from a restore on; 0: none */
    uint32_t long_ttls;      /* resources whose ttl is SIM_LONG_TTLS times that; a bit each */
    int64_t hold_ms;         /* of the pulse outputs: their declared fence latency */
    int64_t refit_hold_ms;   /* of the pump that a board is refitted with; 0: none is */
    uint32_t rate_hz;
    int64_t readback_ms;
    int64_t fault_interval_us; /* mean */
    int64_t note_interval_us;  /* operator's entries that make the log grow; 0: none */
    uint64_t growth_bytes;     /* of a journal slot */
    int shared_machines;       /* so many boards live on an issuer's machine each */
    struct sim_hardware hardware[SIM_BOARDS_MAX];
    int spare_issuers; /* the last so many are no members at first */
    uint32_t failback; /* where it is automatic: a bit per resource and board */
    bool stuck_go;     /* policy: granted although an output is stuck on */
    int32_t skew_ppm_max;
    bool steady;  /* no jitter: every delay and latency is the middle of its range */
    bool ordered; /* network: as TCP, nothing is lost, repeated or overtaken in a connection */
    unsigned loss_ppm;
    unsigned repeat_ppm;
    int64_t delay_max_us;
    int64_t straggle_max_us; /* of the few frames that are late by much more; 0: none */
    int64_t quiet_us;        /* faults end */
    int64_t end_us;
};

/* Of `ttl_us`, what this resource's ttl is. */
static inline int64_t sim_ttl_us(const struct sim_plan *plan, int resource, int64_t ttl_us)
{
    return plan->long_ttls >> resource & 1 ? SIM_LONG_TTLS * ttl_us : ttl_us;
}

#endif
