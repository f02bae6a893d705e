"""Reference histories: small chats drawn from a number, with reconnects, gaps, faults, and something wrong in most.

The certificate holds what each check read in all of them when its tests had passed. A check that now reads one of them
differently has changed (`netra_sim.defects.certificate`).
"""

from collections.abc import Callable, Iterator
from functools import partial
from math import nan
from random import Random
from typing import Any, NamedTuple

import numpy as np

from netra_sim.defects.planted.foreign_reference import foreign_reference
from netra_sim.defects.planted.story import CLEAN_GAUGES, EVENTS
from netra_sim.history import REPLAY_BYTES, History, Kind, Objectives
from netra_sim.protocol import Gap, Reading
from netra_sim.recording import Recorder

FOREIGN_FROM = 600
"""The number of the first reference history of another system."""

_CHOICES = (
    EVENTS,
    (*EVENTS[:4], "agent_thinking", "tool_executing", "tool_completed", "agent_completed"),
    (*EVENTS[:3], "tool_executing", "tool_completed", "tool_completed", "agent_completed"),
    ("agent_started", "agent_error"),
    ("agent_started", "agent_thinking", "agent_completed"),
    (*EVENTS[:3], "agent_completed"),
    (*EVENTS[:2], "tool_completed", "tool_executing", "agent_completed"),
    EVENTS[1:],
    (*EVENTS, "agent_thinking"),
    EVENTS[:4],
)
_CODES = (1000, 1001, 1005, 1006, 1006, 1012, 4008, 4410, nan)
_PAUSES = (0.05, 0.2, 0.2, 0.5, 0.5, 1.0, 2.0, 8.0, 30.0, 95.0)
_DELAYS = (0.005, 0.01, 0.01, 0.02, 0.05, 0.09, 0.1, 0.15, 1.0, 4.0)


class ReferenceHistory(NamedTuple):
    """A history with its objectives."""

    history: History
    objectives: Objectives


def reference_history(number: int) -> ReferenceHistory:
    """The reference history of a number; the same on every platform. From `FOREIGN_FROM` on they are of other systems."""
    if number >= FOREIGN_FROM:
        return ReferenceHistory(*foreign_reference(number))
    chat = _Chat(Random(f"reference history {number}"))
    return ReferenceHistory(chat.history(), chat.objectives())


class _Connection(NamedTuple):
    name: str
    began: float
    ended: float
    code: float


class _Chat:
    """One chat: all records are drawn with their times, then written in the order of time."""

    def __init__(self, draw: Random) -> None:
        self._draw = draw
        self._now = 0.0
        self._recorder = Recorder(lambda: self._now)
        self._line: list[tuple[float, int, Callable[[], None]]] = []
        self._wrong = draw.choice((0.0, 0.0, 0.02, 0.1))
        self._is_named = self._happens(0.6)
        self._scale = draw.choice((0.2, 1.0, 1.0, 3.0))
        self._slowness = draw.choice((0.1, 0.1, 1.0))

    def history(self) -> History:
        """Draw the users, their connections and runs, faults and oddities, and write them."""
        users = [f"u{number}" for number in range(self._draw.choice((*(1, 2, 2, 3) * 5, 24)))]
        for user in users:
            tabs = [list(self._connections(user, tab)) for tab in range(1 + self._happens(0.3))]
            for number in range(self._draw.randrange(1, 4) if len(users) < 4 else 1):
                self._run(user, users, f"{user}.{number if self._happens(0.9) else 0}", tabs)
        for _ in range(self._draw.choice((0, 0, 1, 2))):
            self._fault()
        self._oddities(users)
        for time, _, write in sorted(self._line, key=lambda one: one[:2]):
            self._now = time
            write()
        self._now += self._draw.choice((0.1, 1.0, 20.0, 400.0))
        self._gauges()
        history = self._recorder.finish(self._meta())
        return self._perturbed(history) if self._happens(0.6) else history

    def objectives(self) -> Objectives:
        """The default objectives, or drawn ones."""
        draw = self._draw.choice
        if self._happens(0.5):
            return Objectives()
        return Objectives(
            completed=draw((0.3, 0.9, 0.99)), delivered=draw((0.5, 0.9, 0.995)), refused=draw((0.01, 0.2, 1.0)),
            recovery=draw((1.0, 5.0, 60.0)), replay_bytes=draw((1_000, 100_000)),
        )  # fmt: skip

    def _happens(self, share: float) -> bool:
        return self._draw.random() < share

    def _at(self, time: float, write: Callable[..., None], *given: Any, **named: Any) -> None:
        self._line.append((time, len(self._line), partial(write, *given, **named)))

    def _connections(self, user: str, tab: int) -> Iterator[_Connection]:
        time = self._draw.choice((0.0, 0.0, 0.3, 5.0))
        for number in range(self._draw.choice((1, 1, 2, 3))):
            lasts = self._draw.choice((2.0, 6.0, 40.0, 900.0, 900.0, 900.0))
            one = _Connection(f"{user}/{tab}.{number}", time, time + lasts, self._draw.choice(_CODES))
            self._at(one.began, self._recorder.connected, one.name, user)
            if self._is_named:
                line = self._draw.choice((nan, 0.01))
                self._at(one.began, self._recorder.attached, one.name, user, f"{user} tab {tab}", line)
            if one.ended < 900 or self._happens(0.5):
                self._at(one.ended, self._recorder.disconnected, one.name, user, one.code, "gone")
            yield one
            time = one.ended + self._draw.choice((0.2, 1.0, 6.0, 30.0, 150.0))

    def _run(self, user: str, users: list[str], run: str, tabs: list[list[_Connection]]) -> None:
        due = self._draw.uniform(0, 30) + self._draw.choice((0, 0, 0, 200))
        asked = due + self._draw.choice((0.0, 0.0, 0.5))
        self._at(asked, self._recorder.requested, run, user, due, f"{user}-thread" if self._happens(0.7) else "")
        if self._happens(self._wrong):
            self._at(asked + 0.01, self._recorder.scope_refused, run, user, "EngineLimitError")
            return
        if self._happens(self._wrong):
            self._at(asked + 0.02, self._recorder.refused, run, user, self._draw.choice(("not_ready", "engine_limit")))
            if self._happens(0.7):
                return
        time = asked + 0.01
        self._at(time, self._recorder.scope_opened, run, user)
        events = EVENTS if not self._happens(3 * self._wrong) else self._draw.choice(_CHOICES)
        published = []
        for seq, event in enumerate(events):
            time += self._draw.choice(_PAUSES) * (self._scale if self._happens(0.9) else 1.0)
            number = seq + 1 if self._happens(self._wrong / 5) else seq
            thread = f"{user}-thread" if not self._happens(self._wrong / 3) else "another-thread"
            self._at(time, self._recorder.published, run, user, event, number, thread)
            published.append((time, number, event, thread))
        for tab in tabs:
            self._deliver(user, users, run, published, tab)
        self._at(time + 0.005, self._closed, run, user)
        if not self._happens(self._wrong):
            how = "complete" if not self._happens(self._wrong) else self._draw.choice(("truncated", "empty"))
            self._at(time + 5.0, self._recorder.answered, run, user, how)

    def _closed(self, run: str, user: str) -> None:
        if not self._happens(self._wrong / 3):
            self._recorder.scope_closed(
                run, user, {"tasks": self._draw.randrange(1, 3)} if self._happens(self._wrong) else {}
            )

    def _deliver(
        self,
        user: str,
        users: list[str],
        run: str,
        published: list[tuple[float, int, str, str]],
        tab: list[_Connection],
    ) -> None:
        """Deliver to a tab: live events, and when it comes back what it missed, or a gap instead."""
        had = -1
        for connection in tab:
            missed = [one for one in published if one[0] < connection.began and one[1] > had]
            if missed and self._happens(0.2):
                reason = self._draw.choice(("evicted", "expired", "epoch"))
                first, last = had + 1, missed[-1][1] if reason == "evicted" else -1
                self._at(connection.began + 0.01, self._recorder.gap, connection.name, user, run, first, last, reason)
                if not self._happens(self._wrong):
                    gap = Reading(Gap(run, first, last, reason))
                    self._at(connection.began + 0.03, self._recorder.read, connection.name, user, b"{}", gap)
                missed, had = [], missed[-1][1]
            live = [one for one in published if connection.began <= one[0] < connection.ended]
            arrival = connection.began
            for time, seq, event, thread in [*missed, *live]:
                if self._happens(self._wrong):
                    continue
                sent = max(time, connection.began + 0.02)
                self._at(sent, self._recorder.sent, connection.name, user, run, event, seq)
                arrival = max(arrival, sent + self._draw.choice(_DELAYS) * self._slowness)
                if arrival > connection.ended or self._happens(self._wrong):
                    continue
                had = max(had, seq)
                subject = user if not self._happens(self._wrong) else self._draw.choice((*users, ""))
                duration = self._took() if event == "tool_completed" else nan
                where = (connection.name, user, run, event, seq)
                says = {"subject": subject, "timestamp": time, "thread_id": thread, "duration": duration}
                self._at(arrival, self._recorder.received, *where, **says)
                if self._happens(self._wrong / 2):
                    self._at(arrival + 0.3, self._recorder.received, *where, **says)

    def _took(self) -> float:
        return (
            self._draw.choice((0.0, 0.01, 0.05)) if not self._happens(self._wrong) else self._draw.choice((-1.0, 60.0))
        )

    def _fault(self) -> None:
        began, name = self._draw.uniform(0, 30), self._draw.choice(("outage", "stall"))
        self._at(began, self._recorder.fault_began, name)
        if self._happens(0.9):
            hit = self._draw.choice((nan, 0, 1, 2))
            self._at(began + self._draw.choice((0.5, 5.0, 20.0)), self._recorder.fault_ended, name, hit)

    def _oddities(self, users: list[str]) -> None:
        """Other records that a history can have; each is drawn with a small probability."""
        some, other, row = self._draw.choice(users), self._draw.choice(users), self._recorder._row
        where: dict[str, Any] = {"user": some, "connection": f"{some}/0.0", "run": f"{some}.0"}
        odd: list[Callable[[], None]] = [
            lambda: self._recorder.shared(some, other, "dict"),
            lambda: self._recorder.stuck("deadlock", "waits"),
            lambda: self._recorder.loop_error("ValueError", "never retrieved"),
            lambda: self._recorder.connect_refused(some, "ConnectionLimitError"),
            lambda: self._recorder.left_over("connections", self._draw.randrange(3)),
            lambda: row(Kind.CONTROL_RECEIVED, event="hello", subject=other, **where),
            lambda: row(Kind.OTHER_RUN, subject=f"{some}.9", event="agent_thinking", seq=1, **where),
            lambda: row(Kind.LEAKED_CONTEXT, subject=other, event="agent_thinking", **where),
            lambda: row(Kind.MISSING, seq=1, value=2, **where),
            lambda: row(Kind.REPEATED, event="agent_thinking", seq=1, **where),
            lambda: self._recorder.event_refused(f"{some}.0", some, "agent_thinking", "no"),
        ]
        for one in odd:
            if self._happens(self._wrong):
                self._at(self._draw.uniform(0, 60), one)

    def _gauges(self) -> None:
        # Fewer bytes than the smallest objective that is drawn.
        for gauge, value in {**CLEAN_GAUGES, REPLAY_BYTES: 900}.items():
            if self._happens(0.9):
                self._recorder.sample(gauge, value if not self._happens(self._wrong) else value * 2_000 + 1)

    def _meta(self) -> dict[str, Any]:
        meta: dict[str, Any] = {"unsent_bytes": 100_000}
        for name, limits in (("engines_per_user", (1, 2, 3)), ("connections_per_user", (1, 2, 8))):
            if self._happens(0.7):
                meta[name] = self._draw.choice(limits)
        return meta

    def _perturbed(self, history: History) -> History:
        """The history with rows lost, doubled or changed, or like a log that lacks kinds of record or its beginning."""
        count = len(history)
        rows = np.arange(count)
        numbers = {name: values.copy() for name, values in history.numbers.items()}
        codes = {name: values.copy() for name, values in history.codes.items()}
        meta = dict(history.meta)
        for _ in range(self._draw.choice((0, 1, 1, 2))):
            row, other = self._draw.randrange(count), self._draw.randrange(count)
            how = self._draw.randrange(7)
            if how == 0:
                rows = rows[rows != row]
            elif how == 1:
                rows = np.insert(rows, min(other, len(rows)), row)
            elif how == 2:
                numbers["seq"][row] = max(-1, numbers["seq"][row] + self._draw.choice((-1, 1)))
            elif how == 3:
                numbers["value"][row] += self._draw.choice((-50.0, -0.4, 0.4, 50.0))
            else:
                name = ("user", "run", "event")[how - 4]
                codes[name][row] = codes[name][other]
        if self._happens(0.3):
            rows = rows[numbers["time"][rows] >= self._draw.uniform(0, 10)]
        if self._happens(0.4):
            kinds = sorted(set(numbers["kind"].tolist()))
            kept = [kind for kind in kinds if self._happens(0.75)] or kinds
            rows = rows[np.isin(numbers["kind"][rows], kept)]
            meta["recorded"] = sorted(Kind(kind).name.lower() for kind in kept)
        numbers = {name: values[rows] for name, values in numbers.items()}
        codes, tables = {name: values[rows] for name, values in codes.items()}, history.tables
        if self._happens(0.5):
            codes, tables = _numbered_as_they_come(codes, tables)
        return History(numbers, codes, tables, meta)


def _numbered_as_they_come(
    codes: dict[str, np.ndarray], tables: dict[str, list[str]]
) -> tuple[dict[str, np.ndarray], dict[str, list[str]]]:
    """The same columns with codes in the order of first use and without unused texts, as in a log."""
    anew, known = {}, {}
    for name, column in codes.items():
        _, firsts, places = np.unique(column, return_index=True, return_inverse=True)
        order = np.argsort(firsts, kind="stable")
        known[name] = [tables[name][column[first]] for first in firsts[order]]
        anew[name] = np.argsort(order, kind="stable")[places].astype(column.dtype)
    return anew, known
