"""A simulated user: opens tabs, requests runs when they are due, and waits for their ends as long as patience lasts."""

import asyncio
from contextvars import copy_context
from typing import NamedTuple

from netra_sim.bridge import Connection, IntegrationState
from netra_sim.factory import answer_message, run_id_of
from netra_sim.protocol import Refused
from netra_sim.randomness import key, uniform
from netra_sim.recording import CONTEXT_MARK, marked_question
from netra_sim.simulation.client import SimulatedClient
from netra_sim.simulation.client_environment import ClientEnvironment
from netra_sim.simulation.diagnosis import blaming
from netra_sim.simulation.faults import (
    BackendFault,
    Cancellation,
    Logout,
    Message,
    MessageFault,
    ServerFault,
    TabMultiplication,
)
from netra_sim.simulation.instance import Instance
from netra_sim.simulation.requesting import make_requests
from netra_sim.simulation.tab import Tab

POSTPONED = ("not_ready", "shutting_down")
"""Refusal codes after which a client repeats the request: after a pause, or on its next connection."""

NOT_READY_PAUSE = (0.5, 1.5)
"""The bounds of the pause, in seconds and drawn uniformly, after a `not_ready` refusal; as in `agent-client.js`."""


class SimulatedUser:
    """One user from the first connection to the last answer.

    Attributes:
        number: 0, 1, 2, ...
        user_id: the name of the user.
        tabs: the open tabs.
        is_present: whether the user has arrived and has not left.
    """

    def __init__(self, number: int, environment: ClientEnvironment) -> None:
        self.number = number
        self.user_id = f"user-{number}"
        self.tabs: list[Tab] = []
        self.is_present = False
        self._environment = environment
        self._requests = 0
        self._tabs_opened = 0
        self._threads_in_use: set[int] = set()
        self._tabs_without_end: dict[str, set[int]] = {}
        self._ends: dict[str, asyncio.Future[_Postponed | None]] = {}
        self._answers: set[asyncio.Task[object]] = set()
        self._life: asyncio.Task[None] | None = None
        self._has_logged_out = False

    async def run(self) -> None:
        """Open the tabs, make all requests, and close the tabs when every request has ended or been given up."""
        environment = self._environment
        plan = environment.scenario, environment.seed, environment.loop, self.number
        self._life = asyncio.current_task()
        try:
            await make_requests(*plan, self._arrive, self._ask)
        except asyncio.CancelledError:
            if not self._has_logged_out or self._life is None:
                raise
            self._life.uncancel()
        finally:
            self.is_present = False
            for tab in self.tabs:
                tab.close()
            if self._answers:
                # The server also completes the runs that the user has given up.
                await asyncio.wait(self._answers)

    def adapt(self) -> None:
        """Apply the active faults: open or close tabs, and adapt those that stay."""
        faults = self._environment.faults
        faults.on(ServerFault, self.user_id)
        if faults.on(Logout, self.user_id):
            self._log_out()
            return
        more = sum(fault.tabs for fault in faults.on(TabMultiplication, self.user_id))
        wanted = self._environment.scenario.workload.tabs_per_user + more
        for tab in self.tabs[wanted:]:
            tab.close()
        del self.tabs[wanted:]
        for tab in self.tabs:
            tab.adapt()
        while len(self.tabs) < wanted:
            self._open_tab()

    def new_tab(self, number: int) -> Tab:
        """Make a tab, which is not open yet."""
        ends = self._ended, self._refused
        return SimulatedClient(self._environment, self.user_id, number, *ends, self._serve)

    def _log_out(self) -> None:
        """Leave all runs, and leave for good."""
        self.is_present, self._has_logged_out = False, True
        for run_id, end in self._ends.items():
            if not end.done():
                self._environment.recorder.left(self.tabs[0].connection_id, self.user_id, run_id)
        for tab in self.tabs:
            tab.log_out()
        self.tabs.clear()
        if self._life is not None:
            self._life.cancel()

    async def _arrive(self) -> None:
        if not self.is_present:
            self.is_present = True
            self.adapt()

    def _open_tab(self) -> None:
        tab = self.new_tab(self._tabs_opened)
        self._tabs_opened += 1
        self.tabs.append(tab)
        tab.open()

    async def _ask(self, due: float) -> None:
        self._requests += 1
        # A thread has one run at a time: a request during another run goes into another thread.
        thread = next(number for number in range(1, self._requests + 1) if number not in self._threads_in_use)
        self._threads_in_use.add(thread)
        message: Message = {
            "type": "execute_agent",
            "message": "",
            "thread_id": f"{self.user_id}-thread-{thread}",
            "request_id": str(self._requests),
        }
        # A fault may turn the message into a request for another run; the question carries the mark of that run.
        messages = [
            one | {"message": marked_question(self.user_id, run_id_of(self.user_id, one["request_id"]))}
            for one in self._messages_under_faults(message)
        ]
        for one in messages:
            self._expect(one, due)
        try:
            async with asyncio.timeout_at(due + self._environment.scenario.workload.patience):
                for one in messages:
                    await self.tabs[0].send(one)
                for one in messages:
                    await self._wait_for_end(one, due)
        except TimeoutError:
            return  # The History shows a request without an end.
        finally:
            self._threads_in_use.discard(thread)
            self._environment.on_answer()

    def _messages_under_faults(self, message: Message) -> list[Message]:
        faults, messages = self._environment.faults, [message]
        for injection in faults.of(MessageFault):
            if not injection.is_on:
                continue
            with blaming(f"fault {injection.fault.name}"):
                mangled = [other for one in messages for other in injection.fault.mangle(one)]
            # A fault that changes nothing, such as the first use of a colliding id, does not count as a hit.
            if mangled != messages and injection.strikes(f"{self.user_id}.{message['request_id']}"):
                messages = mangled
        return messages

    def _expect(self, message: Message, due: float) -> None:
        run_id = run_id_of(self.user_id, message["request_id"])
        if run_id not in self._ends:
            self._tabs_without_end[run_id] = set(range(self._environment.scenario.workload.tabs_per_user))
            self._record_request(run_id, due, message)

    def _record_request(self, run_id: str, due: float, message: Message) -> None:
        self._ends[run_id] = self._environment.loop.create_future()
        self._environment.recorder.requested(run_id, self.user_id, due, message["thread_id"])

    async def _wait_for_end(self, message: Message, due: float) -> None:
        """Wait for the end of a run; repeat a postponed request as the protocol's table of refusals says."""
        run_id, attempt = run_id_of(self.user_id, message["request_id"]), 0
        while (postponed := await self._ends[run_id]) is not None:
            attempt += 1
            if postponed.code == "not_ready":
                least, most = NOT_READY_PAUSE
                drawn = uniform(key(self._environment.seed, "asking again", run_id), attempt)
                await self._environment.loop.sleep_exactly(least + (most - least) * drawn)
            else:
                await self.tabs[0].connection_after(postponed.connection_id)
            if not self._tabs_without_end[run_id]:
                return  # a copy of the request was carried out in the meantime
            self._record_request(run_id, due, message)
            await self.tabs[0].send(message)

    def _serve(self, message: Message, connection: Connection, instance: Instance) -> None:
        answer = answer_message(message, connection, bridge=instance.bridge, execution_factory=instance.factory)
        context = copy_context()
        context.run(CONTEXT_MARK.set, self.user_id)
        name = f"message of {self.user_id}"
        task: asyncio.Task[object] = asyncio.create_task(answer, name=name, context=context)
        for answers in (self._answers, instance.answers):
            answers.add(task)
            task.add_done_callback(answers.discard)
        environment, request = self._environment, f"{self.user_id}.{message['request_id']}"
        if instance.bridge.state is not IntegrationState.ACTIVE:
            environment.faults.on(BackendFault, request)
        for fault in environment.faults.on(Cancellation, request):
            within = fault.within * uniform(key(environment.seed, "cancellation", request))
            environment.loop.call_at_exactly(environment.loop.exact_time() + within, task.cancel)

    def _ended(self, tab: int, run_id: str) -> None:
        left, end = self._tabs_without_end.get(run_id), self._ends.get(run_id)
        if left is None or end is None:
            return  # the user did not request this run
        left.discard(tab)
        if not left and not end.done():
            end.set_result(None)

    def _refused(self, refusal: Refused, connection_id: str) -> None:
        run_id = run_id_of(self.user_id, refusal.request_id or "")
        self._environment.recorder.refused(run_id, self.user_id, refusal.code)
        end = self._ends.get(run_id)
        # The refusal of a duplicate does not end the request itself.
        if end is not None and not end.done() and refusal.code != "duplicate_request":
            end.set_result(_Postponed(refusal.code, connection_id) if refusal.code in POSTPONED else None)


class _Postponed(NamedTuple):
    """A refusal, over one connection, of a request that the server would carry out later."""

    code: str
    connection_id: str
