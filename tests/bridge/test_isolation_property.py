"""In any sequence of actions, no user gets an event of another user, and no event is missing without a gap."""

import asyncio
import json

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from netra_sim.bridge import AgentWebSocketBridge, AuthenticatedUser, BridgeLimits, MemoryTransport
from netra_sim.exceptions import ConnectionLimitError
from netra_sim.protocol import EventReader
from netra_sim.simulation import VirtualTimeLoop

USERS = st.sampled_from(["alice", "bob", "carol"])
LIMITS = BridgeLimits(
    connections_per_user=3, replay_events=6, congested_bytes=600, stalled_bytes=900, outbox_bytes=1_800,
    replay_total_bytes=9_000,
)  # fmt: skip


class Tab:
    def __init__(self, user, reader):
        self.user = user
        self.reader = reader
        self.transport = MemoryTransport()
        self.connection = None
        self.read = 0


class Bridge(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.loop = VirtualTimeLoop()
        self.bridge = AgentWebSocketBridge(limits=LIMITS)
        self.tabs = []
        self.runs = {}
        self.run_count = 0
        self.turn(self.bridge.ensure_integration())

    def turn(self, work=None):
        async def settle():
            if work is not None:
                await work
            await asyncio.sleep(0)
            await asyncio.sleep(0)

        self.loop.run_until_complete(settle())

    def in_loop(self, action):
        async def act():
            return action()

        return self.loop.run_until_complete(act())

    @rule(user=USERS)
    def connect(self, user):
        self.attach(Tab(user, EventReader()))

    @precondition(lambda self: any(not tab.connection.is_open for tab in self.tabs))
    @rule(data=st.data())
    def reconnect(self, data):
        old = data.draw(st.sampled_from([tab for tab in self.tabs if not tab.connection.is_open]))
        self.take(old)
        self.tabs.remove(old)
        self.attach(Tab(old.user, old.reader))

    def attach(self, tab):
        try:
            tab.connection = self.in_loop(
                lambda: self.bridge.connect(
                    AuthenticatedUser(tab.user), tab.transport, epoch=tab.reader.epoch, cursors=tab.reader.cursors
                )
            )
        except ConnectionLimitError:
            return
        self.tabs.append(tab)

    @precondition(lambda self: self.tabs)
    @rule(data=st.data(), what=st.sampled_from(["stall", "resume", "fail", "disconnect"]))
    def disturb(self, data, what):
        tab = data.draw(st.sampled_from(self.tabs))
        if what == "disconnect":
            self.in_loop(lambda: self.bridge.disconnect(tab.connection))
        elif not (what == "resume" and tab.transport.closed):
            self.in_loop(getattr(tab.transport, what)) if not tab.transport._failed else None

    @rule(user=USERS)
    def begin_run(self, user):
        self.run_count += 1
        run_id = f"{user}.{self.run_count}"
        emitter = self.in_loop(lambda: self.bridge.open_run(user_id=user, thread_id=user, run_id=run_id))
        self.in_loop(lambda: emitter.agent_started("agent"))
        self.runs[run_id] = emitter

    @precondition(lambda self: self.runs)
    @rule(data=st.data(), burst=st.integers(1, 8))
    def publish(self, data, burst):
        emitter = self.runs[data.draw(st.sampled_from(sorted(self.runs)))]
        self.in_loop(lambda: [emitter.agent_thinking("x" * 40) for _ in range(burst)])

    @precondition(lambda self: self.runs)
    @rule(data=st.data())
    def end_run(self, data):
        emitter = self.runs.pop(data.draw(st.sampled_from(sorted(self.runs))))
        self.in_loop(lambda: emitter.agent_completed("done"))

    @rule()
    def let_it_flow(self):
        self.turn()

    @invariant()
    def everybody_reads_their_own_events_once_in_order_and_without_a_silent_gap(self):
        for tab in self.tabs:
            self.take(tab)

    def take(self, tab):
        for frame in tab.transport.frames[tab.read :]:
            message = json.loads(frame)
            assert message.get("user_id", tab.user) == tab.user
            reading = tab.reader.feed(frame)
            assert reading.is_new
            assert not reading.missing
        tab.read = len(tab.transport.frames)

    def teardown(self):
        for tab in self.tabs:
            if tab.connection.is_open and not tab.transport._failed:
                self.in_loop(tab.transport.resume)
        self.turn()
        for tab in self.tabs:
            self.take(tab)
        self.turn(self.bridge.shutdown())
        self.loop.close()


TestBridge = Bridge.TestCase
TestBridge.settings = settings(max_examples=150, stateful_step_count=40)
