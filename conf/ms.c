#include "conf/ms.h"

#include <stdio.h>
#include <stdlib.h>

struct conf_ms conf_ms(struct span span)
{
    struct conf_ms out;
    long long size = llabs((long long)span.us);
    int used = snprintf(out.text, sizeof(out.text), "%s%lld.%03lld", span.us < 0 ? "-" : "",
                        size / 1000, size % 1000);
    while (out.text[used - 1] == '0')
        out.text[--used] = '\0';
    if (out.text[used - 1] == '.')
        out.text[--used] = '\0';
    return out;
}
