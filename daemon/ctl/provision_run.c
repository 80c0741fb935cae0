#include "ctl/provision_run.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl/card.h"
#include "ctl/card_pki.h"
#include "provision/provision.h"

enum {
    ETC_MAX = 200, /* characters of --etc: names of files follow, in a path of CONF_PATH_MAX */
    PEM_MAX = 64 * 1024
};

#define ETC_DEFAULT "/etc/holdfast"

struct request {
    const char *file; /* that of the cluster */
    const char *board;
    const char *folder;
    const char *image;
    const char *etc;
    bool begin;
    bool replace;
    bool check;
    bool example;
};

/* One card in the making. */
struct work {
    const struct request *request;
    bool json;
    FILE *out;
    FILE *errors;
    struct provision *provision;
    const struct cluster *cluster;
    const struct cluster_board *board;
    enum provision_first first;
    uint64_t offset; /* of the partition in the image */
    struct card_pki pki;
    struct card card;
    char *read[3];    /* certificates and key */
    char *board_text; /* of the file `board` */
};

/* ---- the command line */

struct word {
    const char *name;
    size_t text; /* offset of its value, or */
    size_t flag; /* of what it sets */
};

static const struct word words[] = {
    { "--board", offsetof(struct request, board), 0 },
    { "--folder", offsetof(struct request, folder), 0 },
    { "--image", offsetof(struct request, image), 0 },
    { "--etc", offsetof(struct request, etc), 0 },
    { "--begin", 0, offsetof(struct request, begin) },
    { "--replace", 0, offsetof(struct request, replace) },
    { "--check", 0, offsetof(struct request, check) },
    { "--example", 0, offsetof(struct request, example) },
};

static const char usage[] =
    "holdfastctl: usage: " PROVISION_USAGE_FOLDER "\n                    " PROVISION_USAGE_IMAGE
    "\n                    " PROVISION_USAGE_CHECK "\n                    " PROVISION_USAGE_EXAMPLE
    "\n";

/* NULL: there is none. *joined: the value behind a '=', or NULL. */
static const struct word *find_word(const char *typed, const char **joined)
{
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        size_t length = strlen(words[i].name);
        if (strncmp(typed, words[i].name, length) != 0)
            continue;
        *joined = typed[length] == '=' ? typed + length + 1 : NULL;
        if (typed[length] == '\0' || *joined)
            return &words[i];
    }
    return NULL;
}

/* False after a line. *at is stepped over a value. */
static bool take_option(const struct ctl_options *options, int *at, struct request *request,
                        FILE *errors)
{
    const char *value = NULL;
    const struct word *word = find_word(options->words[*at], &value);
    if (!word) {
        fprintf(errors, "holdfastctl: provision: %s: unknown option\n", options->words[*at]);
        return false;
    }
    if (word->flag != 0 && !value) {
        memcpy((char *)request + word->flag, &(bool){ true }, sizeof(bool));
        return true;
    }
    if (word->flag == 0 && !value && *at + 1 < options->word_count)
        value = options->words[++*at];
    if (word->flag == 0 && value && value[0] != '\0') {
        memcpy((char *)request + word->text, &value, sizeof(value));
        return true;
    }
    fprintf(errors, "holdfastctl: provision: %s: %s\n", word->name,
            word->flag != 0 ? "takes no value" : "no value");
    return false;
}

/* What does not go together; NULL: it is good. */
static const char *mismatch(const struct request *request)
{
    bool card =
        request->board || request->folder || request->image || request->begin || request->replace;
    if (request->example)
        return card || request->check || request->file ? "--example stands alone" : NULL;
    if (!request->file)
        return "no cluster file; --example prints one to start from";
    if (request->check)
        return card ? "--check makes no card: FILE alone" : NULL;
    if (!request->board)
        return "no --board ID: which of the file's boards is the card for?";
    if (!request->folder == !request->image)
        return "where to? One of --folder DIR and --image FILE";
    if (request->begin && request->replace)
        return "--begin or --replace, not both";
    return NULL;
}

static bool parse(const struct ctl_options *options, struct request *request, FILE *errors)
{
    *request = (struct request){ .etc = ETC_DEFAULT };
    bool good = true;
    for (int i = 1; i < options->word_count && good; i++) {
        const char *word = options->words[i];
        if (word[0] == '-') {
            good = take_option(options, &i, request, errors);
        } else if (request->file) {
            fprintf(errors, "holdfastctl: provision: %s: a second file, one is allowed\n", word);
            good = false;
        } else {
            request->file = word;
        }
    }
    const char *why = good ? mismatch(request) : NULL;
    if (why)
        fprintf(errors, "holdfastctl: provision: %s\n", why);
    if (!good || why) {
        fputs(usage, errors);
        return false;
    }
    if (request->etc[0] == '/' && strlen(request->etc) <= ETC_MAX)
        return true;
    fprintf(
        errors,
        "holdfastctl: provision: --etc: \"%.220s\", must be the board's folder for configuration: "
        "absolute, of at most %d characters\n",
        request->etc, ETC_MAX);
    return false;
}

/* ---- looking, before anything is written */

static bool find_board(struct work *work)
{
    work->cluster = provision_cluster(work->provision);
    work->board = cluster_find(work->cluster, work->request->board);
    if (work->board)
        return true;
    fprintf(work->errors,
            "holdfastctl: --board: \"%s\", must be one of boards in %s:", work->request->board,
            work->cluster->file);
    for (size_t i = 0; i < work->cluster->board_count; i++)
        fprintf(work->errors, "%s %s", i > 0 ? "," : "", work->cluster->board[i].id.text);
    fputc('\n', work->errors);
    return false;
}

static bool find_place(struct work *work)
{
    const struct request *request = work->request;
    return request->folder ? card_folder_ready(request->folder, work->errors) :
                             card_image_ready(request->image, &work->offset, work->errors);
}

static void ask_which(const struct work *work)
{
    const char *id = work->board->id.text;
    fprintf(
        work->errors,
        "holdfastctl: %s has a certificate in %s: a card of it was made before. Say which one "
        "this is:\n"
        "  --begin    the cluster is new, or begins anew: all its cards are made so. Key and\n"
        "             certificate are used again.\n"
        "  --replace  the cluster runs, and this card takes the place of the old one: nothing is\n"
        "             begun, what that one knew is learnt from the others. Key and certificate\n"
        "             are new; the old card must not run beside it.\n"
        "Nothing was written.\n",
        id, work->pki.folder);
}

/* Which first start it is to be. False after a question. */
static bool decide(struct work *work)
{
    const struct request *request = work->request;
    card_pki_find(&work->pki, work->cluster->folder, work->cluster->name.text, work->board->id.text,
                  work->errors);
    if (work->pki.made_before && !request->begin && !request->replace) {
        ask_which(work);
        return false;
    }
    work->first = request->replace || !work->board->issuer ? PROVISION_REPLACE : PROVISION_BEGIN;
    return card_pki_decide(&work->pki, request->replace);
}

/* ---- the files */

static char *read_text(const char *file, FILE *errors)
{
    char *text = malloc(PEM_MAX);
    FILE *in = text ? fopen(file, "re") : NULL;
    size_t length = in ? fread(text, 1, PEM_MAX, in) : 0;
    bool good = in && !ferror(in) && length < PEM_MAX;
    if (!good)
        fprintf(errors, "holdfastctl: %s: cannot read: %s\n", file,
                in && !ferror(in) ? "too long" : strerror(errno));
    if (in)
        fclose(in);
    if (good) {
        text[length] = '\0';
        return text;
    }
    free(text);
    return NULL;
}

static char *board_text(const struct work *work)
{
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    if (!out)
        return NULL;
    provision_print_board(work->provision, work->board, work->first, out);
    if (fclose(out) == 0)
        return text;
    free(text);
    return NULL;
}

static void add_file(struct work *work, const char *name, const char *text, mode_t mode)
{
    work->card.file[work->card.count++] = (struct card_file){
        .name = name, .bytes = text, .length = text ? strlen(text) : 0, .mode = mode
    };
}

static bool fill_card(struct work *work)
{
    const char *id = work->board->id.text;
    const char *const from[][3] = { { "ca", "crt", "ca.crt" },
                                    { id, "crt", "node.crt" },
                                    { id, "key", "node.key" } };
    for (size_t i = 0; i < 3; i++) {
        char file[PATH_MAX];
        card_pki_path(&work->pki, from[i][0], from[i][1], file);
        work->read[i] = read_text(file, work->errors);
        if (!work->read[i])
            return false;
        add_file(work, from[i][2], work->read[i], i == 2 ? 0600 : 0644);
    }
    work->board_text = board_text(work);
    if (!work->board_text) {
        fprintf(work->errors, "holdfastctl: out of memory\n");
        return false;
    }
    add_file(work, "holdfast.conf", provision_conf_text(work->provision, work->board), 0644);
    add_file(work, "authorized_keys", provision_ssh_keys(work->provision), 0644);
    add_file(work, CARD_WHOLE, work->board_text, 0644);
    return true;
}

/* mtools copies files: they stand beside the keys for that long, where nobody else can look. */
static bool write_image(struct work *work)
{
    char made[PATH_MAX];
    int length = snprintf(made, sizeof(made), "%s/.card.XXXXXX", work->pki.folder);
    if (length < 0 || (size_t)length >= sizeof(made) || !mkdtemp(made)) {
        fprintf(work->errors, "holdfastctl: %s: %s\n", work->pki.folder, strerror(errno));
        return false;
    }
    bool done =
        card_folder_write(made, &work->card, work->errors) &&
        card_image_write(work->request->image, work->offset, made, &work->card, work->errors);
    card_folder_remove(made, &work->card);
    rmdir(made);
    return done;
}

static bool write_card(struct work *work)
{
    return work->request->image ?
               write_image(work) :
               card_folder_write(work->request->folder, &work->card, work->errors);
}

/* ---- what is said in the end */

static void say_card(const struct work *work)
{
    const struct request *request = work->request;
    FILE *out = work->out;
    if (request->image)
        fprintf(out, "  card:        %s, FAT partition at byte %llu, folder %s:", request->image,
                (unsigned long long)work->offset, CARD_FOLDER);
    else
        fprintf(out, "  card:        %s/%s:", request->folder, CARD_FOLDER);
    for (size_t i = 0; i < work->card.count; i++) {
        if (work->card.file[i].bytes)
            fprintf(out, " %s", work->card.file[i].name);
    }
    fprintf(out, "\n");
    if (!provision_ssh_keys(work->provision))
        fprintf(out, "  SSH:         none, the cluster file has no ssh_keys\n");
}

static void say_certificate(const struct work *work)
{
    static const char *const acts[] = { [CARD_PKI_KEEP] = "that of before",
                                        [CARD_PKI_MAKE] = "made now",
                                        [CARD_PKI_RENEW] = "that of before had expired; made now "
                                                           "for the same key" };
    fprintf(work->out, "  certificate: %s, in %s\n", acts[work->pki.act], work->pki.folder);
    if (work->pki.begins)
        fprintf(work->out,
                "               That folder is new. Keep it, and off the boards: it has the CA's\n"
                "               key, without which nobody gets a certificate of this cluster.\n");
}

static void say_first(const struct work *work)
{
    const char *id = work->board->id.text;
    const char *cluster = work->cluster->name.text;
    const struct conf *conf = provision_conf(work->provision, work->board);
    FILE *out = work->out;
    if (work->first == PROVISION_BEGIN)
        fprintf(
            out,
            "  first start: begin. This card begins a new cluster: at its first start with an\n"
            "               empty data partition %s runs holdfastd --init, once, and waits until\n"
            "               all issuers, %u of them, are there.\n"
            "               If %s runs already, make it again with --replace.\n",
            id, conf->issuer_count, cluster);
    else if (!work->board->issuer)
        fprintf(
            out,
            "  first start: replace. %s runs no issuer, so it begins nothing; it asks the issuers\n"
            "               of %s.\n",
            id, cluster);
    else
        fprintf(
            out,
            "  first start: replace. This card is for %s as it runs: nothing is begun, the issuer\n"
            "               starts empty and learns from the others. An issuer that they do not\n"
            "               know yet is added by holdfastctl member add.\n",
            cluster);
    if (work->request->replace && work->pki.made_before)
        fprintf(out, "               The old card's certificate stays good: destroy that card.\n");
}

/* Where the board's console is reached; empty: it has none. */
static void console_of(const struct work *work, char out[HF_ADDRESS_MAX + 1])
{
    const struct conf *conf = provision_conf(work->provision, work->board);
    const char *port = conf->has_console ? strrchr(conf->console_listen, ':') : NULL;
    bool six = strchr(work->board->address, ':') != NULL;
    out[0] = '\0';
    if (port)
        snprintf(out, HF_ADDRESS_MAX + 1, "%s%s%s%s", six ? "[" : "", work->board->address,
                 six ? "]" : "", port);
}

static void say_next(const struct work *work)
{
    const char *pki = work->pki.folder;
    const char *id = work->board->id.text;
    char console[HF_ADDRESS_MAX + 1];
    FILE *out = work->out;
    fprintf(out, "next:\n");
    for (size_t i = 0; i < work->cluster->board_count; i++) {
        const char *other = work->cluster->board[i].id.text;
        if (!card_pki_has(&work->pki, other))
            fprintf(out, "  holdfastctl provision --board %s %s %s\n", other,
                    work->request->image ? "--image FILE" : "--folder DIR", work->request->file);
    }
    if (work->request->image)
        fprintf(
            out,
            "  write %s to a card (make flash IMAGE=%s DEVICE=/dev/sdX), put it into %s, and start "
            "the board\n",
            work->request->image, work->request->image, id);
    else
        fprintf(out, "  unmount the card, put it into %s, and start the board\n", id);
    console_of(work, console);
    if (console[0] == '\0')
        return;
    fprintf(
        out,
        "  holdfastctl pki issue --dir %s --name YOU --role operator      # once\n"
        "  holdfastctl -H %s --node %s --ca %s/ca.crt --cert %s/YOU.crt --key %s/YOU.key status\n",
        pki, console, id, pki, pki, pki);
}

static void say_json(const struct work *work)
{
    static const char *const acts[] = {
        [CARD_PKI_KEEP] = "kept", [CARD_PKI_MAKE] = "made", [CARD_PKI_RENEW] = "renewed"
    };
    fprintf(work->out,
            "{\"ok\":true,\"cluster\":\"%s\",\"board\":\"%s\",\"first\":\"%s\","
            "\"certificate\":\"%s\"}\n",
            work->cluster->name.text, work->board->id.text,
            work->first == PROVISION_BEGIN ? "begin" : "replace", acts[work->pki.act]);
}

static void say(const struct work *work)
{
    const struct conf *conf = provision_conf(work->provision, work->board);
    if (work->json) {
        say_json(work);
        return;
    }
    fprintf(work->out, "%s of cluster %s, %s/%u: %s", work->board->id.text,
            work->cluster->name.text, work->board->address, work->cluster->prefix,
            work->board->issuer ? "an issuer" : "no issuer");
    for (uint8_t i = 0; i < conf->resource_count; i++)
        fprintf(work->out, "%s%s", i > 0 ? ", " : "; may drive ", conf->resource[i].name.text);
    fprintf(work->out, "\n");
    say_card(work);
    say_certificate(work);
    say_first(work);
    say_next(work);
}

/* ---- the whole */

static bool make_card(struct work *work)
{
    if (!find_board(work) || !find_place(work) || !decide(work) || !card_pki_act(&work->pki))
        return false;
    bool done = fill_card(work) && write_card(work);
    if (!done)
        card_pki_take_back(&work->pki);
    return done;
}

static void free_texts(struct work *work)
{
    for (size_t i = 0; i < 3; i++) {
        if (work->read[i])
            explicit_bzero(work->read[i], strlen(work->read[i]));
        free(work->read[i]);
    }
    free(work->board_text);
}

enum ctl_exit provision_run(const struct ctl_options *options, FILE *out, FILE *errors)
{
    struct request request;
    struct work work = { .request = &request, .json = options->json, .out = out, .errors = errors };
    if (!parse(options, &request, errors))
        return CTL_EXIT_USAGE;
    if (request.example) {
        fputs(provision_example, out);
        return CTL_EXIT_OK;
    }
    work.provision = provision_open(request.file, request.etc, request.check, errors);
    if (!work.provision)
        return CTL_EXIT_REFUSED;
    bool done = true;
    if (request.check)
        provision_print_check(work.provision, work.json, out);
    else
        done = make_card(&work);
    if (done && !request.check)
        say(&work);
    free_texts(&work);
    provision_close(work.provision);
    return done ? CTL_EXIT_OK : CTL_EXIT_REFUSED;
}
