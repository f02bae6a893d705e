"""The resources of a scenario that can run out: the model service, the tools' back ends, a database and the CPU."""

from typing import Annotated

import msgspec

from netra_sim.distributions import Distribution, LogNormal

Places = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]


class Resource(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A resource with slots, and with a queue: who comes first gets the next free slot.

    Attributes:
        slots: how many steps it serves at the same time.
        queue: how many steps may wait for a slot; unset for any number. A step that finds the queue full is refused at once:
            its agent fails with a `ResourceBusyError`, and its run ends with ``agent_error``.
    """

    slots: Places
    queue: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] | msgspec.UnsetType = msgspec.UNSET


class Database(Resource, frozen=True, kw_only=True):
    """A pool of connections. Every run holds one connection while it loads its conversation, before its first agent begins.

    Attributes:
        seconds: how long a run holds its connection.
    """

    seconds: Distribution = LogNormal(0.02, 0.5)


class Cpu(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The processes of the server, each with a CPU to itself, and each with the same share of the users.

    All steps run on one loop, and with n processes each step takes ``platform.step_cost / n``: one CPU that is n times as
    fast. The CPUs are so exhausted at the right load. A step's own time is n times too short, and below that load steps wait
    too little, since n separate queues are longer than one. Everything else has one process: all users are on one bridge,
    nobody changes to another process, and an uneven share of users does not occur.

    Attributes:
        slots: the number of processes.
    """

    slots: Places


class Resources(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The resources that are limited. One that is not named serves everybody at once; the CPU is then one process.

    They are for all servers of a simulation together. The default pipeline uses them; agents of your own do not.

    Attributes:
        model: the model service: a step holds a slot while its agent thinks, for ``agents.think`` seconds.
        tools: the back ends of the tools: a tool holds a slot while it works, for ``agents.tool`` seconds.
        database: a pool of connections: a run holds one while it loads its conversation.
        cpu: the processes of the server.
    """

    model: Resource | msgspec.UnsetType = msgspec.UNSET
    tools: Resource | msgspec.UnsetType = msgspec.UNSET
    database: Database | msgspec.UnsetType = msgspec.UNSET
    cpu: Cpu | msgspec.UnsetType = msgspec.UNSET
