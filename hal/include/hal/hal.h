/*
 * The board's hardware as small op tables; hal/linux and hal/sim implement all of it equally, and
 * one contract test runs against both. Which of them a board has is configured, and only hal_open()
 * asks.
 *
 * Every process of a board opens it, by its role: the guard for lines and watchdog, the agent and the
 * gateway to belong to the board, which is all that they ask of it.
 * Owner: one caller at a time in each process. Nothing here allocates after open.
 */
#ifndef HOLDFAST_HAL_HAL_H
#define HOLDFAST_HAL_HAL_H

#include <stdbool.h>
#include <stdint.h>

enum hal_result {
    HAL_OK = 0,
    HAL_NOT_FOUND,   /* no such chip, line or device */
    HAL_BUSY,        /* held by another process */
    HAL_DENIED,      /* permission */
    HAL_IO,          /* the kernel or the bench refused */
    HAL_UNSUPPORTED, /* the device can't do what was asked (timeout out of its range) */
    HAL_AMBIGUOUS,   /* more than one chip has this label, or more than one line this name */
    HAL_LOST         /* the bench's connection is gone; sim only */
};

enum hal_bias { HAL_BIAS_AS_IS, HAL_BIAS_DISABLED, HAL_BIAS_PULL_UP, HAL_BIAS_PULL_DOWN };

/* In the place of a line's number: the line is found by its name alone. */
#define HAL_LINE_BY_NAME UINT32_MAX

/*
 * Which line, and how it is wired. Texts are borrowed for the call. The bench goes by resource and
 * output alone: it has neither chips nor wiring.
 */
struct hal_line_config {
    const char *chip;      /* "gpiochip0", a path, or the label of one chip of this board */
    const char *line_name; /* as the chip names it; "": by number. With both, both must be right */
    uint32_t line;         /* HAL_LINE_BY_NAME: by name */
    bool active_low;
    enum hal_bias bias; /* inputs; a chip that has none leaves the line as it is, unsaid */
    const char *resource;
    const char *output; /* the output's name, a readback's too; consumer is "holdfast R/O" */
};

struct hal_line; /* one GPIO line, opaque */

/* What the kernel says of a line. */
struct hal_line_facts {
    char chip[32]; /* "gpiochip0" */
    char label[32];
    char name[32]; /* "": the chip has none for it */
    uint32_t line;
    char consumer[32]; /* of who holds it */
    bool used;
    bool output; /* it is driven; of a line that nobody holds, as the chip says itself */
    bool level_known;
    bool on; /* its logical level, driven or not */
};

struct hal_output_ops {
    /*
     * Requests a line as an output at its inactive level, at once and without a glitch. May block
     * for some ioctls only. HAL_NOT_FOUND, HAL_AMBIGUOUS, HAL_BUSY, HAL_DENIED, HAL_IO.
     */
    enum hal_result (*open_output)(void *hal, const struct hal_line_config *config,
                                   struct hal_line **out);
    /* The same as an input, for readback, with its edges told through hal.fd where they can be. */
    enum hal_result (*open_input)(void *hal, const struct hal_line_config *config,
                                  struct hal_line **out);
    /* Sets an output's logical level. Never blocks. HAL_IO, HAL_LOST. */
    enum hal_result (*set)(struct hal_line *line, bool on);
    /* Reads an input's logical level. Never blocks. HAL_IO, HAL_LOST. */
    enum hal_result (*get)(struct hal_line *line, bool *on);
    /*
     * True if a change of this input's level makes hal.fd readable; false: it must be looked at. May
     * turn false while the line is open. *monotonic_us is the kernel's date of the latest edge by
     * CLOCK_MONOTONIC, which is slewed: to be told, not to decide by. INT64_MIN: none is known.
     */
    bool (*edges)(const struct hal_line *line, int64_t *monotonic_us);
    /* Sets an output inactive and gives it back to the kernel. */
    void (*close)(struct hal_line *line);
    /*
     * Finds a line that is not this process's, and tells what is known of it. One that nobody holds
     * is held for that as it is, neither driven nor turned into an input. As open_output();
     * HAL_UNSUPPORTED: sim.
     */
    enum hal_result (*look)(void *hal, const struct hal_line_config *config,
                            struct hal_line_facts *facts);
};

struct hal_watchdog_ops {
    /*
     * Opens and starts the watchdog with a timeout in ms (rounded up to the device's step; *actual_ms
     * says what is in force). HAL_UNSUPPORTED if the device's range does not reach it, if it can't
     * be set and is another one, or if the device would stop when the process dies. It counts from
     * now on, and goes on counting when the process dies.
     */
    enum hal_result (*arm)(void *hal, const char *device, uint32_t timeout_ms, uint32_t *actual_ms);
    enum hal_result (*feed)(void *hal);
    /* Stops it ('V' magic close). HAL_UNSUPPORTED with nowayout. Only for a planned shutdown. */
    enum hal_result (*stop)(void *hal);
};

struct hal {
    const char *backend; /* "linux" or "sim" */
    const struct hal_output_ops *output;
    const struct hal_watchdog_ops *watchdog;
    void *context;
    /* A descriptor whose input the owner must poll and then pass to service(), or -1. */
    int fd;
    /* Takes in what arrived (sim: levels; linux: edges). Never blocks. HAL_LOST. */
    enum hal_result (*service)(void *hal);
    /*
     * The TCP connection to an actuator with this local port (1..65535) is this process's. Tells a
     * bench whose writes it sees; a real board has no use for it. Never blocks. HAL_LOST.
     */
    enum hal_result (*announce_port)(void *hal, uint16_t port);
    /*
     * What the latest refusal of an op was about, in words that go behind its result; "" if they
     * would say no more. After arm() the device's own name. Valid until the next call of an op.
     */
    const char *(*why)(void *hal);
    void (*close)(struct hal *hal);
};

enum hal_backend { HAL_SIM, HAL_LINUX };

/* The board that a process belongs to, and what the process is there. Texts are borrowed. */
struct hal_board {
    enum hal_backend backend;
    const char *socket; /* sim: the bench's */
    const char *name;
    const char *role; /* "guard", "agent" or "gateway" */
};

/*
 * Opens the board's backend for this process; of a simulated board that registers it, so that the
 * simulated watchdog can reset all of the board. Blocks as the backend's own function does.
 */
enum hal_result hal_open(struct hal *hal, const struct hal_board *board);

/* "sim" or "linux". */
const char *hal_backend_name(enum hal_backend backend);

/*
 * Opens the kernel's GPIO uAPI v2 and /dev/watchdog. Devices are opened by the ops. `lines`: this
 * process opens lines, so there is a descriptor for their edges. HAL_IO.
 */
enum hal_result hal_linux_open(struct hal *hal, bool lines);

/*
 * Connects to the bench at `socket` and says "hello BOARD ROLE PID". Blocks for the connection, at
 * most 1 s.
 */
enum hal_result hal_sim_open(struct hal *hal, const char *socket, const char *board,
                             const char *role);

const char *hal_result_name(enum hal_result result);

#endif
