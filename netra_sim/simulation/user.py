"""A simulated user: opens tabs, asks for runs when they are due, and waits for their end as long as patience lasts."""

import asyncio
from contextvars import copy_context
from typing import TYPE_CHECKING, NamedTuple

from netra_sim.bridge import Connection, IntegrationState
from netra_sim.factory import answer_message, run_id_of
from netra_sim.protocol import Refused
from netra_sim.recording import CONTEXT_MARK, marked_question
from netra_sim.simulation.client import SimulatedClient
from netra_sim.simulation.diagnosis import blaming
from netra_sim.simulation.faults import (
    BackendFault,
    Cancellation,
    Message,
    MessageFault,
    ServerFault,
    TabMultiplication,
)
from netra_sim.simulation.instance import Instance
from netra_sim.simulation.randomness import key, uniform
from netra_sim.simulation.scenario import Closed
from netra_sim.simulation.workload import due_times

if TYPE_CHECKING:
    from netra_sim.simulation.world import World

LOOK_AROUND = 1.0
"""Seconds between opening the page and the first request's due time."""

POSTPONED = ("not_ready", "shutting_down")
"""Codes of refusals after which a client asks again: after a pause, or on its next connection."""

NOT_READY_PAUSE = (0.5, 1.5)
"""Seconds, drawn evenly, after which a request is repeated that was refused as `not_ready`: what `agent-client.js` does."""


class SimulatedUser:
    """One user from the first connection to the last answer.

    Attributes:
        user_id: who it is.
        tabs: the tabs that are open.
        is_there: whether the user has come and not gone.
    """

    def __init__(self, number: int, world: "World") -> None:
        self.user_id = f"user-{number}"
        self.tabs: list[SimulatedClient] = []
        self.is_there = False
        self._number = number
        self._world = world
        self._requests = 0
        self._tabs_opened = 0
        self._threads_in_use: set[int] = set()
        self._tabs_without_end: dict[str, set[int]] = {}
        self._ends: dict[str, asyncio.Future[_Postponed | None]] = {}
        self._answers: set[asyncio.Task[object]] = set()

    async def live(self) -> None:
        """Open the tabs, make all requests, close the tabs when all has been answered."""
        scenario, loop = self._world.scenario, self._world.loop
        arrivals = scenario.workload.arrivals
        try:
            if isinstance(arrivals, Closed):
                await self._ask_in_turn(arrivals)
                return
            times = list(due_times(scenario.workload, self._world.seed, self._number, scenario.users))
            async with asyncio.TaskGroup() as group:
                for due in times:
                    await loop.sleep_exactly(due - LOOK_AROUND - loop.exact_time())
                    self._come()
                    await loop.sleep_exactly(due - loop.exact_time())
                    group.create_task(self._ask(due), name=f"request of {self.user_id}")
        finally:
            self.is_there = False
            for tab in self.tabs:
                tab.close()
            if self._answers:
                # The server goes on with what nobody waits for any more, until it has ended.
                await asyncio.wait(self._answers)

    def adapt(self) -> None:
        """Meet the conditions that hold now."""
        conditions = self._world.conditions
        conditions.on(ServerFault, self.user_id)
        more = sum(fault.tabs for fault in conditions.on(TabMultiplication, self.user_id))
        wanted = self._world.scenario.workload.tabs_per_user + more
        for tab in self.tabs[wanted:]:
            tab.close()
        del self.tabs[wanted:]
        for tab in self.tabs:
            tab.adapt()
        while len(self.tabs) < wanted:
            self._open_tab()

    async def _ask_in_turn(self, arrivals: Closed) -> None:
        world = self._world
        stream = key(world.seed, "think", self._number)
        self._come()
        for number in range(world.scenario.workload.runs_per_user):
            await world.loop.sleep_exactly(arrivals.think.draw(uniform(stream, number)))
            await self._ask(world.loop.exact_time())

    def _come(self) -> None:
        if not self.is_there:
            self.is_there = True
            self.adapt()

    def _open_tab(self) -> None:
        tab = SimulatedClient(self._world, self.user_id, self._tabs_opened, self._ended, self._refused)
        self._tabs_opened += 1
        self.tabs.append(tab)
        tab.open()

    async def _ask(self, due: float) -> None:
        self._requests += 1
        # A conversation has one run at a time: who asks while another run is under way does so in another thread.
        thread = next(number for number in range(1, self._requests + 1) if number not in self._threads_in_use)
        self._threads_in_use.add(thread)
        message: Message = {
            "type": "execute_agent",
            "message": "",
            "thread_id": f"{self.user_id}-thread-{thread}",
            "request_id": str(self._requests),
        }
        # The question bears its run's mark, and what a fault makes of the message may be another run.
        messages = [
            one | {"message": marked_question(self.user_id, run_id_of(self.user_id, one["request_id"]))}
            for one in self._mangled(message)
        ]
        for one in messages:
            self._expect(one, due)
        try:
            async with asyncio.timeout_at(due + self._world.scenario.workload.patience):
                for one in messages:
                    await self.tabs[0].send(one, self._serve)
                for one in messages:
                    await self._learn(one, due)
        except TimeoutError:
            return  # The history shows requests without an end.
        finally:
            self._threads_in_use.discard(thread)
            self._world.on_answer()

    def _mangled(self, message: Message) -> list[Message]:
        conditions, messages = self._world.conditions, [message]
        for injection in conditions.of(MessageFault):
            if not injection.is_on:
                continue
            with blaming(f"fault {injection.fault.name}"):
                mangled = [other for one in messages for other in injection.fault.mangle(one)]
            # A fault that changes nothing, such as the first use of an id that collides, has not hit.
            if mangled != messages and injection.strikes(f"{self.user_id}.{message['request_id']}"):
                messages = mangled
        return messages

    def _expect(self, message: Message, due: float) -> None:
        run_id = run_id_of(self.user_id, message["request_id"])
        if run_id not in self._ends:
            self._tabs_without_end[run_id] = set(range(self._world.scenario.workload.tabs_per_user))
            self._ask_for(run_id, due, message)

    def _ask_for(self, run_id: str, due: float, message: Message) -> None:
        self._ends[run_id] = self._world.loop.create_future()
        self._world.recorder.requested(run_id, self.user_id, due, message["thread_id"])

    async def _learn(self, message: Message, due: float) -> None:
        """Wait for a run's end, and ask again for what was only postponed, as the protocol's table of refusals says."""
        run_id, attempt = run_id_of(self.user_id, message["request_id"]), 0
        while (postponed := await self._ends[run_id]) is not None:
            attempt += 1
            if postponed.code == "not_ready":
                least, most = NOT_READY_PAUSE
                drawn = uniform(key(self._world.seed, "asking again", run_id), attempt)
                await self._world.loop.sleep_exactly(least + (most - least) * drawn)
            else:
                await self.tabs[0].connection_after(postponed.connection_id)
            if not self._tabs_without_end[run_id]:
                return  # a copy of the request has been carried out meanwhile
            self._ask_for(run_id, due, message)
            await self.tabs[0].send(message, self._serve)

    def _serve(self, message: Message, connection: Connection, instance: Instance) -> None:
        answer = answer_message(message, connection, bridge=instance.bridge, execution_factory=instance.factory)
        context = copy_context()
        context.run(CONTEXT_MARK.set, self.user_id)
        name = f"message of {self.user_id}"
        task: asyncio.Task[object] = asyncio.create_task(answer, name=name, context=context)
        for answers in (self._answers, instance.answers):
            answers.add(task)
            task.add_done_callback(answers.discard)
        world, request = self._world, f"{self.user_id}.{message['request_id']}"
        if instance.bridge.state is not IntegrationState.ACTIVE:
            world.conditions.on(BackendFault, request)
        for fault in world.conditions.on(Cancellation, request):
            within = fault.within * uniform(key(world.seed, "cancellation", request))
            world.loop.call_at_exactly(world.loop.exact_time() + within, task.cancel)

    def _ended(self, tab: int, run_id: str) -> None:
        left, end = self._tabs_without_end.get(run_id), self._ends.get(run_id)
        if left is None or end is None:
            return  # of a run that it has not asked for
        left.discard(tab)
        if not left and not end.done():
            end.set_result(None)

    def _refused(self, refusal: Refused, connection_id: str) -> None:
        run_id = run_id_of(self.user_id, refusal.request_id or "")
        self._world.recorder.refused(run_id, self.user_id, refusal.code)
        end = self._ends.get(run_id)
        # A copy of a request that is being carried out may be refused: the request itself has not ended.
        if end is not None and not end.done() and refusal.code != "duplicate_request":
            end.set_result(_Postponed(refusal.code, connection_id) if refusal.code in POSTPONED else None)


class _Postponed(NamedTuple):
    """A refusal, over a connection, of what would be carried out at another time."""

    code: str
    connection_id: str
