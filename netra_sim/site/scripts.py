"""The scripts of pages, each within its page: opened from disk, a page could not hold a file beside it to its hash."""

import base64
import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Self

import msgspec

from netra_sim.tables import Html

_HERE = Path(__file__).parent


class Script(msgspec.Struct, frozen=True):
    """A script of a page.

    Attributes:
        source: its text.
        allowed: its hash, as the page's policy names it: the page runs this script, and no other.
        style: the style of what it makes.
    """

    source: Html
    allowed: Html
    style: Html = Html()

    @classmethod
    def read(cls, scripts: Iterable[str], styles: Iterable[str] = ()) -> Self:
        """One script of several files in this folder."""
        source, style = (
            "\n".join((_HERE / name).read_text("utf-8") for name in files).replace("\r\n", "\n")
            for files in (scripts, styles)
        )
        digest = base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()
        return cls(Html(source), Html(f"'sha256-{digest}'"), Html(style))


FILTER = Script.read(["templates/filter.js"])
"""Filters the rows of a page's tables."""

LIVE = Script.read(["live/uPlot.iife.min.js", "live/live.js"], ["live/uPlot.min.css", "live/live.css"])
"""Draws pictures again, to point at and to zoom; see `netra_sim.charts.live`."""


def live_if_used(pieces: Iterable[str]) -> list[Script]:
    """`LIVE`, for a page with pieces of HTML in which it has something to draw; nothing for another page."""
    return [LIVE] if any(" data-live=" in piece for piece in pieces) else []
