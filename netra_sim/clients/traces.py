"""What a client looks for in the data that arrives, wherever it is cut: marks, planted secrets and numbered tokens."""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from netra_sim.recording import each_mark, unfinished_mark

_TOKEN = re.compile(r"#(\d+);")
_UNFINISHED_TOKEN = re.compile(r"#\d{0,18}\Z")


class Secrets:
    """Texts that no client must receive, by name, as they stand in text and as they stand in JSON."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        spellings = {
            (name, spelling)
            for name, text in secrets.items()
            for spelling in (text.encode(), msgspec.json.encode(text)[1:-1])
            if spelling
        }
        self.spellings: Sequence[tuple[str, bytes]] = sorted(spellings)
        self.longest = max((len(spelling) for _, spelling in self.spellings), default=0)


class Traces:
    """Finds the marks and secrets in a stream of bytes that arrives in pieces.

    A mark or secret that is cut is found in the piece that brings its last byte.
    """

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets
        self._mark_begun = b""
        self._last_bytes = b""

    def marks(self, piece: bytes) -> list[tuple[str, str]]:
        """The user and run of each mark that ends in this piece."""
        begun = self._mark_begun
        window = begun + piece if begun else piece
        self._mark_begun = unfinished_mark(window)
        return list(each_mark(window, len(begun)))

    def secrets(self, piece: bytes) -> list[str]:
        """The names of the secrets whose last byte this piece brings."""
        if not self._secrets.longest:
            return []
        before = self._last_bytes
        window = before + piece
        self._last_bytes = window[-self._secrets.longest :]
        found = (
            name
            for name, spelling in self._secrets.spellings
            if spelling in piece or (spelling in window and spelling not in before)
        )
        return list(dict.fromkeys(found))


class Jump(NamedTuple):
    """The numbers ``first`` to ``last`` are missing."""

    first: int
    last: int


class Tokens:
    """The numbered tokens in one text that arrives in pieces: ``#0;``, ``#1;``, ...

    Attributes:
        count: how many different tokens have arrived.
    """

    def __init__(self) -> None:
        self.count = 0
        self._next = 0
        self._begun = ""

    def feed(self, piece: str) -> list[int | Jump]:
        """What is wrong with the tokens that end in this piece: a number that has come before, or the missing ones."""
        window = self._begun + piece
        begun = _UNFINISHED_TOKEN.search(window)
        self._begun = begun[0] if begun else ""
        wrong: list[int | Jump] = []
        for found in _TOKEN.finditer(window):
            number = int(found[1])
            if number > self._next:
                wrong.append(Jump(self._next, number - 1))
            elif number < self._next:
                wrong.append(number)
                continue
            self.count += 1
            self._next = number + 1
        return wrong
