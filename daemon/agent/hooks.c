#include "agent/hooks.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log/log.h"

enum { HOOK_PATH_MAX = 150 };

struct hook {
    uv_process_t process;
    char what[128];
};

static int hooks_running;

static void hook_closed(uv_handle_t *handle)
{
    hooks_running--;
    free(handle->data);
}

static void hook_exited(uv_process_t *process, int64_t status, int signal)
{
    const struct hook *hook = process->data;
    if (signal != 0)
        log_line(LOG_WARNING, "%s: hook ended by signal %d", hook->what, signal);
    else if (status != 0)
        log_line(LOG_WARNING, "%s: hook exited with status %" PRId64, hook->what, status);
    uv_close((uv_handle_t *)process, hook_closed);
}

static int hook_spawn(uv_loop_t *loop, struct hook *hook, const char *program, char **environment)
{
    char *arguments[] = { (char *)(uintptr_t)program, NULL };
    uv_process_options_t options = {
        .file = program,
        .args = arguments,
        .env = environment,
        .exit_cb = hook_exited,
        .flags = UV_PROCESS_DETACHED,
    };
    hook->process.data = hook;
    return uv_spawn(loop, &hook->process, &options);
}

void hooks_run(uv_loop_t *loop, const char *program, const char *resource, uint64_t token,
               const char *event)
{
    char variables[4][sizeof("PATH=") + HOOK_PATH_MAX];
    const char *path = getenv("PATH");
    if (path == NULL || strlen(path) > HOOK_PATH_MAX) /* a part of it finds nothing */
        path = "/usr/sbin:/usr/bin:/sbin:/bin";
    snprintf(variables[0], sizeof(variables[0]), "HOLDFAST_RESOURCE=%s", resource);
    snprintf(variables[1], sizeof(variables[1]), "HOLDFAST_TOKEN=%" PRIu64, token);
    snprintf(variables[2], sizeof(variables[2]), "HOLDFAST_EVENT=%s", event);
    snprintf(variables[3], sizeof(variables[3]), "PATH=%s", path);
    char *environment[] = { variables[0], variables[1], variables[2], variables[3], NULL };

    if (hooks_running >= HOOKS_MAX) {
        log_line(LOG_ERR, "%s: %s hook not started: %d hooks are still running", resource, event,
                 hooks_running);
        return;
    }
    struct hook *hook = calloc(1, sizeof(*hook));
    if (hook == NULL) {
        log_line(LOG_ERR, "%s: %s hook not started: out of memory", resource, event);
        return;
    }
    snprintf(hook->what, sizeof(hook->what), "%s: %s", resource, event);
    hooks_running++;
    int status = hook_spawn(loop, hook, program, environment);
    uv_unref((uv_handle_t *)&hook->process); /* The daemon does not wait for it when it stops. */
    if (status != 0) {
        log_line(LOG_ERR, "%s: %s hook %s not started: %s", resource, event, program,
                 uv_strerror(status));
        uv_close((uv_handle_t *)&hook->process, hook_closed);
    }
}
