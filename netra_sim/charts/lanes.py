"""Places bars in lanes, and labels where they do not collide."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from matplotlib.transforms import Bbox, offset_copy

from netra_sim.charts.style import HALO


class Bar(NamedTuple):
    """A span of time, in seconds; ``lost`` if it ended with a failure."""

    began: float
    ended: float
    lost: bool = False


class Label(NamedTuple):
    """A text for a place; the picture omits it if there is no room.

    Attributes:
        x: the place, in data coordinates.
        y: the place, in data coordinates.
        texts: the texts to try, in this order.
        within: the span that the text must fit into, in data coordinates.
        offset: the distance below the place, in points.
    """

    x: float
    y: float
    texts: tuple[str, ...]
    within: tuple[float, float] | None = None
    offset: float = 0.0


def lane_rows(bars: Sequence[Bar], most: int) -> tuple[list[list[Bar]], int]:
    """Put bars into lanes without overlaps, at most ``most``; returns the lanes and how many bars were left out."""
    lanes: list[list[Bar]] = []
    left_out = 0
    for bar in sorted(bars):
        free = [lane for lane in lanes if lane[-1].ended <= bar.began]
        if free:
            free[0].append(bar)
        elif len(lanes) < most:
            lanes.append([bar])
        else:
            left_out += 1
    return lanes, left_out


def seen_apart(bars: Sequence[Bar], limits: tuple[float, float]) -> list[Bar]:
    """The bars that a picture can distinguish: of bars that begin and end in the same pixels, only one."""
    pixel = (limits[1] - limits[0]) / 1500
    kept = {(int(bar.began / pixel), int(bar.ended / pixel)): bar for bar in bars}
    return sorted(kept.values())


def place_labels(axes: Any, labels: Sequence[Label]) -> None:
    """Write the labels that fit, in order; call `settle` on the figure first."""
    taken: list[Bbox] = []
    frame = axes.get_window_extent()
    for label in labels:
        for text in label.texts:
            box = _write(axes, label, text, frame, taken)
            if box is not None:
                taken.append(box)
                break


def _write(axes: Any, label: Label, text: str, frame: Bbox, taken: list[Bbox]) -> Bbox | None:
    """Write a text and return its box; None if it would collide."""
    shift = offset_copy(axes.transData, axes.figure, y=-label.offset, units="points")
    for side in ("center",) if label.within else ("center", "left", "right"):
        written = axes.text(
            label.x, label.y, text, ha=side, va="center", fontsize=11.5, transform=shift, path_effects=HALO, zorder=4
        )
        written.set_in_layout(False)
        box: Bbox = written.get_window_extent()
        fits = frame.x0 <= box.x0 and box.x1 <= frame.x1
        if label.within:
            ends = axes.transData.transform([(end, label.y) for end in label.within])[:, 0]
            fits = fits and bool(box.width + 8 <= ends[1] - ends[0])
        if fits and not any(box.padded(3).overlaps(other) for other in taken):
            return box
        written.remove()
    return None
