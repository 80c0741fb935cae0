/*
 * Reads what the console says: a greeting, then answers, each ended by the prompt at the start of a
 * line.
 *
 * Owner: client.c; plain data. Sans-IO: bytes in, lines out, printable.
 */
#ifndef HOLDFAST_CTL_ANSWER_H
#define HOLDFAST_CTL_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "ctl/printable.h"

#define CTL_PROMPT "holdfast> "

enum ctl_answer_part { CTL_ANSWER_GREETING, CTL_ANSWER_BODY, CTL_ANSWER_DONE };

struct ctl_answer {
    enum ctl_answer_part part;
    bool greeted; /* the greeting was one of Holdfast's */
    bool refused; /* the answer is an ERR */
    bool misused; /* and says that the command is none, or written wrong */
    bool moved;   /* and says to ask elsewhere: its line is in `line`, and was not let out */
    char line[256];
    size_t line_length;
    bool fresh;    /* at the start of the first line of the answer */
    size_t column; /* bytes of the current line that are still held back */
    char held[64]; /* start of a line, until it is known what it is */
    bool passing;  /* the rest of the current line goes straight out */
    struct printable printable;
    FILE *out;    /* answers */
    FILE *errors; /* ERR lines */
};

void ctl_answer_init(struct ctl_answer *answer, FILE *out, FILE *errors);

/*
 * Takes bytes; stops behind the prompt that ends a part. Returns how many were taken. The caller
 * looks at `part`: BODY means that the greeting is over and the command may be sent.
 */
size_t ctl_answer_take(struct ctl_answer *answer, const char *bytes, size_t length);

/*
 * Whom to ask instead, and where: "ERR 421 ...: ask NODE at ADDRESS". False: the answer is none such, or
 * names nobody, by a name that a node may have and an address of printable ASCII.
 */
bool ctl_answer_elsewhere(const struct ctl_answer *answer, char *node, size_t node_size,
                          char *address, size_t address_size);

#endif
