/* The state table of a master's connection, and its buffers. */
#include "gateway/gateway_master.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "gateway/gateway_address.h"

#define IN_USE      ILLEGAL("only a free slot takes a connection")
#define ONE_AT_ONCE ILLEGAL("one request at a time")
#define NOT_ASKED   ILLEGAL("no request waits for an answer")
#define NO_ANSWER   ILLEGAL("no answer is on its way out")
#define NOT_WITH_IT ILLEGAL("no request is with an upstream")
#define NOT_THERE   ILLEGAL("there is no connection")

static const struct cell table[GATEWAY_MASTER_STATES][GATEWAY_MASTER_EVENTS] = {
    [GATEWAY_MASTER_FREE] = {
        [GATEWAY_MASTER_ACCEPTED] = GO(GATEWAY_MASTER_READING),
        [GATEWAY_MASTER_FORWARDED] = NOT_THERE,
        [GATEWAY_MASTER_ANSWERED] = NOT_THERE,
        [GATEWAY_MASTER_FLUSHED] = NOT_THERE,
        [GATEWAY_MASTER_CLOSED] = NOT_THERE,
        [GATEWAY_MASTER_LEFT] = NOT_THERE,
    },
    [GATEWAY_MASTER_READING] = {
        [GATEWAY_MASTER_ACCEPTED] = IN_USE,
        [GATEWAY_MASTER_FORWARDED] = GO(GATEWAY_MASTER_WAITING),
        [GATEWAY_MASTER_ANSWERED] = GO(GATEWAY_MASTER_WRITING),
        [GATEWAY_MASTER_FLUSHED] = NO_ANSWER,
        [GATEWAY_MASTER_CLOSED] = GO(GATEWAY_MASTER_FREE),
        [GATEWAY_MASTER_LEFT] = NOT_WITH_IT,
    },
    [GATEWAY_MASTER_WAITING] = {
        [GATEWAY_MASTER_ACCEPTED] = IN_USE,
        [GATEWAY_MASTER_FORWARDED] = ONE_AT_ONCE,
        [GATEWAY_MASTER_ANSWERED] = GO(GATEWAY_MASTER_WRITING),
        [GATEWAY_MASTER_FLUSHED] = NO_ANSWER,
        [GATEWAY_MASTER_CLOSED] = GO(GATEWAY_MASTER_FREE),
        [GATEWAY_MASTER_LEFT] = GO(GATEWAY_MASTER_ABANDONED),
    },
    [GATEWAY_MASTER_WRITING] = {
        [GATEWAY_MASTER_ACCEPTED] = IN_USE,
        [GATEWAY_MASTER_FORWARDED] = ONE_AT_ONCE,
        [GATEWAY_MASTER_ANSWERED] = NOT_ASKED,
        [GATEWAY_MASTER_FLUSHED] = GO(GATEWAY_MASTER_READING),
        [GATEWAY_MASTER_CLOSED] = GO(GATEWAY_MASTER_FREE),
        [GATEWAY_MASTER_LEFT] = NOT_WITH_IT,
    },
    [GATEWAY_MASTER_ABANDONED] = {
        [GATEWAY_MASTER_ACCEPTED] = IN_USE,
        [GATEWAY_MASTER_FORWARDED] = NOT_THERE,
        [GATEWAY_MASTER_ANSWERED] = GO(GATEWAY_MASTER_FREE),
        [GATEWAY_MASTER_FLUSHED] = NOT_THERE,
        [GATEWAY_MASTER_CLOSED] = NOT_THERE,
        [GATEWAY_MASTER_LEFT] = NOT_THERE,
    },
};

const struct cell *gateway_master_cell(enum gateway_master_state state,
                                       enum gateway_master_event event)
{
    HF_CHECK((unsigned)state < GATEWAY_MASTER_STATES && (unsigned)event < GATEWAY_MASTER_EVENTS);
    return &table[state][event];
}

void gateway_master_change(struct gateway_master *master, enum gateway_master_event event)
{
    const struct cell *cell = gateway_master_cell(master->state, event);
    HF_CHECK(cell->kind == CELL_GO);
    master->state = (enum gateway_master_state)cell->next;
}

struct gateway_master *gateway_master_spare(struct gateway_master *masters, size_t count,
                                            bool asked, struct span least, struct instant now)
{
    struct gateway_master *found = NULL;
    for (size_t i = 0; i < count; i++) {
        struct gateway_master *master = &masters[i];
        bool idle = master->state == GATEWAY_MASTER_READING && (!asked || master->in_length == 0);
        if (!idle || master->asked != asked || instant_diff(now, master->since).us < least.us)
            continue;
        if (found == NULL || instant_diff(master->since, found->since).us < 0)
            found = master;
    }
    return found;
}

void gateway_master_accept(struct gateway_master *master, int fd, struct instant now)
{
    master->fd = fd;
    master->asked = false;
    master->since = now;
    master->in_length = 0;
    master->out_length = 0;
    master->out_sent = 0;
    master->upstream = NULL;
    gateway_address_of_peer(fd, master->peer, sizeof(master->peer));
    gateway_master_change(master, GATEWAY_MASTER_ACCEPTED);
}

void gateway_master_hang_up(struct gateway_master *master)
{
    if (master->fd >= 0)
        close(master->fd);
    master->fd = -1;
}

bool gateway_master_receive(struct gateway_master *master)
{
    size_t room = sizeof(master->in) - master->in_length;
    ssize_t got = recv(master->fd, master->in + master->in_length, room, MSG_DONTWAIT);
    if (got < 0)
        return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
    master->in_length += (size_t)got;
    return got > 0;
}

enum gateway_frame gateway_master_frame(const struct gateway_master *master, uint8_t *unit,
                                        const uint8_t **pdu, size_t *length)
{
    int whole = gateway_adu_length(master->in, master->in_length);
    if (whole < 0)
        return GATEWAY_FRAME_BAD;
    if (whole == 0 || master->in_length < (size_t)whole)
        return GATEWAY_FRAME_NONE;
    *unit = master->in[GATEWAY_MBAP_LENGTH - 1];
    *pdu = master->in + GATEWAY_MBAP_LENGTH;
    *length = (size_t)whole - GATEWAY_MBAP_LENGTH;
    return GATEWAY_FRAME_WHOLE;
}

void gateway_master_answer(struct gateway_master *master, const uint8_t *pdu, size_t length)
{
    HF_CHECK(length >= 1 && length <= GATEWAY_PDU_MAX);
    int whole = gateway_adu_length(master->in, master->in_length);
    HF_CHECK(whole > 0 && (size_t)whole <= master->in_length);
    memcpy(master->out, master->in, GATEWAY_MBAP_LENGTH);
    master->out[4] = 0;
    master->out[5] = (uint8_t)(length + 1); /* at most 254: with the unit id */
    memcpy(master->out + GATEWAY_MBAP_LENGTH, pdu, length);
    master->out_length = GATEWAY_MBAP_LENGTH + length;
    master->out_sent = 0;
    master->in_length -= (size_t)whole;
    memmove(master->in, master->in + whole, master->in_length);
}

bool gateway_master_send(struct gateway_master *master)
{
    size_t left = master->out_length - master->out_sent;
    ssize_t sent =
        send(master->fd, master->out + master->out_sent, left, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0)
        return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
    master->out_sent += (size_t)sent;
    return true;
}
