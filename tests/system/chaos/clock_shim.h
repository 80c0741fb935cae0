/*
 * A board's own clock in a chaos run: what its file says that CLOCK_MONOTONIC_RAW, MONOTONIC and
 * BOOTTIME are, as a function of true time, which is the machine's CLOCK_MONOTONIC_RAW.
 *
 * Written by clocks.py, mapped by every process of the board. Two segments: the one that is over is
 * written anew with a beginning that is still to come, its from_ns last, so that all processes go over
 * to it at one instant and nobody waits for the writer.
 */
#ifndef HOLDFAST_CHAOS_CLOCK_SHIM_H
#define HOLDFAST_CHAOS_CLOCK_SHIM_H

#include <stdatomic.h>
#include <stdint.h>

struct clock_segment {
    _Atomic int64_t from_ns; /* true time; the segment counts from here on */
    int64_t raw_ns;          /* the board's raw clock at from_ns */
    int64_t rate_ppb;        /* beyond true time's rate; -1000000000: it stands */
    int64_t monotonic_ns;    /* MONOTONIC minus what raw would make of it: its steps */
    int64_t slept_ns;        /* BOOTTIME minus MONOTONIC, beyond the machine's */
};

struct clock_file {
    _Atomic uint64_t asleep; /* the board is suspended: no process of it runs */
    struct clock_segment segment[2];
};

/* The segment that counts at a true instant: the one that began last. */
static inline struct clock_segment clock_segment_at(struct clock_file *file, int64_t true_ns)
{
    for (;;) {
        int64_t first_ns = atomic_load(&file->segment[0].from_ns);
        int64_t second_ns = atomic_load(&file->segment[1].from_ns);
        int newer = second_ns > first_ns;
        int64_t from_ns = newer ? second_ns : first_ns;
        if (from_ns > true_ns) {
            newer = !newer;
            from_ns = newer ? second_ns : first_ns;
        }
        struct clock_segment segment = file->segment[newer];
        atomic_thread_fence(memory_order_seq_cst);
        if (atomic_load(&file->segment[newer].from_ns) == from_ns && segment.from_ns == from_ns)
            return segment;
    }
}

static inline int64_t clock_segment_raw_ns(const struct clock_segment *segment, int64_t true_ns)
{
    int64_t passed_ns = true_ns - segment->from_ns;
    int64_t seconds = passed_ns / 1000000000;
    return segment->raw_ns + passed_ns + seconds * segment->rate_ppb +
           passed_ns % 1000000000 * segment->rate_ppb / 1000000000;
}

#endif
