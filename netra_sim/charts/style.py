"""One style for all pictures: colours with line styles and markers, words for numbers, axes with units."""

import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import cycle, islice, pairwise
from typing import Any, NamedTuple

import matplotlib.font_manager
import matplotlib.style
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

# Okabe and Ito, "Color Universal Design", 2008. Vermilion is kept for objectives and for what is wrong.
BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9"
RUST = "#A84A00"
"""Vermilion dark enough for text on white."""

INK, GREY, PALE, PALE_BLUE = "#222222", "#6B6B6B", "#DDDDDD", "#9CC7E4"

COUNTS = LinearSegmentedColormap.from_list("counts", ["#A9CCE8", BLUE, "#08244A"])
"""Colours for counts on white: 1 is visible, and more is darker."""

FLOOR = 1e-4
"""Seconds; logarithmic axes have no zero, so shorter times are drawn here."""

HALO = [withStroke(linewidth=3, foreground="white")]
"""An outline for text on top of a drawing."""

_FONT = "DejaVu Sans"
_STYLE: dict[str, Any] = {
    "font.family": _FONT,
    "font.size": 13,
    "figure.titlesize": 15,
    "figure.titleweight": "bold",
    "figure.facecolor": "white",
    "figure.dpi": 120,
    "figure.constrained_layout.use": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.formatter.useoffset": False,
    "grid.color": PALE,
    "hatch.linewidth": 0.8,
    "hatch.color": GREY,
    "legend.frameon": False,
    "legend.fontsize": 12,
    "legend.handlelength": 3.0,
    "lines.linewidth": 2.4,
    "lines.markersize": 7,
    "savefig.dpi": "figure",
    # Names come from logs: a dollar sign in a name does not begin a formula.
    "text.parse_math": False,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}


class Look(NamedTuple):
    """How a series is drawn: line and marker distinguish it as well as colour."""

    colour: str
    line: Any
    marker: str


LOOKS = tuple(
    islice(
        zip(
            cycle((BLUE, ORANGE, GREEN, PURPLE, INK, SKY)),
            cycle(("-", "--", "-.", (0, (1, 1)), (0, (6, 1, 1, 1, 1, 1)))),
            cycle("osD^vPX"),
            strict=False,
        ),
        12,
    )
)
"""One look for each series; a picture has at most this many series."""


@contextmanager
def styled() -> Iterator[None]:
    """Apply the style, independent of the notebook's settings."""
    with matplotlib.style.context(["default", _STYLE]):
        yield


def looks(names: Iterable[str]) -> dict[str, Look]:
    """A look for each name, in order; names beyond the looks get none."""
    return {name: Look(*look) for name, look in zip(names, LOOKS, strict=False)}


def canvas(height: float, width: float = 9.0) -> Figure:
    """An empty figure with a size in inches, and with a canvas that can measure text."""
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    return figure


def headline(figure: Figure, text: str) -> None:
    """Set the title, wrapped to the width of the figure."""
    title = figure.suptitle("", x=0.012, ha="left")
    room = figure.bbox.width * 0.976
    for width in range(90, 10, -4):
        title.set_text("\n".join(textwrap.wrap(plain(text, 220), width, break_on_hyphens=False)))
        if title.get_window_extent().width <= room:
            return


def settle(figure: Figure) -> None:
    """Fix the layout of the figure, so that measured positions stay valid."""
    if figure.get_layout_engine() is not None:
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
        for axes in figure.axes:
            _thin(axes.xaxis)


def _thin(axis: Any) -> None:
    """Remove every second tick until no labels collide."""
    low, high = sorted(axis.get_view_interval())
    ticks = [tick for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high and tick.label1.get_visible()]
    shown = [(tick.get_loc(), tick.label1.get_text(), tick.label1.get_window_extent()) for tick in ticks]
    while any(one.padded(2).overlaps(other) for (_, _, one), (_, _, other) in pairwise(shown)):
        shown = shown[::2]
    if len(shown) < len(ticks):
        axis.set_ticks([place for place, _, _ in shown], [text for _, text, _ in shown])
        axis.figure.draw_without_rendering()


def shorten(text: Any, room: float) -> None:
    """Shorten a text until it fits a width in pixels."""
    while text.get_window_extent().width > room and len(text.get_text()) > 1:
        text.set_text(text.get_text().rstrip("…")[:-1] + "…")


def legend(figure: Figure, handles: Sequence[Any], labels: Sequence[str]) -> None:
    """Add a legend below the axes."""
    for columns in range(min(len(labels), 6), 0, -1):
        drawn = figure.legend(handles, labels, loc="outside lower left", ncols=columns)
        if drawn.get_window_extent().width <= figure.bbox.width:
            return
        drawn.remove()
    figure.legend(handles, labels, loc="outside lower left", fontsize=9)


def mark_objective(axes: Any, seconds: float, name: str) -> None:
    """Draw a horizontal line at an objective, with its name in the margin."""
    axes.axhline(seconds, color=VERMILION, linewidth=1.8, linestyle=(0, (8, 2)), zorder=2.5, gid=" ".join(name.split()))
    axes.annotate(
        f"{name}\n{duration(seconds)}", (1.0, seconds), xycoords=axes.get_yaxis_transform(), xytext=(5, 0),
        textcoords="offset points", color=RUST, fontsize=12, va="center",
    )  # fmt: skip


def log_durations(axis: Any, values: Iterable[float], label: str, *, ticks: int = 9) -> tuple[float, float]:
    """Make an axis logarithmic, with limits around the values in seconds and a few ticks with units; returns the limits."""
    shown = np.maximum(np.asarray(list(values), float), FLOOR)
    low, high = float(shown.min()) / 1.25, float(shown.max()) * 1.25
    if high / low < 8:
        middle = np.sqrt(low * high)
        low, high = middle / 8**0.5, middle * 8**0.5
    places = log_ticks(low, high, ticks)
    # The limits first: without them, one point alone makes matplotlib warn of an empty axis.
    axis.axes.set(**{f"{axis.axis_name}lim": (low, high), f"{axis.axis_name}scale": "log"})
    axis.set_ticks(places, [duration(place) for place in places])
    axis.set_ticks([], minor=True)
    axis.set_label_text(label)
    return low, high


def log_ticks(low: float, high: float, most: int = 9) -> list[float]:
    """A few round numbers between two limits."""
    decades = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    for mantissas in ((1,), (1, 3), (1, 2, 5)):
        ticks = [mantissa * 10.0**decade for decade in decades for mantissa in mantissas]
        ticks = [tick for tick in ticks if low <= tick <= high]
        if len(ticks) >= min(3, most):
            break
    return ticks[:: -(-len(ticks) // most)]


def duration(seconds: float) -> str:
    """A time given in seconds, in a suitable unit, with three significant digits."""
    if not np.isfinite(seconds):
        return "never"
    if seconds == 0:
        return "0 ms"
    for unit, factor in (("µs", 1e-6), ("ms", 1e-3)):
        if abs(seconds) < 999.5 * factor:
            return f"{seconds / factor:.3g} {unit}"
    return f"{seconds:.3g} s" if abs(seconds) < 999.5 else f"{seconds:,.0f} s"


def percent(share: float) -> str:
    """A share in percent; a partial share never rounds to 0% or 100%."""
    if 0 < share < 0.001:
        return "under 0.1%"
    if 0.999 < share < 1:
        return "over 99.9%"
    return f"{share * 100:.{3 if share >= 0.01 else 2}g}%"


def listed(names: Sequence[str], most: int = 3) -> str:
    """Names as an enumeration, at most so many."""
    shown = [plain(name, 32) for name in names[:most]]
    if len(names) > most:
        shown.append(f"{len(names) - most:,} more")
    return shown[0] if len(shown) == 1 else ", ".join(shown[:-1]) + " and " + shown[-1]


def plain(text: str, most: int = 28) -> str:
    """Make foreign text fit for a picture: one line, known glyphs, limited length."""
    known = _glyphs()
    one_line = re.sub(r"\s+", " ", text).strip()
    shown = "".join(letter if ord(letter) in known else "\N{REPLACEMENT CHARACTER}" for letter in one_line)
    return shown if len(shown) <= most else shown[: most - 1] + "…"


@cache
def _glyphs() -> frozenset[int]:
    path = matplotlib.font_manager.findfont(_FONT)
    return frozenset(matplotlib.font_manager.get_font(path).get_charmap())
