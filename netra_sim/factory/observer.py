"""What an onlooker may see of the factory."""

from collections.abc import Mapping
from typing import Protocol


class FactoryObserver(Protocol):
    """Is told, synchronously, of every scope; must not raise and must not call back."""

    def scope_opened(self, run_id: str, user_id: str) -> None:
        """A user's engine was made."""

    def scope_closed(self, run_id: str, user_id: str, left_over: Mapping[str, int]) -> None:
        """The engine is gone; ``left_over`` counts by kind what could not be released, and is empty if all was."""

    def scope_refused(self, run_id: str, user_id: str, reason: str) -> None:
        """No engine was made."""
