"""The JSON document of a command, in a form that docs/compatibility.md describes."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import msgspec

from netra_sim.version import __version__

if TYPE_CHECKING:
    from netra_sim.checks import CheckResult

FORMAT = 1
"""The number of the form; it changes when a field is removed or means something else, and not when one is added."""


def json_document(command: str, code: int, facts: dict[str, Any]) -> str:
    """The document of a finished command, on several lines; figures that are no number are null.

    Args:
        command: its name, such as "simulate".
        code: its exit code.
        facts: what it found.
    """
    head = {"format": FORMAT, "netra_sim": __version__, "command": command, "exit_code": int(code)}
    return msgspec.json.format(msgspec.json.encode(head | facts), indent=2).decode() + "\n"


def check_facts(results: "Iterable[CheckResult]") -> list[dict[str, Any]]:
    """The results of checks for a JSON document: all fields, and the state."""
    return [{"check": one.check, "state": one.state} | msgspec.to_builtins(one) for one in results]
