/* The reference of all keys, for people: plain text, and the key list of holdfast.conf(5). */
#include "conf/conf.h"
#include "conf/schema.h"

static void print_default(const struct conf_key *key, FILE *out)
{
    if (key->required)
        fprintf(out, "Required.");
    else if (key->default_text)
        fprintf(out, "Default \"%s\".", key->default_text);
    else if (key->type == CONF_TYPE_WORD)
        fprintf(out, "Default \"%s\".", key->words[key->default_value]);
    else if (key->type == CONF_TYPE_BOOL)
        fprintf(out, "Default %s.", key->default_value ? "true" : "false");
    else if (key->type == CONF_TYPE_INT && key->default_value >= key->min)
        fprintf(out, "Default %lld%s%s.", (long long)key->default_value, key->unit ? " " : "",
                key->unit ? key->unit : "");
    else
        fprintf(out, "Optional.");
}

void conf_print_reference(FILE *out)
{
    for (size_t i = 0; i < conf_schema_count; i++) {
        const struct conf_key *key = &conf_schema[i];
        char allowed[200];
        conf_key_allowed(key, allowed, sizeof(allowed));
        fprintf(out, "%s\n    %s\n    Is %s. ", key->path, key->doc, allowed);
        print_default(key, out);
        fputc('\n', out);
    }
}

void conf_print_reference_man(FILE *out)
{
    for (size_t i = 0; i < conf_schema_count; i++) {
        const struct conf_key *key = &conf_schema[i];
        char allowed[200];
        conf_key_allowed(key, allowed, sizeof(allowed));
        fprintf(out, ".TP\n.B %s\n%s\nIs %s.\n", key->path, key->doc, allowed);
        print_default(key, out);
        fputc('\n', out);
    }
}
