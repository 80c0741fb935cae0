#include "tests/bench/pdu.h"

#include <string.h>

enum { ILLEGAL_FUNCTION = 1, ILLEGAL_ADDRESS = 2, ILLEGAL_VALUE = 3 };

struct exchange {
    struct pdu_image *image;
    const uint8_t *request;
    size_t length;
    uint8_t *response;
    struct pdu_write *write;
};

static int word_at(const uint8_t *bytes)
{
    return bytes[0] << 8 | bytes[1];
}

static void put_word(uint8_t *bytes, int value)
{
    bytes[0] = (uint8_t)(value >> 8);
    bytes[1] = (uint8_t)value;
}

static size_t refuse(const struct exchange *exchange, int code)
{
    exchange->write->count = 0;
    exchange->response[0] = (uint8_t)(exchange->request[0] | 0x80);
    exchange->response[1] = (uint8_t)code;
    return 2;
}

static bool in_range(int address, int count)
{
    return address + count <= PDU_ADDRESSES;
}

static size_t echo(const struct exchange *exchange, size_t length)
{
    memcpy(exchange->response, exchange->request, length);
    return length;
}

static size_t read_bits(const struct exchange *exchange)
{
    if (exchange->length != 5)
        return refuse(exchange, ILLEGAL_VALUE);
    int address = word_at(exchange->request + 1);
    int count = word_at(exchange->request + 3);
    const uint8_t *table =
        exchange->request[0] == 1 ? exchange->image->coils : exchange->image->inputs;
    if (count < 1 || count > 2000)
        return refuse(exchange, ILLEGAL_VALUE);
    if (!in_range(address, count))
        return refuse(exchange, ILLEGAL_ADDRESS);
    int bytes = (count + 7) / 8;
    memset(exchange->response, 0, (size_t)bytes + 2);
    exchange->response[0] = exchange->request[0];
    exchange->response[1] = (uint8_t)bytes;
    for (int i = 0; i < count; i++)
        if (table[address + i])
            exchange->response[2 + i / 8] |= (uint8_t)(1 << i % 8);
    return (size_t)bytes + 2;
}

static size_t put_registers(const struct exchange *exchange, const uint16_t *table, int address,
                            int count)
{
    exchange->response[0] = exchange->request[0];
    exchange->response[1] = (uint8_t)(count * 2);
    uint8_t *at = exchange->response + 2;
    for (int i = 0; i < count; i++, at += 2)
        put_word(at, table[address + i]);
    return (size_t)count * 2 + 2;
}

static size_t read_registers(const struct exchange *exchange)
{
    if (exchange->length != 5)
        return refuse(exchange, ILLEGAL_VALUE);
    int address = word_at(exchange->request + 1);
    int count = word_at(exchange->request + 3);
    if (count < 1 || count > 125)
        return refuse(exchange, ILLEGAL_VALUE);
    if (!in_range(address, count))
        return refuse(exchange, ILLEGAL_ADDRESS);
    return put_registers(exchange,
                         exchange->request[0] == 3 ? exchange->image->holding :
                                                     exchange->image->input_registers,
                         address, count);
}

static void note_write(const struct exchange *exchange, int address, int count)
{
    exchange->write->address = address;
    exchange->write->count = count;
}

static size_t write_single(const struct exchange *exchange)
{
    if (exchange->length != 5)
        return refuse(exchange, ILLEGAL_VALUE);
    int address = word_at(exchange->request + 1);
    int value = word_at(exchange->request + 3);
    bool coil = exchange->request[0] == 5;
    if (coil && value != 0 && value != 0xff00)
        return refuse(exchange, ILLEGAL_VALUE);
    if (!in_range(address, 1))
        return refuse(exchange, ILLEGAL_ADDRESS);
    if (coil)
        exchange->image->coils[address] = value != 0;
    else
        exchange->image->holding[address] = (uint16_t)value;
    exchange->write->values[0] = (uint16_t)(coil ? value != 0 : value);
    note_write(exchange, address, 1);
    return echo(exchange, 5);
}

static size_t write_coils(const struct exchange *exchange)
{
    if (exchange->length < 6)
        return refuse(exchange, ILLEGAL_VALUE);
    int address = word_at(exchange->request + 1);
    int count = word_at(exchange->request + 3);
    int bytes = exchange->request[5];
    if (count < 1 || count > PDU_VALUES_MAX || bytes != (count + 7) / 8 ||
        exchange->length != 6 + (size_t)bytes)
        return refuse(exchange, ILLEGAL_VALUE);
    if (!in_range(address, count))
        return refuse(exchange, ILLEGAL_ADDRESS);
    for (int i = 0; i < count; i++) {
        uint8_t bit = exchange->request[6 + i / 8] >> i % 8 & 1;
        exchange->image->coils[address + i] = bit;
        exchange->write->values[i] = bit;
    }
    note_write(exchange, address, count);
    return echo(exchange, 5);
}

static void store_registers(const struct exchange *exchange, int address, int count,
                            const uint8_t *values)
{
    for (int i = 0; i < count; i++, values += 2) {
        uint16_t value = (uint16_t)word_at(values);
        exchange->image->holding[address + i] = value;
        exchange->write->values[i] = value;
    }
    note_write(exchange, address, count);
}

static size_t write_registers(const struct exchange *exchange)
{
    if (exchange->length < 6)
        return refuse(exchange, ILLEGAL_VALUE);
    int address = word_at(exchange->request + 1);
    int count = word_at(exchange->request + 3);
    int bytes = exchange->request[5];
    if (count < 1 || count > 123 || bytes != count * 2 || exchange->length != 6 + (size_t)bytes)
        return refuse(exchange, ILLEGAL_VALUE);
    if (!in_range(address, count))
        return refuse(exchange, ILLEGAL_ADDRESS);
    store_registers(exchange, address, count, exchange->request + 6);
    return echo(exchange, 5);
}

static size_t mask_register(const struct exchange *exchange)
{
    if (exchange->length != 7)
        return refuse(exchange, ILLEGAL_VALUE);
    int address = word_at(exchange->request + 1);
    int and_mask = word_at(exchange->request + 3);
    int or_mask = word_at(exchange->request + 5);
    if (!in_range(address, 1))
        return refuse(exchange, ILLEGAL_ADDRESS);
    int old = exchange->image->holding[address];
    uint16_t value = (uint16_t)((old & and_mask) | (or_mask & ~and_mask));
    exchange->image->holding[address] = value;
    exchange->write->values[0] = value;
    note_write(exchange, address, 1);
    return echo(exchange, 7);
}

static size_t write_and_read(const struct exchange *exchange)
{
    if (exchange->length < 10)
        return refuse(exchange, ILLEGAL_VALUE);
    int read_address = word_at(exchange->request + 1);
    int read_count = word_at(exchange->request + 3);
    int address = word_at(exchange->request + 5);
    int count = word_at(exchange->request + 7);
    int bytes = exchange->request[9];
    if (read_count < 1 || read_count > 125 || count < 1 || count > 121 || bytes != count * 2 ||
        exchange->length != 10 + (size_t)bytes)
        return refuse(exchange, ILLEGAL_VALUE);
    if (!in_range(read_address, read_count) || !in_range(address, count))
        return refuse(exchange, ILLEGAL_ADDRESS);
    store_registers(exchange, address, count, exchange->request + 10);
    return put_registers(exchange, exchange->image->holding, read_address, read_count);
}

size_t pdu_execute(struct pdu_image *image, const uint8_t *request, size_t length,
                   uint8_t response[PDU_MAX], struct pdu_write *write)
{
    const struct exchange exchange = { image, request, length, response, write };
    write->function = request[0];
    write->count = 0;
    switch (request[0]) {
    case 1:
    case 2:
        return read_bits(&exchange);
    case 3:
    case 4:
        return read_registers(&exchange);
    case 5:
    case 6:
        return write_single(&exchange);
    case 15:
        return write_coils(&exchange);
    case 16:
        return write_registers(&exchange);
    case 22:
        return mask_register(&exchange);
    case 23:
        return write_and_read(&exchange);
    default:
        return refuse(&exchange, ILLEGAL_FUNCTION);
    }
}

int pdu_request_length(const uint8_t *pdu, size_t have)
{
    if (have == 0)
        return 0;
    switch (pdu[0]) {
    case 1:
    case 2:
    case 3:
    case 4:
    case 5:
    case 6:
        return 5;
    case 15:
    case 16:
        return have < 6 ? 0 : 6 + pdu[5];
    case 22:
        return 7;
    case 23:
        return have < 10 ? 0 : 10 + pdu[9];
    default:
        return -1;
    }
}

uint16_t pdu_crc(const uint8_t *bytes, size_t length)
{
    unsigned int crc = 0xffff;
    for (size_t i = 0; i < length; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1 ? crc >> 1 ^ 0xa001 : crc >> 1;
    }
    return (uint16_t)crc;
}
