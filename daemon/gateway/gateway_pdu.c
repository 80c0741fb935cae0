/* One table of the function codes that are forwarded, and the checks that go by it. */
#include "gateway/gateway_pdu.h"

enum {
    COIL_OFF = 0x0000,
    COIL_ON = 0xFF00,
    FUNCTION_WRITE_SINGLE_COIL = 0x05,
    EXCEPTION_FLAG = 0x80,
    MBAP_COUNTED_FROM = 6 /* the length field counts the unit id and what follows */
};

/* A quantity field: where it is in the PDU (0: the function has none), its limit, its item. */
struct quantity {
    uint8_t at;
    uint16_t max;
    uint8_t item_bits;
};

struct function_row {
    uint8_t function;
    enum gateway_access access;
    const char *noun;
    uint8_t fixed_length; /* bytes before the written data; the last of them counts the data */
    uint8_t address_at;
    struct quantity read;
    struct quantity write;
    uint8_t answer_length; /* of a function that reads nothing */
};

static const struct function_row functions[] = {
    { 0x01, GATEWAY_ACCESS_READ, "coil", 5, 1, { 3, 2000, 1 }, { 0, 0, 0 }, 0 },
    { 0x02, GATEWAY_ACCESS_READ, "input", 5, 1, { 3, 2000, 1 }, { 0, 0, 0 }, 0 },
    { 0x03, GATEWAY_ACCESS_READ, "register", 5, 1, { 3, 125, 16 }, { 0, 0, 0 }, 0 },
    { 0x04, GATEWAY_ACCESS_READ, "input", 5, 1, { 3, 125, 16 }, { 0, 0, 0 }, 0 },
    { 0x05, GATEWAY_ACCESS_WRITE, "coil", 5, 1, { 0, 0, 0 }, { 0, 0, 0 }, 5 },
    { 0x06, GATEWAY_ACCESS_WRITE, "register", 5, 1, { 0, 0, 0 }, { 0, 0, 0 }, 5 },
    { 0x0F, GATEWAY_ACCESS_WRITE, "coil", 6, 1, { 0, 0, 0 }, { 3, 1968, 1 }, 5 },
    { 0x10, GATEWAY_ACCESS_WRITE, "register", 6, 1, { 0, 0, 0 }, { 3, 123, 16 }, 5 },
    { 0x16, GATEWAY_ACCESS_WRITE, "register", 7, 1, { 0, 0, 0 }, { 0, 0, 0 }, 7 },
    { 0x17, GATEWAY_ACCESS_WRITE, "register", 10, 5, { 3, 125, 16 }, { 7, 121, 16 }, 0 },
};

static uint16_t word_at(const uint8_t *bytes, size_t at)
{
    return (uint16_t)((unsigned)bytes[at] << 8 | bytes[at + 1]);
}

static const struct function_row *find_function(uint8_t function)
{
    for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
        if (functions[i].function == function)
            return &functions[i];
    }
    return NULL;
}

static bool quantity_good(const struct quantity *quantity, const uint8_t *pdu)
{
    if (quantity->at == 0)
        return true;
    uint16_t value = word_at(pdu, quantity->at);
    return value >= 1 && value <= quantity->max;
}

/* Bytes that the quantity in this request takes up as data. */
static size_t quantity_bytes(const struct quantity *quantity, const uint8_t *pdu)
{
    if (quantity->at == 0)
        return 0;
    return ((size_t)word_at(pdu, quantity->at) * quantity->item_bits + 7) / 8;
}

static bool request_good(const struct function_row *row, const uint8_t *pdu, size_t length)
{
    if (length < row->fixed_length)
        return false;
    if (!quantity_good(&row->read, pdu) || !quantity_good(&row->write, pdu))
        return false;
    size_t data = quantity_bytes(&row->write, pdu);
    if (row->write.at != 0 && pdu[row->fixed_length - 1] != data)
        return false;
    if (length != row->fixed_length + data)
        return false;
    if (row->function != FUNCTION_WRITE_SINGLE_COIL)
        return true;
    return word_at(pdu, 3) == COIL_OFF || word_at(pdu, 3) == COIL_ON;
}

enum gateway_exception gateway_pdu_check(const uint8_t *pdu, size_t length,
                                         struct gateway_pdu_facts *facts)
{
    const struct function_row *row = find_function(pdu[0]);
    if (row == NULL)
        return GATEWAY_EXCEPTION_FUNCTION;
    if (!request_good(row, pdu, length))
        return GATEWAY_EXCEPTION_VALUE;
    facts->function = row->function;
    facts->access = row->access;
    facts->address = word_at(pdu, row->address_at);
    facts->noun = row->noun;
    facts->answer_length = row->answer_length;
    if (row->read.at != 0)
        facts->answer_length = 2 + quantity_bytes(&row->read, pdu);
    return GATEWAY_EXCEPTION_NONE;
}

size_t gateway_pdu_exception(uint8_t function, uint8_t code, uint8_t *out)
{
    out[0] = (uint8_t)(function | EXCEPTION_FLAG);
    out[1] = code;
    return GATEWAY_EXCEPTION_LENGTH;
}

bool gateway_pdu_answer_fits(const struct gateway_pdu_facts *facts, const uint8_t *pdu,
                             size_t length)
{
    if (length == GATEWAY_EXCEPTION_LENGTH && pdu[0] == (facts->function | EXCEPTION_FLAG))
        return true;
    if (length != facts->answer_length || pdu[0] != facts->function)
        return false;
    const struct function_row *row = find_function(facts->function);
    return row != NULL && (row->read.at == 0 || pdu[1] == length - 2);
}

int gateway_adu_length(const uint8_t *adu, size_t have)
{
    if (have < MBAP_COUNTED_FROM)
        return 0;
    uint16_t protocol = word_at(adu, 2);
    uint16_t counted = word_at(adu, 4);
    if (protocol != 0 || counted < 2 || counted > GATEWAY_PDU_MAX + 1)
        return -1;
    return MBAP_COUNTED_FROM + counted;
}
