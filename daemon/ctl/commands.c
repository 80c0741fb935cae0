#include "ctl/commands.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf/conf.h"
#include "ctl/backup_file.h"
#include "ctl/certificate.h"
#include "ctl/client.h"
#include "ctl/pki.h"
#include "ctl/printable.h"
#include "ctl/provision_run.h"
#include "preflight/preflight.h"

enum { SLOW_SILENCE_MS = 60000 };

struct run {
    const struct ctl_options *options;
    FILE *out;
    FILE *errors;
};

struct command {
    const char *name;
    const char *usage;
    int words_min;                                 /* the command's own included */
    enum ctl_exit (*local)(const struct run *run); /* NULL: the console does it */
    uint32_t silence_ms;
    bool acts; /* changes something: who answers must be known, not any node */
};

/* ---- configuration */

/* Loads the file; tells its warnings only if asked to, its errors always. */
static struct conf *load_conf(const struct run *run, bool warnings)
{
    const char *file = run->options->conf_file ? run->options->conf_file : CTL_DEFAULT_CONF;
    struct conf *conf = malloc(sizeof(*conf));
    char *text = NULL;
    size_t length = 0;
    FILE *report = open_memstream(&text, &length);
    if (!conf || !report) {
        fprintf(run->errors, "holdfastctl: out of memory\n");
        if (report)
            fclose(report);
        free(text);
        free(conf);
        return NULL;
    }
    int count = conf_load(conf, file, report);
    fclose(report);
    if (count > 0 || warnings)
        fputs(text, run->errors);
    free(text);
    if (count == 0)
        return conf;
    free(conf);
    return NULL;
}

/* True after one line that names the first word behind the first `count`: none is taken there. */
static bool has_more_words(const struct run *run, int count, const char *usage)
{
    const struct ctl_options *options = run->options;
    if (options->word_count <= count)
        return false;
    fprintf(run->errors, "holdfastctl: %s: %s: not known here; usage: %s\n", options->words[0],
            options->words[count], usage);
    return true;
}

static enum ctl_exit run_budget(const struct run *run)
{
    if (has_more_words(run, 1, "budget"))
        return CTL_EXIT_USAGE;
    struct conf *conf = load_conf(run, true);
    if (!conf)
        return CTL_EXIT_REFUSED;
    conf_print_budget(conf, run->out, run->options->json);
    free(conf);
    return CTL_EXIT_OK;
}

static enum ctl_exit run_check(const struct run *run)
{
    if (has_more_words(run, 1, "check"))
        return CTL_EXIT_USAGE;
    struct conf *conf = load_conf(run, true);
    if (!conf)
        return CTL_EXIT_REFUSED;
    int count = certificate_check_files(conf->tls_ca, conf->tls_cert, conf->tls_key,
                                        conf->node_id.text, run->errors);
    if (count == 0 && run->options->json)
        fprintf(
            run->out,
            "{\"ok\":true,\"node\":\"%s\",\"digest\":\"%016llx\",\"cluster_digest\":\"%016llx\"}\n",
            conf->node_id.text, (unsigned long long)conf->digest,
            (unsigned long long)conf->cluster_digest);
    else if (count == 0)
        fprintf(run->out, "%s: good; node %s, digest %016llx, cluster digest %016llx\n", conf->file,
                conf->node_id.text, (unsigned long long)conf->digest,
                (unsigned long long)conf->cluster_digest);
    free(conf);
    return count == 0 ? CTL_EXIT_OK : CTL_EXIT_REFUSED;
}

static enum ctl_exit run_reference(const struct run *run)
{
    bool man = run->options->word_count > 1 && strcmp(run->options->words[1], "man") == 0;
    if (has_more_words(run, man ? 2 : 1, "reference [man]"))
        return CTL_EXIT_USAGE;
    if (man)
        conf_print_reference_man(run->out);
    else
        conf_print_reference(run->out);
    return CTL_EXIT_OK;
}

/* ---- preflight */

static bool preflight_seconds(const char *text, uint32_t *seconds, FILE *errors)
{
    char *end;
    long number = strtol(text, &end, 10);
    *seconds = (uint32_t)number;
    if (end != text && *end == '\0' && number >= 0 && number <= PREFLIGHT_SECONDS_MAX)
        return true;
    fprintf(errors, "holdfastctl: preflight --seconds: \"%s\", must be 0 to %d\n", text,
            PREFLIGHT_SECONDS_MAX);
    return false;
}

/* False after one line of what is wrong. */
static bool preflight_options(const struct ctl_options *options, struct preflight *preflight,
                              FILE *errors)
{
    for (int i = 1; i < options->word_count; i++) {
        const char *word = options->words[i];
        if (strcmp(word, "--try-lines") == 0) {
            preflight->try_lines = true;
        } else if (strcmp(word, "--try-watchdog") == 0) {
            preflight->try_watchdog = true;
        } else if (strcmp(word, "--seconds") == 0 && i + 1 < options->word_count) {
            if (!preflight_seconds(options->words[++i], &preflight->seconds, errors))
                return false;
        } else {
            fprintf(errors,
                    "holdfastctl: preflight: %s: %s; usage: preflight [--seconds 0..%d] "
                    "[--try-lines] [--try-watchdog]\n",
                    word, strcmp(word, "--seconds") == 0 ? "no value" : "unknown option",
                    PREFLIGHT_SECONDS_MAX);
            return false;
        }
    }
    return true;
}

static enum ctl_exit preflight_board(const struct run *run, struct preflight *preflight)
{
    static struct findings findings;
    static struct preflight_system system;
    static struct hal hal;
    const char *node = preflight->conf->node_id.text;
    if (hal_linux_open(&hal, false) != HAL_OK) {
        fprintf(run->errors, "holdfastctl: out of memory\n");
        return CTL_EXIT_REFUSED;
    }
    preflight_system_linux(&system, &hal);
    preflight->system = &system;
    preflight->findings = &findings;
    preflight_run(preflight);
    hal.close(&hal);
    if (run->options->json)
        findings_print_json(&findings, node, run->out);
    else
        findings_print(&findings, node, run->out);
    return findings_refused(&findings) > 0 ? CTL_EXIT_REFUSED : CTL_EXIT_OK;
}

static enum ctl_exit run_preflight(const struct run *run)
{
    struct preflight preflight = { .seconds = PREFLIGHT_SECONDS };
    if (!preflight_options(run->options, &preflight, run->errors))
        return CTL_EXIT_USAGE;
    struct conf *conf = load_conf(run, true);
    if (!conf)
        return CTL_EXIT_REFUSED;
    preflight.conf = conf;
    enum ctl_exit status = preflight_board(run, &preflight);
    free(conf);
    return status;
}

/* ---- pki */

struct pki_option {
    const char *name;
    bool for_init;
    bool for_issue;
    bool for_renew;
};

static const struct pki_option pki_options[] = {
    { "--dir", true, true, true },   { "--cluster", true, false, false },
    { "--name", false, true, true }, { "--role", false, true, false },
    { "--days", true, true, true },
};

static const char pki_usage[] =
    "holdfastctl: usage: pki init --dir D --cluster NAME [--days N] [--force]\n"
    "                    pki issue --dir D --name ID --role node|viewer|operator [--days N] "
    "[--force]\n"
    "                    pki renew --dir D --name ID [--days N]\n";

/* True if word `index` is an option of this subcommand; steps over its value. */
static bool pki_word_known(const struct ctl_options *options, const char *what, int *index)
{
    const char *word = options->words[*index];
    if (strcmp(word, "--force") == 0)
        return strcmp(what, "renew") != 0;
    for (size_t i = 0; i < sizeof(pki_options) / sizeof(pki_options[0]); i++) {
        const struct pki_option *option = &pki_options[i];
        size_t length = strlen(option->name);
        bool allowed = strcmp(what, "init") == 0  ? option->for_init :
                       strcmp(what, "issue") == 0 ? option->for_issue :
                                                    option->for_renew;
        if (!allowed || strncmp(word, option->name, length) != 0)
            continue;
        if (word[length] == '=')
            return true;
        if (word[length] == '\0') {
            (*index)++;
            return true;
        }
    }
    return false;
}

/* Reads "--days"; 0 if it is no number of 1 to PKI_DAYS_MAX. */
static int pki_days(const char *text, int otherwise)
{
    char *end;
    if (!text)
        return otherwise;
    long days = strtol(text, &end, 10);
    bool good = end != text && *end == '\0' && days >= 1 && days <= PKI_DAYS_MAX;
    return good ? (int)days : 0;
}

static bool pki_force(const struct ctl_options *options)
{
    for (int i = 2; i < options->word_count; i++) {
        if (strcmp(options->words[i], "--force") == 0)
            return true;
    }
    return false;
}

/* False after one line that names the value that is wrong. */
static bool pki_values_good(const struct pki_request *request, const char *what, const char *days,
                            FILE *errors)
{
    struct hf_name name;
    const char *name_option = strcmp(what, "init") == 0 ? "--cluster" : "--name";
    if (!name_from_string(&name, request->name))
        fprintf(errors,
                "holdfastctl: %s: \"%s\", must be 1 to 31 letters, digits, '.', '_' or '-', not "
                "starting with '.' or '-'\n",
                name_option, request->name);
    else if (strcmp(request->name, "ca") == 0)
        fprintf(errors, "holdfastctl: %s: \"ca\" is the CA's own, must be another\n", name_option);
    else if (strcmp(what, "issue") == 0 && !pki_role_known(request->role))
        fprintf(errors, "holdfastctl: --role: \"%s\", must be node, viewer or operator\n",
                request->role);
    else if (request->days == 0)
        fprintf(errors, "holdfastctl: --days: \"%s\", must be a whole number of days, 1 to %d\n",
                days, PKI_DAYS_MAX);
    else
        return true;
    return false;
}

static enum ctl_exit usage_error(const struct run *run, const char *text)
{
    fprintf(run->errors, "holdfastctl: %s\n", text);
    return CTL_EXIT_USAGE;
}

static enum ctl_exit run_pki(const struct run *run)
{
    const struct ctl_options *options = run->options;
    const char *what = options->words[1];
    bool init = strcmp(what, "init") == 0;
    bool issue = strcmp(what, "issue") == 0;
    bool missing = !init && !issue && strcmp(what, "renew") != 0;
    for (int i = 2; i < options->word_count && !missing; i++) {
        const char *word = options->words[i];
        if (!pki_word_known(options, what, &i)) {
            fprintf(run->errors, "holdfastctl: pki %s: %s: unknown option\n", what, word);
            missing = true;
        }
    }
    const char *days = ctl_words_value(options, 2, "--days", &missing);
    struct pki_request request = {
        .folder = ctl_words_value(options, 2, "--dir", &missing),
        .name = ctl_words_value(options, 2, init ? "--cluster" : "--name", &missing),
        .role = ctl_words_value(options, 2, "--role", &missing),
        .days = pki_days(days, init ? PKI_CA_DAYS : PKI_NODE_DAYS),
        .force = pki_force(options),
        .out = run->out,
        .errors = run->errors,
    };
    if (missing || !request.folder || !request.name || (issue && !request.role)) {
        fputs(pki_usage, run->errors);
        return CTL_EXIT_USAGE;
    }
    if (!pki_values_good(&request, what, days, run->errors))
        return CTL_EXIT_USAGE;
    bool done = init ? pki_init(&request) : issue ? pki_issue(&request) : pki_renew(&request);
    return done ? CTL_EXIT_OK : CTL_EXIT_REFUSED;
}

static enum ctl_exit run_provision(const struct run *run)
{
    return provision_run(run->options, run->out, run->errors);
}

/* ---- the table */

static enum ctl_exit run_backup(const struct run *run);

static const struct command commands[] = {
    { "status", "status", 1, NULL, CLIENT_TIMEOUT_MS, false },
    { "leases", "leases [--consistency local|leader|quorum]", 1, NULL, CLIENT_TIMEOUT_MS, false },
    { "issuers", "issuers", 1, NULL, CLIENT_TIMEOUT_MS, false },
    { "agents", "agents", 1, NULL, CLIENT_TIMEOUT_MS, false },
    { "guard", "guard", 1, NULL, CLIENT_TIMEOUT_MS, false },
    { "history", "history [-n N] [--resource R]", 1, NULL, CLIENT_TIMEOUT_MS, false },
    { "watch", "watch [--resource R]", 1, NULL, 0, false },
    { "transfer", "transfer RESOURCE BOARD", 3, NULL, SLOW_SILENCE_MS, true },
    { "pin", "pin RESOURCE BOARD|none", 3, NULL, SLOW_SILENCE_MS, true },
    { "unpin", "unpin RESOURCE", 2, NULL, SLOW_SILENCE_MS, true },
    { "fault", "fault clear RESOURCE [BOARD]", 3, NULL, CLIENT_TIMEOUT_MS, true },
    { "token", "token overrule RESOURCE BOARD", 4, NULL, SLOW_SILENCE_MS, true },
    { "resource", "resource remove RESOURCE", 3, NULL, SLOW_SILENCE_MS, true },
    { "member", "member add ID ADDRESS | promote ID | remove ID", 3, NULL, SLOW_SILENCE_MS, true },
    { "leader", "leader transfer ID", 3, NULL, SLOW_SILENCE_MS, true },
    { "metrics", "metrics", 1, NULL, CLIENT_TIMEOUT_MS, false },
    { "backup", "backup FILE [--force] | backup --verify FILE", 2, run_backup, 0, false },
    { "budget", "budget", 1, run_budget, CLIENT_TIMEOUT_MS, false },
    { "check", "check", 1, run_check, 0, false },
    { "preflight", "preflight [--seconds N] [--try-lines] [--try-watchdog]", 1, run_preflight, 0,
      false },
    { "pki", "pki init|issue|renew ...", 2, run_pki, 0, false },
    /* Of one name, the first is taken; all are told by --help. */
    { "provision", PROVISION_USAGE_FOLDER, 1, run_provision, 0, false },
    { "provision", PROVISION_USAGE_IMAGE, 1, run_provision, 0, false },
    { "provision", PROVISION_USAGE_CHECK, 1, run_provision, 0, false },
    { "provision", PROVISION_USAGE_EXAMPLE, 1, run_provision, 0, false },
    { "reference", "reference [man]", 1, run_reference, 0, false },
};

static const size_t command_count = sizeof(commands) / sizeof(commands[0]);

/* Of a backup only the file is this program's: it is asked for, and written or checked here. */
static bool is_asked(const struct command *command)
{
    return !command->local || command->local == run_backup;
}

static void print_help(FILE *out)
{
    fprintf(
        out,
        "holdfastctl [-c FILE] [-H HOST:PORT] [--node ID] [--ca F] [--cert F] [--key F] "
        "[-o table|json] COMMAND...\n\n"
        "  -c FILE        configuration of the node to ask (%s)\n"
        "  -H HOST:PORT   ask the console there\n"
        "  --node ID      the node that must be there; with -H and without it, one of the issuers\n"
        "                 that the configuration names, and for questions any node of the CA\n"
        "  --ca, --cert, --key FILE   instead of those of the configuration; acting needs a\n"
        "                 certificate of role operator\n"
        "  -o json        one JSON object on one line; --json is the same\n"
        "  --help, --version\n"
        "Options stand before the command; -o, --json and --help behind it, too.\n\n"
        "Exit status: 0 done, 1 refused, 2 usage, 3 unreachable.\n\n"
        "Asked of the console:\n",
        CTL_DEFAULT_CONF);
    for (size_t i = 0; i < command_count; i++) {
        if (is_asked(&commands[i]))
            fprintf(out, "  %s\n", commands[i].usage);
    }
    fprintf(out, "\nDone here, without a daemon:\n");
    for (size_t i = 0; i < command_count; i++) {
        if (!is_asked(&commands[i]))
            fprintf(out, "  %s\n", commands[i].usage);
    }
}

/* ---- the console's commands */

/* Where a daemon on this machine that listens on `listen` is reached. */
static void reachable(const char *listen, char *out, size_t size)
{
    if (strncmp(listen, "0.0.0.0:", 8) == 0)
        snprintf(out, size, "127.0.0.1:%s", listen + 8);
    else if (strncmp(listen, "[::]:", 5) == 0)
        snprintf(out, size, "[::1]:%s", listen + 5);
    else
        snprintf(out, size, "%s", listen);
}

static bool join_words(const struct ctl_options *options, char *line, size_t size)
{
    size_t used = 0;
    for (int i = 0; i < options->word_count && used < size; i++)
        used +=
            (size_t)snprintf(line + used, size - used, "%s%s", i > 0 ? " " : "", options->words[i]);
    if (options->json && used < size)
        used += (size_t)snprintf(line + used, size - used, " --json");
    return used < size;
}

/* One question or act, and what it takes to ask it. */
struct asking {
    const struct run *run;
    const char *line;
    uint32_t silence_ms;
    bool acts;
    FILE *out;
    struct client_config config;
    struct conf *conf; /* NULL: not read */
    char address[HF_ADDRESS_MAX + 16];
};

/* False after one line of what to say instead, where nobody named a file and there is none. */
static bool default_readable(const struct run *run, const char *names, const char *instead)
{
    if (run->options->conf_file || access(CTL_DEFAULT_CONF, R_OK) == 0)
        return true;
    fprintf(run->errors, "holdfastctl: %s: %s; it would name %s: say -c FILE, or %s\n",
            CTL_DEFAULT_CONF, strerror(errno), names, instead);
    return false;
}

/* Who the issuers are, as the file says; false after a line in `errors`. */
static bool load_issuers(struct asking *asking)
{
    const struct run *run = asking->run;
    if (asking->conf)
        return true;
    if (!default_readable(run, "the issuers that acts are asked of",
                          "-H HOST:PORT with the --node ID that must be there"))
        return false;
    asking->conf = load_conf(run, false);
    return asking->conf != NULL;
}

/* Whether an act may go where a console sends it: a board's word makes nobody an issuer. */
static bool may_follow(struct asking *asking, const struct client_elsewhere *where)
{
    if (!load_issuers(asking))
        return false;
    if (client_is_issuer(asking->conf, where->node))
        return true;
    fprintf(
        asking->run->errors,
        "holdfastctl: %s: not asked: it is none of the issuers of %s; -H %s --node %s asks it all "
        "the same\n",
        where->node, asking->conf->file, where->address, where->node);
    return false;
}

/*
 * A board's console takes no acts, and says which issuer's does: the certificate goes there itself,
 * once. Whoever answers there must prove to be that issuer.
 */
static enum ctl_exit call_and_follow(struct asking *asking)
{
    FILE *errors = asking->run->errors;
    struct client_elsewhere first;
    struct client_elsewhere second = { .line = "" };
    struct client_config there = asking->config;
    enum ctl_exit status =
        client_call(&asking->config, asking->line, asking->silence_ms, asking->out, errors, &first);
    if (first.node[0] != '\0' && may_follow(asking, &first)) {
        there.address = first.address;
        there.node = first.node;
        status =
            client_call(&there, asking->line, asking->silence_ms, asking->out, errors, &second);
        if (status != CTL_EXIT_UNREACHABLE)
            first.line[0] = '\0';
    }
    printable_puts(first.line, errors);
    printable_puts(second.line, errors);
    return status;
}

/* The files and the address that the command line leaves to the configuration. */
static enum ctl_exit complete(struct asking *asking)
{
    struct client_config *config = &asking->config;
    if (!config->address || !config->ca || !config->cert || !config->key) {
        if (!default_readable(asking->run, "console and certificate",
                              "all of -H HOST:PORT, --ca, --cert and --key"))
            return CTL_EXIT_REFUSED;
        asking->conf = load_conf(asking->run, false);
        if (!asking->conf)
            return CTL_EXIT_REFUSED;
        config->ca = config->ca ? config->ca : asking->conf->tls_ca;
        config->cert = config->cert ? config->cert : asking->conf->tls_cert;
        config->key = config->key ? config->key : asking->conf->tls_key;
    }
    if (!config->address) {
        if (!asking->conf->has_console)
            return usage_error(asking->run,
                               "the configuration has no group \"console\", say -H HOST:PORT");
        reachable(asking->conf->console_listen, asking->address, sizeof(asking->address));
        config->address = asking->address;
        config->node = config->node ? config->node : asking->conf->node_id.text;
    }
    if (asking->acts && !config->node && !load_issuers(asking))
        return CTL_EXIT_REFUSED;
    config->issuers = asking->acts ? asking->conf : NULL;
    return CTL_EXIT_MORE;
}

/* One line to the console, its answer to `out`. */
static enum ctl_exit ask_console(const struct run *run, const char *line, uint32_t silence_ms,
                                 bool acts, FILE *out)
{
    const struct ctl_options *options = run->options;
    struct asking asking = { .run = run,
                             .line = line,
                             .silence_ms = silence_ms,
                             .acts = acts,
                             .out = out,
                             .config = { .address = options->host,
                                         .node = options->node,
                                         .ca = options->ca,
                                         .cert = options->cert,
                                         .key = options->key,
                                         .greeting_ms = CLIENT_GREETING_MS,
                                         .answer_ms = CLIENT_ANSWER_MS } };
    enum ctl_exit status = complete(&asking);
    if (status == CTL_EXIT_MORE)
        status = call_and_follow(&asking);
    free(asking.conf);
    return status;
}

static enum ctl_exit run_remote(const struct run *run, const struct command *command)
{
    char line[CTL_LINE_MAX];
    if (!join_words(run->options, line, sizeof(line)))
        return usage_error(run, "the command is too long, at most 499 characters");
    return ask_console(run, line, command->silence_ms, command->acts, run->out);
}

static enum ctl_exit run_backup(const struct run *run)
{
    struct ctl_backup what;
    char *text = NULL;
    size_t length = 0;
    if (!ctl_backup_parse(run->options, &what))
        return usage_error(run, "usage: backup FILE [--force] | backup --verify FILE");
    if (what.verify)
        return ctl_backup_verify(&what, run->out, run->errors);
    FILE *answer = open_memstream(&text, &length);
    if (!answer)
        return usage_error(run, "out of memory");
    enum ctl_exit status = ask_console(run, "backup", SLOW_SILENCE_MS, true, answer);
    fclose(answer);
    if (status == CTL_EXIT_OK)
        status = ctl_backup_store(&what, text, length, run->out, run->errors);
    free(text);
    return status;
}

static enum ctl_exit run_command(const struct run *run)
{
    const struct ctl_options *options = run->options;
    for (size_t i = 0; i < command_count; i++) {
        const struct command *command = &commands[i];
        if (strcmp(command->name, options->words[0]) != 0)
            continue;
        if (options->word_count < command->words_min) {
            fprintf(run->errors, "holdfastctl: usage: %s\n", command->usage);
            return CTL_EXIT_USAGE;
        }
        /* With -H, the budget is that of the node there. */
        bool remote_budget = command->local == run_budget && options->host;
        if (command->local && !remote_budget)
            return command->local(run);
        return run_remote(run, command);
    }
    fprintf(run->errors, "holdfastctl: %s: unknown command, see holdfastctl --help\n",
            options->words[0]);
    return CTL_EXIT_USAGE;
}

int ctl_run(int argc, char *const *argv, FILE *out, FILE *errors)
{
    struct ctl_options options;
    const struct run run = { .options = &options, .out = out, .errors = errors };
    if (!ctl_options_parse(&options, argc, argv, errors))
        return CTL_EXIT_USAGE;
    if (options.help || (options.word_count > 0 && strcmp(options.words[0], "help") == 0)) {
        print_help(out);
        return CTL_EXIT_OK;
    }
    if (options.version) {
        fprintf(out, "holdfastctl %s\n", HOLDFAST_VERSION);
        return CTL_EXIT_OK;
    }
    if (options.word_count == 0)
        return usage_error(&run, "no command, see holdfastctl --help");
    return run_command(&run);
}
