"""A simulated user: opens tabs, asks for runs when they are due, and waits for their end as long as patience lasts."""

import asyncio
from collections.abc import Callable, Mapping

from netra_sim.bridge import AgentWebSocketBridge, Connection, Refused
from netra_sim.factory import ExecutionEngineFactory, answer_message, run_id_of
from netra_sim.history import Recorder, canary
from netra_sim.simulation.client import SimulatedClient
from netra_sim.simulation.randomness import key, uniform
from netra_sim.simulation.scenario import Closed, Scenario
from netra_sim.simulation.workload import due_times

LOOK_AROUND = 1.0
"""Seconds between opening the page and the first request's due time."""


class SimulatedUser:
    """One user from the first connection to the last answer.

    Args:
        number: 0, 1, 2, ...
        scenario: what the user does.
        seed: of the simulation.
        bridge: what the tabs connect to.
        factory: what carries out the requests that have reached the server.
        recorder: gets a row for every request.
        on_answer: called when a request has been answered, refused or given up.
    """

    def __init__(
        self,
        number: int,
        scenario: Scenario,
        seed: int,
        bridge: AgentWebSocketBridge,
        factory: ExecutionEngineFactory,
        recorder: Recorder,
        on_answer: Callable[[], None],
    ) -> None:
        self.user_id = f"user-{number:0{len(str(scenario.users - 1))}d}"
        self._number = number
        self._scenario = scenario
        self._seed = seed
        self._bridge = bridge
        self._factory = factory
        self._recorder = recorder
        self._on_answer = on_answer
        self._requests = 0
        self._has_opened = False
        self._tabs_without_end: dict[str, int] = {}
        self._ends: dict[str, asyncio.Future[None]] = {}
        self._tasks: set[asyncio.Task[object]] = set()
        self._tabs = [
            SimulatedClient(bridge, recorder, scenario.network, self.user_id, tab, seed, self._ended, self._refused)
            for tab in range(scenario.workload.tabs_per_user)
        ]

    async def live(self) -> None:
        """Open the tabs, make all requests, close the tabs when all has been answered."""
        loop, arrivals = asyncio.get_running_loop(), self._scenario.workload.arrivals
        try:
            if isinstance(arrivals, Closed):
                await self._ask_in_turn(arrivals)
                return
            times = list(due_times(self._scenario.workload, self._seed, self._number, self._scenario.users))
            async with asyncio.TaskGroup() as group:
                for due in times:
                    await asyncio.sleep(due - LOOK_AROUND - loop.time())
                    self._open_tabs()
                    await asyncio.sleep(due - loop.time())
                    group.create_task(self._ask(due), name=f"request of {self.user_id}")
        finally:
            for tab in self._tabs:
                tab.close()
            if self._tasks:
                # The server goes on with what nobody waits for any more, until it has ended.
                await asyncio.wait(self._tasks)

    async def _ask_in_turn(self, arrivals: Closed) -> None:
        loop, stream = asyncio.get_running_loop(), key(self._seed, "think", self._number)
        self._open_tabs()
        for number in range(self._scenario.workload.runs_per_user):
            await asyncio.sleep(arrivals.think.draw(uniform(stream, number)))
            await self._ask(loop.time())

    def _open_tabs(self) -> None:
        if not self._has_opened:
            self._has_opened = True
            for tab in self._tabs:
                tab.open()

    async def _ask(self, due: float) -> None:
        self._requests += 1
        request_id = str(self._requests)
        run_id = run_id_of(self.user_id, request_id)
        self._ends[run_id] = end = asyncio.get_running_loop().create_future()
        self._tabs_without_end[run_id] = len(self._tabs)
        message = {
            "type": "execute_agent",
            "message": f"How can I cut the cost of {canary(self.user_id)}?",
            "thread_id": f"{self.user_id}-thread",
            "request_id": request_id,
        }
        self._recorder.requested(run_id, self.user_id, due)
        try:
            async with asyncio.timeout_at(due + self._scenario.workload.patience):
                await self._tabs[0].send(message, self._serve)
                await end
        except TimeoutError:
            return  # The history shows a request without an end.
        finally:
            del self._ends[run_id]
            self._on_answer()

    def _serve(self, message: Mapping[str, object], connection: Connection) -> None:
        answer = answer_message(message, connection, bridge=self._bridge, execution_factory=self._factory)
        task: asyncio.Task[object] = asyncio.create_task(answer, name=f"message of {self.user_id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _ended(self, run_id: str) -> None:
        left = self._tabs_without_end[run_id] = self._tabs_without_end.get(run_id, 1) - 1
        end = self._ends.get(run_id)
        if left <= 0 and end is not None and not end.done():
            end.set_result(None)

    def _refused(self, refusal: Refused) -> None:
        run_id = run_id_of(self.user_id, refusal.request_id or "")
        self._recorder.refused(run_id, self.user_id, refusal.code)
        end = self._ends.get(run_id)
        if end is not None and not end.done():
            end.set_result(None)
