/*
 * Assertions that stay on in release. They are for Holdfast's own bugs only, never for input, and
 * end in the safe state: a crash fences, a guess does not.
 */
#ifndef HOLDFAST_CORE_BASE_CHECK_H
#define HOLDFAST_CORE_BASE_CHECK_H

/*
 * Provided by whoever links the core (daemon, test, simulator). Must not return: a daemon logs and
 * aborts, so that its guard drops; the simulator records the failure.
 */
_Noreturn void hf_panic(const char *file, int line, const char *what);

#define HF_CHECK(condition) ((condition) ? (void)0 : hf_panic(__FILE__, __LINE__, #condition))

#endif
