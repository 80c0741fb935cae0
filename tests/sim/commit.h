/* Of which commit this build is: `git describe --always --dirty`, or "unknown". By the Makefile. */
#ifndef HOLDFAST_TESTS_SIM_COMMIT_H
#define HOLDFAST_TESTS_SIM_COMMIT_H

extern const char sim_commit[];

#endif
