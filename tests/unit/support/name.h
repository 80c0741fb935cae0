/* A name from a literal. */
#ifndef HOLDFAST_TESTS_UNIT_NAME_H
#define HOLDFAST_TESTS_UNIT_NAME_H

#include "base/name.h"
#include "tests/unit/support/unit.h"

static inline struct hf_name name(const char *from)
{
    struct hf_name result;
    assert_true(name_from_string(&result, from));
    return result;
}

#endif
