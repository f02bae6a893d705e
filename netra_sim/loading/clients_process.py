"""The process of the clients: it answers clock requests, carries out its orders, and sends the History back."""

import os
import sys
import threading
import traceback
from functools import partial
from time import perf_counter

from netra_sim.history import History
from netra_sim.loading.channel import (
    LENGTH,
    Answered,
    AskClock,
    Began,
    Broke,
    Clock,
    Orders,
    Recorded,
    decode_to_clients,
    framed,
    read,
    write,
)
from netra_sim.loading.open_files import room_for_sockets
from netra_sim.loading.system_plan import SystemOrders
from netra_sim.runtime import run

_STDIN, _STDOUT = 0, 1


def main() -> None:
    """Run the process of the clients."""
    sys.stdout = sys.stderr  # output of a library must not mix with the messages
    try:
        while isinstance(message := _receive(), AskClock):
            _send(Clock(perf_counter()))
        threading.Thread(target=_end_with_server, daemon=True).start()
        _send(Recorded.of(_carry_out(message)))
    except Exception as error:
        _send(Broke(f"{type(error).__name__}: {error}", traceback.format_exc()))


def _carry_out(orders: Orders | SystemOrders) -> History:
    if isinstance(orders, Orders):
        from netra_sim.loading.clients import drive

        with room_for_sockets(orders.plan.users):
            return run(drive(orders, _on_answer))
    from netra_sim.loading.lines import LineLoop
    from netra_sim.loading.system_users import drive_system

    with room_for_sockets(orders.plan.requests + len(orders.plan.users)):
        return run(drive_system(orders, _on_answer, _on_begin), loop_factory=partial(LineLoop, orders.allowed))


def _send(message: Began | Answered | Broke | Clock | Recorded) -> None:
    write(_STDOUT, framed(message))


def _on_answer() -> None:
    _send(Answered())


def _on_begin(at: float) -> None:
    _send(Began(at))


def _receive() -> AskClock | Orders | SystemOrders:
    size = read(_STDIN, LENGTH.size)
    if not size:
        os._exit(1)  # the server's process ended before it sent orders
    return decode_to_clients(read(_STDIN, *LENGTH.unpack(size)))


def _end_with_server() -> None:
    """End this process as soon as the server's process closes the pipe, however that process ends."""
    read(_STDIN, 1)
    os._exit(1)
