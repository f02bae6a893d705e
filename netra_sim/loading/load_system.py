"""`load_system`: the users of a plan drive a system that is not ours, on real sockets, recorded as a History."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from time import perf_counter

from netra_sim.clients.protocol import SystemAddress
from netra_sim.history import History, Kind, merge
from netra_sim.loading.control import bare_echo
from netra_sim.loading.local_system import LocalSystem
from netra_sim.loading.open_files import room_for_sockets
from netra_sim.loading.process import ClientsProcess
from netra_sim.loading.system_plan import SystemOrders, SystemPlan
from netra_sim.loading.watching import alongside
from netra_sim.recording import Recorder
from netra_sim.runtime import measuring


async def load_system(
    plan: SystemPlan,
    system: SystemAddress | LocalSystem,
    meta: dict[str, object],
    *,
    allowed: tuple[str, ...] = (),
    on_answer: Callable[[], None] = lambda: None,
) -> History:
    """Let the users of a plan, in a process of their own, send their requests to a system when they are due.

    A latency counts from the due time, so it includes whatever makes a request wait. Meanwhile a control measures the
    latency of the machine itself, as the gauge `CONTROL_LATENCY`; the gauge `DRIVER_LATENESS` records how late requests
    were sent.

    Args:
        plan: what the users do.
        system: where it listens, or what to start and stop on this machine.
        meta: what the History says of itself, see `netra_sim.history.foreign_meta`.
        allowed: the hosts that the users may connect to, besides this machine.
        on_answer: called at the end of every request, for a progress display.

    Raises:
        SystemFailedError: the system does not start.
        RuntimeError: the clients' process died, had an error, has another clock, or did not keep to the plan; nest-asyncio
            is applied in this process. Nothing is left running, and there is no History.
    """
    began = perf_counter()
    recorder = Recorder(lambda: perf_counter() - began)
    with measuring(), room_for_sockets(2 * len(plan.users)):
        async with ClientsProcess() as clients, bare_echo() as control_uri, _ready(system, recorder) as address:
            window: asyncio.Future[float] = asyncio.get_running_loop().create_future()
            orders = SystemOrders(plan, address, allowed, control_uri, began)
            driving = clients.drive(orders, on_answer, window.set_result)
            if isinstance(system, LocalSystem):
                suffering = system.suffer(recorder, lambda: perf_counter() - began, window)
                theirs = await alongside(driving, suffering)
            else:
                theirs = await driving
    _require_the_plan(plan, theirs)
    return merge([recorder.finish({}), theirs], meta | {"clocks_agree_within": clients.clocks_agree_within})


@asynccontextmanager
async def _ready(system: SystemAddress | LocalSystem, recorder: Recorder) -> AsyncIterator[SystemAddress]:
    if isinstance(system, LocalSystem):
        async with system.running(recorder) as address:
            yield address
    else:
        yield system


def _require_the_plan(plan: SystemPlan, history: History) -> None:
    """Require that every request is recorded, as due when the plan says: others would make the figures look better."""
    begins = history.meta["began"]
    made = history.frame(Kind.REQUESTED)
    planned = sorted((user.user_id, begins + due) for user in plan.users for due in user.due)
    kept = planned == sorted(zip(made["user"], made["due"], strict=True)) if planned else len(made) == plan.requests
    if not kept:
        raise RuntimeError(
            f"the clients did not keep to the plan: of {plan.requests:,} requests {len(made):,} are recorded, "
            "or they are recorded as due at other times; a client protocol records a request before it waits for anything"
        )
