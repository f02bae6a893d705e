"""Every error class of netra_sim, in one tree: ``except NetraSimError`` catches all of them.

The errors of the bridge, the factory and systems under test are defined here; brackets name the module that defines each
other one. A wrong argument raises Python's own ``TypeError``, ``ValueError`` or ``RuntimeError`` instead.

::

    NetraSimError
    ├── AuthenticationError             nothing proves who the client is [server]
    ├── AuthenticationUnavailableError  the proof cannot be checked now; try again later [server]
    ├── BoundError                      the text is no bound of a figure; a ValueError [exploration]
    ├── BoundaryError                   the code under test reached out of the simulation; a RuntimeError [simulation]
    ├── BridgeError
    │   ├── BridgeNotReadyError         the bridge is not integrated, or was shut down
    │   ├── ConnectionLimitError        the user already has as many connections as the limits allow
    │   ├── PayloadError                the payload cannot be encoded as JSON; nothing was published
    │   ├── RunClosedError              an event was published after the end of its run
    │   ├── RunExistsError              the run id is already in use
    │   ├── RunOrderError               the event is out of order, such as a second ``agent_started``
    │   ├── ThreadOwnerError            the thread belongs to another user
    │   └── WrongLoopError              the bridge was used outside its event loop; nothing changed
    ├── CalibrationError                the file is no calibration; a ValueError [exploration]
    ├── CheckError                      a check raised an error, or returned no observation; a RuntimeError [checks]
    ├── ChoiceError                     a table names no known kind, or settings it does not take; a ValueError [chosen]
    ├── ClientGoneError                 the client has closed or lost its connection; a ConnectionError [server]
    ├── ConfigError                     the configuration of the audit cannot be used; a ValueError [audit]
    ├── ContextError                    the user execution context is not valid; a ValueError
    ├── DeadlockError                   tasks are left, and nothing can wake them; a RuntimeError [simulation]
    ├── FactoryError
    │   ├── EngineClosedError           the engine was used outside its scope
    │   ├── EngineLimitError            the user already has as many live engines as the limits allow
    │   └── FactoryClosedError          the factory was shut down
    ├── ForkError                       a simulated program calls `os.fork`; a RuntimeError [simulation]
    ├── HarnessError                    a part of the simulation itself failed; a RuntimeError [simulation]
    ├── HistoryError                    the file is not a history, or was changed; a ValueError [history]
    ├── MessageError                    the client's message cannot be routed; a ValueError
    ├── OwnCodeError                    MODULE:NAME names nothing that can be used; a ValueError [own_code]
    ├── ParameterError                  a notebook does not take this parameter or value; a ValueError [parameters]
    ├── ModelRefusedError               the model refused all attempts of a step: its rate limit; a RuntimeError [simulation]
    ├── NetworkError                    a virtual host that does not exist, or exists twice; a ValueError [simulation]
    ├── PluginError                     an installed package names an object that cannot be used [registry]
    ├── ProgramError                    the program is no coroutine function without arguments; a ValueError [exploration]
    ├── ResourceBusyError               all slots are taken, and the queue is full; a RuntimeError [simulation]
    ├── ScenarioError                   the scenario cannot be simulated; a ValueError [simulation]
    │   └── ShardsError                 several processes cannot give the history of one [simulation]
    ├── SimulationFailedError           a test failed in a simulation [pytest_plugin]
    ├── StuckThreadError                a worker thread neither ends nor blocks; a RuntimeError [simulation]
    ├── SweepError                      another sweep's table is there, or no scheduler; a ValueError [exploration]
    ├── SystemFailedError               the system under test does not start; a RuntimeError
    ├── TargetError                     no URL of a system that can and may be loaded; a ValueError [loading]
    ├── ToolError                       a tool failed; the agent that called it may handle this
    ├── VirtualTimeLimitError           the virtual time ran out, or stood still; a RuntimeError [simulation]
    ├── WorkerError                     another process died, or cannot take the work; a RuntimeError [processes]
    └── WriteError                      a file or a folder cannot be written; an OSError [files]
"""


class NetraSimError(Exception):
    """The root of all error classes of netra_sim."""


class BridgeError(NetraSimError):
    """The bridge cannot do what was asked."""


class BridgeNotReadyError(BridgeError):
    """The bridge is not integrated, or was shut down, so no run can begin."""


class ConnectionLimitError(BridgeError):
    """The user already has as many connections as the limits allow."""

    def __init__(self, user_id: str, limit: int) -> None:
        super().__init__(f"user {user_id!r} already has {limit} connections, the most that one user may have")
        self.user_id = user_id
        self.limit = limit


class PayloadError(BridgeError):
    """The payload cannot be encoded as JSON. Nothing was published, and no sequence number was used.

    Attributes:
        path: the place in the payload, such as ``$.results.rows[3]``.
        reason: what is wrong at that place.
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"cannot carry {path}: {reason}")
        self.path = path
        self.reason = reason


class RunClosedError(BridgeError):
    """An event was published after the end of its run. It was counted and dropped."""


class RunExistsError(BridgeError):
    """A run with this id is live, or the bridge still keeps it for replay."""


class RunOrderError(BridgeError):
    """The event is out of order, such as a second ``agent_started``, or a tool that completes and never executed."""


class ThreadOwnerError(BridgeError):
    """Another user used the thread first. The message does not reveal that this thread exists."""

    def __init__(self, thread_id: str) -> None:
        super().__init__(
            f"this user has no thread {thread_id!r}; name one of the user's own, or none to begin a new one"
        )
        self.thread_id = thread_id


class WrongLoopError(BridgeError):
    """The bridge or an emitter was used outside its event loop, such as from a thread. Nothing was published or changed."""


class ContextError(NetraSimError, ValueError):
    """The user execution context is not valid; the message names the field and what it takes."""


class FactoryError(NetraSimError):
    """The execution-engine factory cannot do what was asked."""


class EngineClosedError(FactoryError):
    """The engine's scope has ended, or its one run was executed already."""


class EngineLimitError(FactoryError):
    """The user already has as many live engines as the limits allow.

    Attributes:
        live: the user's engines now.
        limit: the most engines that a user may have.
    """

    def __init__(self, user_id: str, live: int, limit: int) -> None:
        super().__init__(
            f"user {user_id!r} has {live} live engines and may have {limit}; "
            "wait until one of the user's runs has ended"
        )
        self.user_id = user_id
        self.live = live
        self.limit = limit


class FactoryClosedError(FactoryError):
    """The factory was shut down and makes no more engines."""


class MessageError(NetraSimError, ValueError):
    """The client's message cannot be routed.

    Attributes:
        code: a word for programs, such as ``unknown_type``.
        detail: what is wrong and what was expected.
    """

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


class ToolError(NetraSimError):
    """A tool failed. The run goes on if the agent handles this error."""


class SystemFailedError(NetraSimError, RuntimeError):
    """The system under test cannot be imported, did not start in time, or ended by itself."""
