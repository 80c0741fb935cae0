/*
 * Where another node's console is reached from here. A node tells in its hello what its console
 * listens on; that may be every address of it, or one that only itself can reach. Pure.
 */
#ifndef HOLDFAST_NODE_REACH_H
#define HOLDFAST_NODE_REACH_H

#include <stdbool.h>
#include <stddef.h>

/*
 * `told`: "HOST:PORT" of the other node's console, as it says, or empty. `peer`: where its peers reach
 * it. Writes where its console is reached to `out`. False: nowhere, as far as is known.
 */
bool reach_console(const char *told, const char *peer, char *out, size_t size);

#endif
