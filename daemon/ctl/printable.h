/*
 * What came from the network, made fit for a terminal: text passes, whatever commands a terminal does
 * not.
 *
 * Owner: answer.c and who prints names; plain data, all zero at the start. Sans-IO.
 * Newline, tab and whole UTF-8 characters pass. Other control bytes, C1 in one byte or as UTF-8
 *   (U+0080 to U+009F), what turns the direction of text or ends a line unseen (U+061C, U+200E, U+200F,
 *   U+2028 to U+202E, U+2066 to U+2069), and bytes that are no UTF-8 come out as \xNN.
 */
#ifndef HOLDFAST_CTL_PRINTABLE_H
#define HOLDFAST_CTL_PRINTABLE_H

#include <stddef.h>
#include <stdio.h>

struct printable {
    unsigned char held[4]; /* the start of a character, until it is known to be one */
    size_t count;
    size_t length; /* bytes of that character */
};

/* Writes what can be said by now to `out`; the start of a character waits for its end. */
void printable_write(struct printable *printable, const char *bytes, size_t length, FILE *out);

/* One text that is over. */
void printable_puts(const char *text, FILE *out);

#endif
