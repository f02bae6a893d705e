"""All orders of a program's steps with at most so many delays: a search that ends, and says what it has covered."""

from collections.abc import Iterator

from netra_sim.exploration.plans import NamedStep, Plan
from netra_sim.exploration.programs import Main, ProgramRun, run_program
from netra_sim.simulation.schedule import steps_text
from netra_sim.simulation.schedule_log import ScheduleLog


def orders_with_delays(
    main: Main, most: int, *, time_limit: float, spin_limit: int
) -> Iterator[tuple[Plan, ProgramRun]]:
    """Run a program once for each set of at most so many delays, those with fewer delays first.

    In the base order each task runs until it blocks. A delay sends a task that could run to the back of the queue, once for
    each of its steps (Emmi, Qadeer and Rakamaric, "Delay-bounded scheduling", POPL 2011). Seeds are 0, and steps take no
    time: what depends on random numbers or on near timers is not covered, nor is what needs one more delay.
    """
    level: dict[frozenset[NamedStep], None] = {frozenset(): None}
    for delays in range(most + 1):
        following: dict[frozenset[NamedStep], None] = {}
        for delayed in level:
            plan, log = Plan(f"delays:{steps_text(sorted(delayed))}"), ScheduleLog()
            yield plan, run_program(main, plan, 0, time_limit=time_limit, spin_limit=spin_limit, log=log)
            if delays < most:
                steps = ((step.task, step.step) for step in log.steps if step.is_choice)
                following |= dict.fromkeys(delayed | {step} for step in steps if step not in delayed)
        level = following
