"""Writes replies in Redis' serialization protocol, RESP2 and RESP3, from the values that fakeredis' commands return.

The source is Redis' documentation, "Redis serialization protocol specification".
"""

from typing import Any

from fakeredis._helpers import SimpleError, SimpleString


def encode(value: Any, protocol: int) -> bytes:
    """A reply as bytes.

    Args:
        value: the result of a command, as the command returned it for a client of this protocol.
        protocol: 2 or 3.
    """
    match value:
        case None:
            return b"_\r\n" if protocol == 3 else b"$-1\r\n"
        case SimpleString():
            return b"+%b\r\n" % value.value
        case SimpleError():
            return error(value.value)
        case bool():  # before int, which it is
            return (b"#t\r\n" if value else b"#f\r\n") if protocol == 3 else b":%d\r\n" % value
        case int():
            return b":%d\r\n" % value
        case float():
            return b",%b\r\n" % f"{value:.17g}".encode() if protocol == 3 else _bulk(f"{value:.17g}".encode())
        case bytes():
            return _bulk(value)
        case str():
            return _bulk(value.encode())
        case dict():
            flat = b"".join(encode(one, protocol) for pair in value.items() for one in pair)
            return (b"%%%d\r\n" % len(value) if protocol == 3 else b"*%d\r\n" % (2 * len(value))) + flat
        case list() | tuple():
            return b"*%d\r\n" % len(value) + b"".join(encode(one, protocol) for one in value)
    raise TypeError(f"a reply is a value that Redis' protocol has a form for, and is {type(value).__name__}: {value!r}")


def push(message: list[Any], protocol: int) -> bytes:
    """A message that the client did not ask for at this moment, such as one of a channel; RESP2 has no own form for it."""
    encoded = encode(message, protocol)
    return b">" + encoded[1:] if protocol == 3 else encoded


def error(text: str) -> bytes:
    """An error; the first word of the text is its code. A line break would end the reply early."""
    return b"-%b\r\n" % text.replace("\r", " ").replace("\n", " ").encode()


def _bulk(data: bytes) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(data), data)
