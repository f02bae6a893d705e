"""The users of a system that is not ours, in the clients' process of a load run: they talk to it by a client protocol."""

import asyncio
from collections.abc import Callable
from time import perf_counter

from netra_sim.chosen import chosen
from netra_sim.clients import CLIENT_PROTOCOLS
from netra_sim.clients.conversations import Conversations
from netra_sim.clients.journal import Journal
from netra_sim.clients.protocol import ClientProtocol
from netra_sim.history import DRIVER_LATENESS, History
from netra_sim.loading.control import measure_control
from netra_sim.loading.lines import LINE, RealLine
from netra_sim.loading.system_plan import PlannedSystemUser, RealLineFault, SystemOrders
from netra_sim.loading.watching import all_of, alongside
from netra_sim.randomness import key, noise
from netra_sim.recording import Recorder

HEAD_START = 0.2
"""Seconds between the start of the clients and the beginning of the window."""


async def drive_system(
    orders: SystemOrders, on_answer: Callable[[], None], on_begin: Callable[[float], None]
) -> History:
    """Carry out the orders, and return the History; its meta field "began" is the time at which the window began.

    Args:
        orders: what to do, and to which system.
        on_answer: called at the end of every request.
        on_begin: called with the time at which the window begins, a moment before.
    """
    drive = _Drive(orders, on_answer)
    on_begin(drive.begins)
    return await drive.run()


class _Drive:
    """One load run, as its users see it."""

    def __init__(self, orders: SystemOrders, on_answer: Callable[[], None]) -> None:
        self.orders = orders
        self.plan = orders.plan
        self.on_answer = on_answer
        self.recorder = Recorder(self.clock)
        self.protocol = chosen(self.plan.client, CLIENT_PROTOCOLS, "client", ClientProtocol)
        self._users = [_User(planned, self) for planned in self.plan.users]
        self.begins = self.clock() + HEAD_START

    def clock(self) -> float:
        """Seconds since time 0 of the History."""
        return perf_counter() - self.orders.began

    async def until(self, time: float) -> None:
        """Wait until a time of the clock."""
        await asyncio.sleep(max(0.0, time - self.clock()))

    async def run(self) -> History:
        """See `drive_system`."""
        asking = all_of(user.run() for user in self._users)
        control = measure_control(self.orders.control_uri, self.recorder, self.clock)
        faults = [_Injection(number, fault, self) for number, fault in enumerate(self.plan.faults)]
        try:
            await alongside(asking, control, *(one.run() for one in faults))
        finally:
            for one in faults:
                one.end()
        return self.recorder.finish({"began": self.begins})

    def lines_of(self, fault: RealLineFault) -> dict[str, RealLine]:
        """The connections of each user whom a fault hits."""
        return {user.planned.user_id: user.line for user in self._users if user.planned.user_id in fault.users}


class _User:
    """One user: arrives, sends each request when it is due, reads the answers, and leaves."""

    def __init__(self, planned: PlannedSystemUser, drive: _Drive) -> None:
        self.planned = planned
        self.line = RealLine(drive.plan.receive_buffer)
        self._drive = drive
        plan, journal = drive.plan, Journal(drive.recorder, planned.user_id, drive.plan.secrets)
        self._session = drive.protocol.session(drive.orders.target, planned.user_id, journal, plan.seed)
        self._conversations = Conversations(planned.number, plan.all_users)

    async def run(self) -> None:
        """Everything that the user does."""
        LINE.set(self.line)
        drive, planned = self._drive, self.planned
        try:
            if planned.pauses:
                await self._session.connect()
                for pause in planned.pauses:
                    await asyncio.sleep(pause)
                    await self._ask(drive.clock())
            elif planned.due:
                arrives = drive.begins + planned.due[0] - drive.plan.page_lead
                dues = [drive.begins + due for due in planned.due]
                await all_of([self._arrive(arrives), *map(self._ask, dues)])
        finally:
            await self._session.leave()

    async def _arrive(self, at: float) -> None:
        await self._drive.until(at)
        await self._session.connect()

    async def _ask(self, due: float) -> None:
        """Send a request when it is due, whatever became of earlier ones, and wait for the end of its run."""
        drive = self._drive
        await drive.until(due)
        drive.recorder.sample(DRIVER_LATENESS, drive.clock() - due)
        try:
            with self._conversations.request(due) as request:
                async with asyncio.timeout(max(0.0, due + drive.plan.patience - drive.clock())):
                    await self._session.ask(request)
        except TimeoutError:
            return  # the History shows a request without an end
        finally:
            drive.on_answer()


class _Injection:
    """One fault of connections, which begins and ends."""

    def __init__(self, number: int, fault: RealLineFault, drive: _Drive) -> None:
        self._number = number
        self._fault = fault
        self._drive = drive
        self._lines = drive.lines_of(fault)
        self._is_on = self._has_ended = False

    async def run(self) -> None:
        """Begin and end the fault when it is due; then wait for ever, as the load run goes on."""
        fault, drive = self._fault, self._drive
        begins = drive.begins + fault.at
        await drive.until(begins)
        self._is_on = True
        drive.recorder.fault_began(fault.name)
        if fault.times:
            await all_of(self._strike(line, fault.times[user_id]) for user_id, line in self._lines.items())
        else:
            for line in self._lines.values():
                line.begin(self._number, fault)
        if fault.is_half_closed:
            for line in self._lines.values():
                line.half_close()
        if fault.resets_every:
            await self._again_and_again(begins, fault.resets_every, lambda line, user: line.reset())
        elif fault.sends_every:
            await self._again_and_again(begins, fault.sends_every, self._send)
        await drive.until(begins + fault.lasts)
        self.end()
        await asyncio.Event().wait()

    async def _strike(self, line: RealLine, times: list[tuple[float, float]]) -> None:
        """Let the fault begin and end for one user at times of its own."""
        for begins, ends in times:
            await self._drive.until(self._drive.begins + begins)
            line.begin(self._number, self._fault)
            await self._drive.until(self._drive.begins + ends)
            line.end(self._number)

    def end(self) -> None:
        """Take the fault back, once."""
        if self._has_ended:
            return
        self._has_ended = True
        if self._is_on:
            for line in self._lines.values():
                line.end(self._number)
        hit = sum(self._number in line.met for line in self._lines.values())
        self._drive.recorder.fault_ended(self._fault.name, hit)

    def _send(self, line: RealLine, user_id: str) -> None:
        fault = self._fault
        line.send(fault.frames or noise(key(self._drive.plan.seed, fault.name, user_id), fault.noise))

    async def _again_and_again(self, begins: float, every: float, act: Callable[[RealLine, str], None]) -> None:
        at = begins
        while at < begins + self._fault.lasts:
            await self._drive.until(at)
            for user_id, line in self._lines.items():
                act(line, user_id)
            at += every
