"""Reads server-sent events from a stream of bytes, without a socket (WHATWG HTML, 9.2.6 "Interpreting an event stream")."""

import re
from typing import NamedTuple

_LINE_END = re.compile(rb"\r\n|\n|\r")
_BOM = b"\xef\xbb\xbf"

LONGEST_EVENT = 16 * 1024 * 1024
"""The most bytes of one event; a longer one is no event stream."""


class ServerSentEvent(NamedTuple):
    """One event.

    Attributes:
        name: of the ``event:`` line, or "message".
        data: the ``data:`` lines, joined by line feeds.
        raw: all bytes since the event before it.
    """

    name: str
    data: str
    raw: bytes


class EventStream:
    """Turns bytes into events; however the bytes are cut into pieces, the events have the same names and data."""

    def __init__(self) -> None:
        self._raw = bytearray()
        self._at = 0
        self._name = ""
        self._data: list[str] = []
        self._is_begin = True
        self._skips_line_feed = False

    @property
    def rest(self) -> bytes:
        """The bytes that arrived after the last event."""
        return bytes(self._raw)

    def feed(self, piece: bytes) -> list[ServerSentEvent]:
        """The events that are complete with this piece.

        Raises:
            ValueError: an event has more than `LONGEST_EVENT` bytes.
        """
        self._raw += piece
        events = []
        while (line := self._line()) is not None:
            if line:
                self._read(line)
            elif (event := self._dispatch()) is not None:
                events.append(event)
        if len(self._raw) > LONGEST_EVENT:
            raise ValueError(f"an event of the stream has more than {LONGEST_EVENT:,} bytes")
        return events

    def _line(self) -> bytes | None:
        if self._skips_line_feed and self._at < len(self._raw):
            self._skips_line_feed = False
            if self._raw[self._at] == 10:
                self._at += 1
        end = _LINE_END.search(self._raw, self._at)
        if end is None:
            return None
        line = bytes(self._raw[self._at : end.start()])
        if self._is_begin:
            line, self._is_begin = line.removeprefix(_BOM), False
        self._at = end.end()
        # A line feed that follows in the next piece belongs to this line end.
        self._skips_line_feed = end[0] == b"\r" and self._at == len(self._raw)
        return line

    def _read(self, line: bytes) -> None:
        field, _, value = line.partition(b":")
        text = value.removeprefix(b" ").decode(errors="replace")
        if field == b"data":
            self._data.append(text)
        elif field == b"event":
            self._name = text

    def _dispatch(self) -> ServerSentEvent | None:
        name, self._name = self._name or "message", ""
        if not self._data:
            return None
        raw = bytes(self._raw[: self._at])
        del self._raw[: self._at]
        self._at = 0
        event = ServerSentEvent(name, "\n".join(self._data), raw)
        self._data.clear()
        return event
