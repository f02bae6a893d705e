"""Small scenarios in which defects show; the clean runtime passes all checks in each."""

from msgspec.structs import replace

from netra_sim.history import Objectives
from netra_sim.simulation import Agents, Burst, Closed, Constant, Limits, LogNormal, Network, Scenario, Workload
from netra_sim.simulation.faults import (
    AgentCrash,
    AgentNeverEnds,
    Cancellation,
    Deploy,
    Disconnect,
    MemoryPressure,
    StalledSocket,
)

_QUICK = Agents(think=LogNormal(0.3, 0.3), tool=LogNormal(0.2, 0.3))
_TALKATIVE = Agents(think=LogNormal(0.3, 0.3), tool=LogNormal(0.2, 0.3), reasoning=35_000)
_PATIENCE = 30.0
_SOON = Workload(window=4.0, patience=_PATIENCE)
# A few users have no reliable 95th percentile, so slow networks must not be findings here.
_PATIENT = Objectives(delivery_mean=0.3, delivery_p95=0.5, first_event_p95=2.0)
_NOT_ALL_ANSWERED = replace(_PATIENT, completed=0.0, refused=1.0)

CROWD = Scenario(name="crowd", users=12, workload=_SOON, agents=_QUICK, objectives=_PATIENT)
"""Users who work at the same time."""

SLOW_TOOLS = Scenario(
    name="slow-tools",
    users=4,
    workload=Workload(window=4.0),
    agents=Agents(think=Constant(0.1), tool=Constant(5.0)),
    objectives=replace(_PATIENT, response_p95=60.0),
)
"""Slow tools, so that runs mostly wait."""

TWO_AT_ONCE = Scenario(
    name="two-at-once",
    users=6,
    workload=Workload(arrivals=Burst(at=2.0, width=0.1), runs_per_user=2, patience=_PATIENCE),
    agents=_QUICK,
    objectives=_PATIENT,
)
"""Every user has two runs at the same time, which is the limit."""

TOO_MANY = Scenario(
    name="too-many",
    users=6,
    workload=Workload(arrivals=Burst(at=2.0, width=0.1), runs_per_user=4, patience=_PATIENCE),
    agents=_QUICK,
    objectives=_NOT_ALL_ANSWERED,
)
"""Every user asks for four runs at the same time; two are allowed."""

COMING_BACK = Scenario(
    name="coming-back",
    users=8,
    workload=_SOON,
    agents=_QUICK,
    faults=(Disconnect(at=4.0, lasts=1.0),),
    objectives=Objectives(delivery_mean=2.0, delivery_p95=5.0, first_event_p95=5.0, refused=0.9),
)
"""All users are cut off during their runs, and come back."""

OFTEN_CUT_OFF = Scenario(
    name="often-cut-off",
    users=12,
    workload=Workload(window=7.0, tabs_per_user=2, patience=_PATIENCE),
    agents=_QUICK,
    faults=tuple(Disconnect(at=2.0 + number, lasts=0.2) for number in range(6)),
    objectives=Objectives(delivery_mean=2.0, delivery_p95=5.0, first_event_p95=5.0, refused=0.9),
)
"""Two tabs of each user are cut off again and again."""

STALLED = Scenario(
    name="stalled", users=80, workload=_SOON, agents=_TALKATIVE, faults=(StalledSocket(at=3.0, lasts=12.0, share=0.1),),
    objectives=Objectives(delivery_mean=1.4, delivery_p95=20.0, first_event_p95=20.0),
)  # fmt: skip
"""One client in ten stops reading for a while; with fewer users, the mean would depend on how many stop."""

CANCELLED = Scenario(
    name="cancelled",
    users=8,
    workload=Workload(window=4.0, runs_per_user=3, patience=_PATIENCE),
    agents=Agents(think=Constant(0.2), tool=Constant(1.0)),
    faults=(Cancellation(at=0.0, lasts=30.0, within=2.0),),
    objectives=_NOT_ALL_ANSWERED,
)
"""Every request is cancelled on the server while it runs."""

ONE_BY_ONE = Scenario(
    name="one-by-one",
    users=6,
    workload=Workload(arrivals=Closed(think=Constant(0.2)), runs_per_user=4, patience=_PATIENCE),
    agents=_QUICK,
    objectives=_PATIENT,
)
"""Every user asks again when the answer has come."""

CRASHING = Scenario(
    name="crashing", users=12, workload=_SOON, agents=_QUICK, faults=(AgentCrash(at=0.0, lasts=60.0, share=0.5),),
    objectives=_NOT_ALL_ANSWERED,
)  # fmt: skip
"""Every second run has an agent that fails."""

LONG_CHATS = Scenario(
    name="long-chats",
    users=3,
    workload=Workload(window=900.0, runs_per_user=12, patience=_PATIENCE),
    agents=_QUICK,
    limits=Limits(engines_per_user=12),
    objectives=replace(_PATIENT, replay_bytes=80_000.0),
)
"""Conversations that last longer than the bridge keeps ended runs."""

DEPLOYED = Scenario(
    name="deployed",
    users=8,
    workload=_SOON,
    agents=_QUICK,
    faults=(Deploy(at=3.0, lasts=2.0, drain=1.0),),
    objectives=Objectives(
        delivered=0.0, completed=0.0, refused=1.0, first_event_p95=30.0, delivery_mean=2.0, delivery_p95=5.0
    ),
)
"""The server is replaced during live runs."""

SHORT_MEMORY = Scenario(
    name="short-memory-of-runs",
    users=8,
    workload=_SOON,
    agents=_QUICK,
    faults=(MemoryPressure(events=3), Disconnect(at=3.0, lasts=2.0)),
    objectives=Objectives(delivered=0.0, delivery_mean=2.0, delivery_p95=5.0, first_event_p95=5.0, refused=0.9),
)
"""All users are cut off for longer than the bridge can replay."""

TABS = Scenario(
    name="tabs",
    users=6,
    workload=Workload(window=4.0, tabs_per_user=2, patience=_PATIENCE),
    agents=_QUICK,
    objectives=_PATIENT,
)
"""Every user has two tabs open."""

LARGE_REPLAY = Scenario(
    name="large-replay",
    users=4,
    workload=Workload(arrivals=Burst(at=2.0, width=2.0), runs_per_user=2, patience=60.0),
    agents=Agents(reasoning=35_000),
    network=Network(bandwidth=100_000.0),
    faults=(Disconnect(at=4.5, lasts=3.0),),
    objectives=Objectives(
        refused=0.97, delivery_mean=10.0, delivery_p95=20.0, first_event_p95=20.0, recovery=30.0, silence=60.0
    ),
)
"""Clients come back over a slow line to two live runs, and have missed more than any buffer holds."""

NEVER_READS = Scenario(
    name="never-reads",
    users=2,
    workload=Workload(window=20.0, runs_per_user=10, patience=60.0),
    agents=Agents(think=Constant(0.2), tool=Constant(0.2), reasoning=35_000),
    limits=Limits(engines_per_user=10),
    faults=(StalledSocket(at=1.0, lasts=40.0),),
    objectives=Objectives(
        refused=1.0, completed=0.0, delivered=0.0, delivery_mean=60.0, delivery_p95=60.0, first_event_p95=60.0,
        response_p95=60.0, recovery=60.0, silence=60.0,
    ),
)  # fmt: skip
"""Clients stop reading while large events come."""

MANY_REQUESTS = Scenario(
    name="many-requests",
    users=12,
    workload=Workload(arrivals=Closed(think=Constant(0.1)), runs_per_user=11, patience=_PATIENCE),
    agents=Agents(think=Constant(0.05), tool=Constant(0.05)),
    objectives=_PATIENT,
)
"""Users and requests with numbers of one and of two digits."""

SLOW_ENDS = Scenario(
    name="slow-ends",
    users=6,
    workload=Workload(window=4.0, runs_per_user=4, patience=_PATIENCE),
    agents=_QUICK,
    limits=Limits(engines_per_user=1),
    faults=(AgentNeverEnds(at=0.0, lasts=30.0, stubborn=3.0), Cancellation(at=0.0, lasts=30.0, within=1.0)),
    objectives=_NOT_ALL_ANSWERED,
)
"""Cancelled runs that take seconds to end."""
