/*
 * A cluster file made into what each board gets.
 *
 * Purpose: reads and checks the whole cluster, every board of it, and writes down what goes onto a
 *   board's card, except for certificates, which are ctl's.
 * Owner: ctl/provision_run.c; blocking, for reads alone. Nothing is written.
 */
#ifndef HOLDFAST_PROVISION_PROVISION_H
#define HOLDFAST_PROVISION_PROVISION_H

#include <stdbool.h>
#include <stdio.h>

#include "conf/conf.h"
#include "provision/cluster.h"

/* What a card says of itself to the board that starts with it for the first time. */
enum provision_first {
    PROVISION_BEGIN,  /* its issuer is begun, once, by holdfastd --init: the cluster is new */
    PROVISION_REPLACE /* nothing is begun: there are others to learn from, or there is no issuer */
};

struct provision;

/*
 * Reads `file` and makes of it the configuration of every board, whose folder for that is `etc`.
 * NULL if anything is wrong, with all of it in `errors`, a line each; warnings are told if wanted.
 */
struct provision *provision_open(const char *file, const char *etc, bool warnings, FILE *errors);

void provision_close(struct provision *provision);

const struct cluster *provision_cluster(const struct provision *provision);

/* Text and meaning of a board's holdfast.conf. */
const char *provision_conf_text(const struct provision *provision,
                                const struct cluster_board *board);
const struct conf *provision_conf(const struct provision *provision,
                                  const struct cluster_board *board);

/* The text of authorized_keys; NULL: there is none. */
const char *provision_ssh_keys(const struct provision *provision);

/* Writes the file `board`: id, cluster, address, gateway, ntp, first. */
void provision_print_board(const struct provision *provision, const struct cluster_board *board,
                           enum provision_first first, FILE *out);

/* What --check says of a good file: boards, and the failover bound of each resource. */
void provision_print_check(const struct provision *provision, bool json, FILE *out);

/* A cluster file to start from: three boards, one relay. */
extern const char provision_example[];

#endif
