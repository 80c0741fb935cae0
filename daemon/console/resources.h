/*
 * Names of resources that are typed: whether this issuer knows of one, and the refusal of one that it
 * does not.
 *
 * Owner: the console's commands, on an issuer; loop thread.
 */
#ifndef HOLDFAST_CONSOLE_RESOURCES_H
#define HOLDFAST_CONSOLE_RESOURCES_H

#include "console/call.h"

/* True if a policy of this issuer names it, or the table has a row of it from when one did. */
bool resources_known(const struct replica *replica, const struct hf_name *resource);

/* Fails the call: "resource pmup: must be one of issuer.policy, which names pump, fan". */
void resources_refuse(struct call *call, const struct hf_name *resource);

#endif
