"""The faults that a scenario may inject; each docstring says what the fault does and which symptom it causes."""

from netra_sim.registry import Registry
from netra_sim.simulation.faults.agents import (
    AgentCrash,
    AgentFault,
    AgentHang,
    AgentNeverEnds,
    Cancellation,
    CleanupRaises,
    OversizedPayload,
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
    HandshakeRace,
    LateAuthentication,
    Line,
    LineFault,
    SlowConsumer,
    StalledSocket,
    TabMultiplication,
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
    Garbage,
    HalfClose,
    Partition,
    PowerCut,
    ProcessKilled,
    RollingDeploy,
    ServiceFault,
    SystemFault,
    SystemTarget,
)

_OWN: tuple[type[Fault], ...] = (
    SlowConsumer, StalledSocket, DeadSocket, Disconnect, DisconnectStorm, AnotherInstance, TabMultiplication,
    HandshakeRace, LateAuthentication, BackendNotReady, BridgeLost, Deploy, LoopStall, ClockJump,
    ResetBeforeAccept, SweepNotRunning, MemoryPressure, AgentCrash, AgentHang, AgentNeverEnds, CleanupRaises,
    UnserialisablePayload, OversizedPayload, ToolFailure, ToolHang, Cancellation, DuplicateMessage,
    UnknownMessageType, IdCollision, EngineLimitReached,
    ProcessKilled, PowerCut, RollingDeploy, Partition, ServiceFault, Garbage, HalfClose,
)  # fmt: skip

FAULTS: Registry[type[Fault]] = Registry(
    "netra_sim.faults", _OWN, kind=type, name_of=lambda kind: str(kind.__struct_config__.tag)
)
"""All kinds of faults by name, including those of other packages; a scenario file names one by its ``kind``."""

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
    "Garbage",
    "HalfClose",
    "HandshakeRace",
    "IdCollision",
    "LateAuthentication",
    "LimitsFault",
    "Line",
    "LineFault",
    "LoopStall",
    "MemoryPressure",
    "Message",
    "MessageFault",
    "OversizedPayload",
    "Partition",
    "PowerCut",
    "ProcessKilled",
    "RollingDeploy",
    "ServerFault",
    "ServiceFault",
    "SlowConsumer",
    "StalledSocket",
    "SweepNotRunning",
    "SystemFault",
    "SystemTarget",
    "TabMultiplication",
    "ToolFailure",
    "ToolHang",
    "UnknownMessageType",
    "UnserialisablePayload",
]
