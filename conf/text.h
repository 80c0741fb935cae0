/*
 * A configuration file as text: it is read whole, and searched for mistakes that libconfig does not
 * report.
 *
 * Owner: conf_load(), for the time of one call.
 */
#ifndef HOLDFAST_CONF_TEXT_H
#define HOLDFAST_CONF_TEXT_H

#include <stdint.h>

#include "conf/conf_report.h"

enum { CONF_TEXT_MAX = 1024 * 1024 };

/*
 * Reads a regular file of at most CONF_TEXT_MAX bytes without zero bytes. Returns a terminated text
 * that the caller frees, or NULL with an error in `report`. Blocks for the read; a pipe or a device
 * is refused at once, and not opened.
 */
char *conf_text_read(const char *file, struct conf_report *report);

/*
 * Reports what libconfig 1.5 would take without a word: numbers that do not fit into 32 bits (it
 * keeps their low bits), and @include (one file is the whole configuration); and a byte order mark,
 * of which it would say no more than that the syntax is wrong.
 */
void conf_text_check(const char *text, struct conf_report *report);

enum conf_port { CONF_PORT_BAD = 0 };

/*
 * The port of "IPv4:PORT" or "[IPv6]:PORT" with a numeric host, 1 to 65535; CONF_PORT_BAD for
 * anything else.
 */
uint16_t conf_address_port(const char *address);

#endif
