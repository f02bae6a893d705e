"""`load_system`: the users of a plan drive a system that is not ours, on real sockets, recorded as a History."""

from collections.abc import Callable
from time import perf_counter

from netra_sim.clients.protocol import SystemAddress
from netra_sim.history import History, Kind, merge
from netra_sim.loading.control import bare_echo
from netra_sim.loading.process import ClientsProcess
from netra_sim.loading.system_plan import SystemOrders, SystemPlan
from netra_sim.runtime import measuring


async def load_system(
    plan: SystemPlan,
    target: SystemAddress,
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
        target: where the system listens.
        meta: what the History says of itself, see `netra_sim.history.foreign_meta`.
        allowed: the hosts that the users may connect to, besides this machine.
        on_answer: called at the end of every request, for a progress display.

    Raises:
        RuntimeError: the clients' process died, had an error, has another clock, or did not keep to the plan; nest-asyncio
            is applied in this process. Nothing is left running, and there is no History.
    """
    with measuring():
        async with ClientsProcess() as clients, bare_echo() as control_uri:
            orders = SystemOrders(plan, target, allowed, control_uri, perf_counter())
            history = await clients.drive(orders, on_answer)
            _require_the_plan(plan, history)
            return merge([history], meta | {"clocks_agree_within": clients.clocks_agree_within})


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
