"""An asyncio loop with the coarse clock of Windows up to Python 3.12, and without the methods that a Proactor loop lacks."""

import asyncio
import math
import time

TICK = 1 / 64


class CoarseClockLoop(asyncio.SelectorEventLoop):
    """A selector loop with a `time` that moves in steps of 1/64 s."""

    def __init__(self):
        super().__init__()
        self._clock_resolution = TICK

    def time(self):
        return math.floor(time.monotonic() / TICK) * TICK

    def add_reader(self, *_):
        raise NotImplementedError

    def add_writer(self, *_):
        raise NotImplementedError

    def add_signal_handler(self, *_):
        raise NotImplementedError
