"""Runs simulations in the background: the kernel stays responsive, and a stop ends the processes at once."""

import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from typing import Any

import msgspec

from netra_sim.processes import ProcessChannel, Worker, WorkerError, sent_error
from netra_sim.simulation import Scenario
from netra_sim.studies.explorer import Explored, explored

_TIMES_TOLD = 100
"""How often a worker tells of its progress: a message for each answer would cost more than the simulation."""


class Told(msgspec.Struct, frozen=True):
    """What the simulations came to.

    Attributes:
        explored: those that ended, in order.
        errors: why others did not, in words that name the scenario.
        is_stopped: whether they were stopped.
    """

    explored: tuple[Explored, ...] = ()
    errors: tuple[str, ...] = ()
    is_stopped: bool = False


class BackgroundRuns:
    """Simulates and checks scenarios, each in a process of its own, as many at a time as there are cores.

    Args:
        chosen: the scenarios, each with its name or file.
        seed: of everything random.
        on_answers: called in another thread with the index of a scenario and the number of its answered requests.
        on_end: called once in another thread, when no process is left.
    """

    def __init__(
        self,
        chosen: Sequence[tuple[str, Scenario]],
        seed: int,
        on_answers: Callable[[int, int], None],
        on_end: Callable[[Told], None],
    ) -> None:
        self._waiting = deque(enumerate(chosen))
        self._seed, self._on_answers, self._on_end = seed, on_answers, on_end
        self._names = [f"scenario {number} ({scenario.name})" for number, (_, scenario) in enumerate(chosen, 1)]
        self._busy: dict[Connection[Any, Any], tuple[int, Worker]] = {}
        self._stop_asked, self._stop = Pipe(duplex=False)
        self._thread = threading.Thread(target=self._work, name="netra-sim-explorer", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End all processes; what they have not finished is lost. A second call has no effect."""
        try:
            self._stop.send_bytes(b"stop")
        except OSError:  # they have ended meanwhile
            return

    def join(self) -> None:
        """Wait until `on_end` has been called and has returned."""
        self._thread.join()

    def _work(self) -> None:
        done: dict[int, Explored] = {}
        errors: dict[int, str] = {}
        is_stopped = False
        try:
            is_stopped = self._take_all(done, errors)
        except Exception as error:  # whatever it is, the user reads it, and may try again
            errors[len(self._names)] = f"the simulations could not go on: {error}"
        finally:
            for _, worker in self._busy.values():
                worker.stop()
            self._stop.close()
            self._stop_asked.close()
        self._on_end(Told(tuple(done[index] for index in sorted(done)), tuple(errors.values()), is_stopped))

    def _take_all(self, done: dict[int, Explored], errors: dict[int, str]) -> bool:
        """Start all, and take what they send; returns whether they were stopped."""
        while self._waiting or self._busy:
            while self._waiting and len(self._busy) < (os.cpu_count() or 1):
                index, (origin, scenario) = self._waiting.popleft()
                worker = Worker(_explore, origin, scenario, self._seed)
                self._busy[worker.channel.connection] = index, worker
            for connection in wait([self._stop_asked, *self._busy]):
                if connection is self._stop_asked:
                    return True
                self._take(connection, done, errors)  # type: ignore[arg-type]
        return False

    def _take(self, connection: "Connection[Any, Any]", done: dict[int, Explored], errors: dict[int, str]) -> None:
        index, worker = self._busy[connection]
        try:
            message = worker.receive()
        except WorkerError as error:
            message = error
        if isinstance(message, int):
            self._on_answers(index, message)
            return
        del self._busy[connection]
        worker.stop()
        if isinstance(message, Explored):
            done[index] = message
        else:
            errors[index] = f"{self._names[index]}: {message}"


def _explore(channel: ProcessChannel, origin: str, scenario: Scenario, seed: int) -> None:
    """Simulate and check, in a worker: sends the number of answers now and then, and at last what came out, or an error."""
    answers, step = 0, max(1, scenario.requests // _TIMES_TOLD)

    def on_answer() -> None:
        nonlocal answers
        answers += 1
        if answers % step == 0:
            channel.send(answers)

    try:
        outcome: Explored | Exception = explored(origin, scenario, seed, on_answer)
    except OSError:  # the kernel is gone
        raise
    except Exception as error:
        outcome = sent_error(error)
    channel.send(outcome)
