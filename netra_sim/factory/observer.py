"""The interface of an observer of the factory, such as a recorder."""

from collections.abc import Mapping
from typing import Protocol


class FactoryObserver(Protocol):
    """Receives a synchronous call from the factory for each scope that opens, closes or is refused.

    A method must not call the factory. It should not raise: the factory reports the error and goes on.
    """

    def scope_opened(self, run_id: str, user_id: str) -> None:
        """The engine of the run was made, and its scope opens."""

    def scope_closed(self, run_id: str, user_id: str, left_over: Mapping[str, int]) -> None:
        """The scope of the run ended.

        Args:
            run_id: the run.
            user_id: its user.
            left_over: by kind, how many objects were not released: ``tasks`` that refuse to be cancelled, or one of
                ``engines`` if closing it raised. Empty if none.
        """

    def scope_refused(self, run_id: str, user_id: str, reason: str) -> None:
        """No engine was made; ``reason`` is the name of the error's class, such as ``EngineLimitError``."""
