"""`Live`: the lines and cells of a picture as numbers, for a page's script that draws them to point at and to zoom."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
import numpy as np
from matplotlib.collections import QuadMesh
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from netra_sim.charts.faults import FaultWindow, merged, names
from netra_sim.charts.style import PALE, plain

Unit = Literal["duration", "seconds", "share", "percentile", "number"]
"""How a value is said: 0.05 as "50 ms", as "0.05 s", as "5%", and 20 as "95%", the share that is not in the slowest 20th."""

DIGITS = 5
"""Significant digits of the numbers: more than a picture can show."""


@dataclass(frozen=True)
class Live:
    """How the values are said to a reader who points at the picture.

    Attributes:
        x: the unit of the horizontal axes.
        y: the units of the vertical axes, from the top down. With a single one, all axes of the figure show one thing, and
            a single picture is made of them.
        faults: when faults were on.
    """

    x: Unit
    y: tuple[Unit, ...]
    faults: Sequence[FaultWindow] = ()


class _Series(msgspec.Struct, frozen=True):
    name: str
    colour: str
    line: str
    steps: bool
    x: list[float]
    y: list[float]


class _Rule(msgspec.Struct, frozen=True):
    """A straight line, such as an objective; ``along`` is the axis that it is parallel to."""

    name: str
    colour: str
    along: Literal["x", "y"]
    at: float


class _Cells(msgspec.Struct, frozen=True):
    """The filled cells of a heat map, as column, row and count, and the edges of columns and rows."""

    what: str
    colours: list[str]
    x: list[float]
    y: list[float]
    filled: list[tuple[int, int, int]]


class _Axis(msgspec.Struct, frozen=True):
    label: str
    unit: Unit
    log: bool
    limits: list[float]


class _Panel(msgspec.Struct):
    x: _Axis
    y: _Axis
    series: list[_Series]
    rules: list[_Rule]
    cells: _Cells | None = None


def as_json(figure: Figure, live: Live) -> str:
    """What the figure draws, for the script of a page."""
    panels: list[_Panel] = []
    for axes in figure.axes:
        series, rules, cells = list(_series(axes)), list(_rules(axes)), _cells(axes)
        if not series and cells is None:
            continue
        if panels and len(live.y) == 1:
            panels[0].series += series
        else:
            y = _axis(axes, "y", live.y[len(panels)], figure.get_supylabel())
            panels.append(_Panel(_axis(axes, "x", live.x, figure.get_supxlabel()), y, series, rules, cells))
    for upper in panels[:-1]:  # panels share the axis below the last one
        upper.x = msgspec.structs.replace(upper.x, label="")
    faults = [
        [plain(name), _rounded(np.ravel(merged([one for one in live.faults if one.fault == name])))]
        for name in names(live.faults)
    ]
    return msgspec.json.encode({"panels": panels, "faults": faults}).decode()


def _series(axes: Any) -> Iterator[_Series]:
    """The named lines; a grey line only stands behind another panel's own."""
    for line in axes.lines:
        if not line.get_label().startswith("_") and line.get_color() != PALE:
            yield _Series(
                line.get_label(), to_hex(line.get_color()), line.get_linestyle(), line.get_drawstyle() == "steps-post",
                _rounded(line.get_xdata()), _rounded(line.get_ydata()),
            )  # fmt: skip


def _rules(axes: Any) -> Iterator[_Rule]:
    for line in axes.lines:
        if line.get_gid() and line.get_transform() == axes.get_yaxis_transform(which="grid"):
            yield _Rule(line.get_gid(), to_hex(line.get_color()), "x", float(line.get_ydata()[0]))
        elif line.get_gid() and line.get_transform() == axes.get_xaxis_transform(which="grid"):
            yield _Rule(line.get_gid(), to_hex(line.get_color()), "y", float(line.get_xdata()[0]))


def _cells(axes: Any) -> _Cells | None:
    mesh = next((one for one in axes.collections if isinstance(one, QuadMesh)), None)
    if mesh is None or mesh.colorbar is None:  # the bar itself is one
        return None
    corners: np.ndarray = np.asarray(mesh.get_coordinates())
    counts = np.ma.filled(np.ma.asarray(mesh.get_array()), 0).astype(int)
    filled = [(int(column), int(row), int(counts[row, column])) for row, column in np.argwhere(counts)]
    colours = [to_hex(mesh.cmap(share)) for share in np.linspace(0, 1, 12)]
    return _Cells(
        mesh.colorbar.ax.get_ylabel(), colours, _rounded(corners[0, :, 0]), _rounded(corners[:, 0, 1]), filled
    )


def _axis(axes: Any, which: Literal["x", "y"], unit: Unit, label: str) -> _Axis:
    axis = getattr(axes, f"{which}axis")
    said = " ".join((axis.get_label_text() or label).split())
    return _Axis(said, unit, axis.get_scale() == "log", _rounded(sorted(axis.get_view_interval())))


def _rounded(values: Any) -> list[float]:
    return [float(f"{value:.{DIGITS}g}") for value in np.asarray(values, float).tolist()]
