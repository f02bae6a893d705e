"""The interface of an observer of the factory, such as a recorder."""

from collections.abc import Mapping
from typing import Protocol


class FactoryObserver(Protocol):
    """The factory calls these methods, synchronously, for every scope. They must not raise and must not call the factory."""

    def scope_opened(self, run_id: str, user_id: str) -> None:
        """An engine of the user was made."""

    def scope_closed(self, run_id: str, user_id: str, left_over: Mapping[str, int]) -> None:
        """The engine was closed; ``left_over`` counts, by kind, the objects that could not be released. Empty if none."""

    def scope_refused(self, run_id: str, user_id: str, reason: str) -> None:
        """No engine was made."""
