"""Code that took the clocks and the entropy of the standard library by name, before any simulation began."""

from datetime import date, datetime
from os import urandom
from random import Random, SystemRandom, choice, randint
from secrets import token_bytes, token_hex
from time import monotonic, monotonic_ns, perf_counter, perf_counter_ns, process_time, sleep, time, time_ns
from uuid import uuid1, uuid4

__all__ = [
    "Random",
    "SystemRandom",
    "choice",
    "date",
    "datetime",
    "monotonic",
    "monotonic_ns",
    "perf_counter",
    "perf_counter_ns",
    "process_time",
    "randint",
    "sleep",
    "time",
    "time_ns",
    "token_bytes",
    "token_hex",
    "urandom",
    "uuid1",
    "uuid4",
]
