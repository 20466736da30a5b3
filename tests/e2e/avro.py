"""Just enough Avro to write records that are right, or wrong in exactly one way."""

import struct


def integer(n):
    n = (n << 1) ^ (n >> 63)
    out = bytearray()
    while n > 0x7F:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def string(text):
    data = text.encode()
    return integer(len(data)) + data


def wire(schema, body):
    """Confluent's wire format, in hex."""
    return (b"\0" + struct.pack(">i", schema) + body).hex()


def order_request(i, customer="ada", product="slipmat-felt", quantity=1, price=1):
    return string(i) + string(customer) + string(product) + integer(quantity) + integer(price)


def order(i, state=0, **fields):
    return order_request(i, **fields) + integer(state) + integer(0)


def payment(i, order, cents=1, token="token"):
    return string(i) + string(order) + integer(cents) + string(token)
