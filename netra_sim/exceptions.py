"""Every error that the runtime raises on purpose, in one tree.

::

    NetraSimError
    ├── BridgeError
    │   ├── BridgeNotReadyError     the bridge is not integrated, or was shut down
    │   ├── ConnectionLimitError    a user has as many connections as the limits allow
    │   ├── PayloadError            a payload cannot be carried; nothing was published
    │   ├── RunClosedError          an event after the end of its run
    │   ├── RunExistsError          a run id that is already in use
    │   ├── RunOrderError           an event that its run's life does not allow now
    │   ├── ThreadOwnerError        a thread that belongs to another user
    │   └── WrongLoopError          the bridge was used outside its event loop; nothing changed
    ├── ContextError                a user execution context that may not exist (also a ValueError)
    ├── FactoryError
    │   ├── EngineClosedError       an engine was used outside its scope
    │   ├── EngineLimitError        a user has as many live engines as the limits allow
    │   └── FactoryClosedError      the factory was shut down
    ├── MessageError                a client's message that cannot be routed (also a ValueError)
    └── ToolError                   a tool failed; the agent that called it may handle this
"""


class NetraSimError(Exception):
    """The root of all errors that netra_sim raises on purpose."""


class BridgeError(NetraSimError):
    """Something was asked of the bridge that it cannot do."""


class BridgeNotReadyError(BridgeError):
    """The bridge is not integrated, or was shut down; no run can begin on it."""


class ConnectionLimitError(BridgeError):
    """A user already has as many connections as the limits allow."""

    def __init__(self, user_id: str, limit: int) -> None:
        super().__init__(f"user {user_id!r} already has {limit} connections, the most that one user may have")
        self.user_id = user_id
        self.limit = limit


class PayloadError(BridgeError):
    """A payload cannot be carried as JSON. Nothing was published and no number was used.

    Attributes:
        path: where in the payload, as in ``$.results.rows[3]``.
        reason: what is wrong there.
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"cannot carry {path}: {reason}")
        self.path = path
        self.reason = reason


class RunClosedError(BridgeError):
    """An event was published after the end of its run; it was counted and dropped."""


class RunExistsError(BridgeError):
    """A run with this id is live or still replayable; ids are never used twice."""


class RunOrderError(BridgeError):
    """An event that the life of its run does not allow now, such as a second beginning."""


class ThreadOwnerError(BridgeError):
    """A thread id that another user used first. The message says no more than of a thread that does not exist."""

    def __init__(self, thread_id: str) -> None:
        super().__init__(
            f"this user has no thread {thread_id!r}; name one of the user's own, or none to begin a new one"
        )
        self.thread_id = thread_id


class WrongLoopError(BridgeError):
    """The bridge or an emitter was used outside its event loop, such as in a thread. Nothing was published or changed."""


class ContextError(NetraSimError, ValueError):
    """A user execution context that may not exist: the message names the field and what it takes."""


class FactoryError(NetraSimError):
    """Something was asked of the execution-engine factory that it cannot do."""


class EngineClosedError(FactoryError):
    """An engine was used after its scope had ended."""


class EngineLimitError(FactoryError):
    """A user already has as many live engines as the limits allow.

    Attributes:
        live: how many engines the user has now.
        limit: how many the user may have.
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
    """The factory was shut down; it makes no more engines."""


class MessageError(NetraSimError, ValueError):
    """A client's message that cannot be routed.

    Attributes:
        code: a short machine-readable word, such as ``unknown_type``.
        detail: what was wrong, what was expected.
    """

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


class ToolError(NetraSimError):
    """A tool failed. Its run goes on unless the agent lets this pass."""
