"""The faults that a scenario may inject; each docstring says what the fault does and which symptom it causes."""

from netra_sim.chosen import kind_of
from netra_sim.registry import Registry
from netra_sim.simulation.faults.agents import (
    AgentCrash,
    AgentFault,
    AgentHang,
    AgentNeverEnds,
    Cancellation,
    CleanupRaises,
    OversizedPayload,
    PaceFault,
    RateLimited,
    SlowAgents,
    SlowTools,
    ToolFailure,
    ToolHang,
    UnserialisablePayload,
)
from netra_sim.simulation.faults.base import Fault, FaultTarget, Message
from netra_sim.simulation.faults.connections import (
    AnotherInstance,
    DeadSocket,
    Disconnect,
    DisconnectStorm,
    Flapping,
    HandshakeRace,
    LateAuthentication,
    Line,
    LineFault,
    Logout,
    SlowConsumer,
    StalledSocket,
    TabMultiplication,
    TokenExpiry,
)
from netra_sim.simulation.faults.messages import (
    DuplicateMessage,
    EngineLimitReached,
    IdCollision,
    MessageFault,
    UnknownMessageType,
)
from netra_sim.simulation.faults.server import (
    BackendFault,
    BackendNotReady,
    BridgeLost,
    BrokerBlip,
    ClockJump,
    Deploy,
    LimitsFault,
    LoopStall,
    MemoryPressure,
    ResetBeforeAccept,
    ServerFault,
    SweepNotRunning,
)
from netra_sim.simulation.faults.systems import (
    Flood,
    Garbage,
    HalfClose,
    Partition,
    PowerCut,
    ProcessKilled,
    ProcessRestarted,
    RawFault,
    RollingDeploy,
    ServiceFault,
    SystemFault,
    SystemTarget,
)

_OWN: tuple[type[Fault], ...] = (
    SlowConsumer, StalledSocket, DeadSocket, Disconnect, Flapping, DisconnectStorm, AnotherInstance, TabMultiplication,
    HandshakeRace, LateAuthentication, TokenExpiry, Logout, BackendNotReady, BridgeLost, BrokerBlip, Deploy, LoopStall,
    ClockJump, ResetBeforeAccept, SweepNotRunning, MemoryPressure, SlowAgents, SlowTools, RateLimited, AgentCrash,
    AgentHang, AgentNeverEnds, CleanupRaises, UnserialisablePayload, OversizedPayload, ToolFailure, ToolHang,
    Cancellation, DuplicateMessage, UnknownMessageType, IdCollision, EngineLimitReached,
    ProcessKilled, ProcessRestarted, PowerCut, RollingDeploy, Partition, ServiceFault, Garbage, Flood, HalfClose,
)  # fmt: skip

FAULTS: Registry[type[Fault]] = Registry(
    "netra_sim.faults", _OWN, kind=type, name_of=lambda kind: str(kind.__struct_config__.tag)
)
"""All kinds of faults by name, including those of other packages; a scenario file names one by its ``kind``."""


def fault_kind(name: str, where: str = "a fault") -> type[Fault]:
    """The class of a kind of faults.

    Args:
        name: of `FAULTS`, or the place of a class of one's own, such as "mine:Slow".
        where: what names it, for errors.

    Raises:
        ChoiceError: there is no such kind.
    """
    return kind_of(name, FAULTS, where, Fault)


__all__ = [
    "FAULTS",
    "AgentCrash",
    "AgentFault",
    "AgentHang",
    "AgentNeverEnds",
    "AnotherInstance",
    "BackendFault",
    "BackendNotReady",
    "BridgeLost",
    "BrokerBlip",
    "Cancellation",
    "CleanupRaises",
    "ClockJump",
    "DeadSocket",
    "Deploy",
    "Disconnect",
    "DisconnectStorm",
    "DuplicateMessage",
    "EngineLimitReached",
    "Fault",
    "FaultTarget",
    "Flapping",
    "Flood",
    "Garbage",
    "HalfClose",
    "HandshakeRace",
    "IdCollision",
    "LateAuthentication",
    "LimitsFault",
    "Line",
    "LineFault",
    "Logout",
    "LoopStall",
    "MemoryPressure",
    "Message",
    "MessageFault",
    "OversizedPayload",
    "PaceFault",
    "Partition",
    "PowerCut",
    "ProcessKilled",
    "ProcessRestarted",
    "RateLimited",
    "RawFault",
    "RollingDeploy",
    "ServerFault",
    "ServiceFault",
    "SlowAgents",
    "SlowConsumer",
    "SlowTools",
    "StalledSocket",
    "SweepNotRunning",
    "SystemFault",
    "SystemTarget",
    "TabMultiplication",
    "TokenExpiry",
    "ToolFailure",
    "ToolHang",
    "UnknownMessageType",
    "UnserialisablePayload",
    "fault_kind",
]
