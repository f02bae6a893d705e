"""Draws docs/architecture.svg from the import contracts in pyproject.toml.

    python docs/architecture_picture.py

The rows of the picture are the layers of the contract ``layers``, in its order. The floor and the caption of each room are
below; a room of the contract that is missing there is an error, and so is one that is there and in no layer.
"""

import tomllib
from html import escape
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs" / "architecture.svg"
TITLE = "The rooms of netra_sim: imports go down only"
SUBTITLE = "Rooms side by side never import each other. The colour of a box is the floor of its room."


class Floor(NamedTuple):
    """A floor of the house: its name, what installs it, and its two colours."""

    name: str
    install: tuple[str, ...]
    fill: str
    line: str


class Room(NamedTuple):
    """A package or module that a contract names."""

    floor: str
    caption: str


FLOORS = {
    "command": Floor("Command", ("netra-sim",), "#f0f0f0", "#555555"),
    "report": Floor("Report", ("[report]", "[notebooks]"), "#fdeecb", "#8a5a00"),
    "lab": Floor("Lab", ("[lab]",), "#d3efe4", "#00785a"),
    "product": Floor("Product", ("base install", "[server]"), "#d9eaf7", "#005a94"),
}
"""From the top down. The colours are of Okabe and Ito's palette, lightened; a label names each floor beside its colour."""

ROOMS = {
    "cli": Room("command", "the commands that netra-sim --help lists"),
    "site": Room("report", "pages, summaries, JUnit, SARIF, PDF"),
    "notebooks": Room("report", "runs the notebooks, judges their outcome"),
    "studies": Room("report", "one table or picture for each notebook cell"),
    "charts": Room("report", "pictures"),
    "verdict": Room("report", "claims, evidence, GO or NO-GO"),
    "tables": Room("report", "HTML tables"),
    "parameters": Room("report", "what notebooks take"),
    "defects": Room("lab", "seeded defects, detection matrix, conformance"),
    "exploration": Room("lab", "search over seeds, shrink, sweep"),
    "audit": Room("lab", "reads Python source without running it"),
    "formats": Room("lab", "results as text, JSON, JUnit, annotations"),
    "checks": Room("lab", "a History in, findings out"),
    "driving": Room("lab", "a scenario's users load a real system"),
    "simulation": Room("lab", "users and faults in virtual time"),
    "loading": Room("lab", "real clients, real sockets"),
    "clients": Room("lab", "how users talk to any system"),
    "services": Room("lab", "a model, Redis and HTTP, as stand-ins"),
    "recording": Room("lab", "from a live system to a History"),
    "history": Room("lab", "what happened"),
    "server": Room("product", "WebSocket server, ASGI app, clients"),
    "factory": Room("product", "one engine for each user's run"),
    "bridge": Room("product", "ordered delivery to the owner only"),
    "protocol": Room("product", "wire messages"),
    "runtime": Room("product", "safe asyncio"),
}

WIDTH, MARGIN, SIDE, GAP = 1000, 24, 170, 8
TOP, ROW, TALL = 92, 46, 74
FONT = "font-family=\"'DejaVu Sans', Verdana, Arial, sans-serif\""
MONO = "font-family=\"'DejaVu Sans Mono', Menlo, Consolas, monospace\""


def contracts(pyproject: str) -> tuple[list[list[str]], list[str]]:
    """The layers from the top down, each with its rooms, and the names of all other contracts.

    Raises:
        ValueError: a layer uses what the picture has no sign for, or its rooms are not those of `ROOMS`.
    """
    found = tomllib.loads(pyproject)["tool"]["importlinter"]["contracts"]
    (layered,) = (one for one in found if one["id"] == "layers")
    if colon := next((layer for layer in layered["layers"] if ":" in layer), None):
        raise ValueError(f"the picture has no sign for siblings that may import each other: {colon}")
    layers = [[name.strip(" ()") for name in layer.split("|")] for layer in layered["layers"]]
    drawn = {name for layer in layers for name in layer}
    if drawn != ROOMS.keys():
        raise ValueError(f"ROOMS and the contract differ in: {', '.join(sorted(drawn ^ ROOMS.keys()))}")
    return layers, [one["name"] for one in found if one is not layered]


def picture(pyproject: str) -> str:
    """The SVG, from the text of a pyproject.toml."""
    layers, others = contracts(pyproject)
    parts: list[str] = []
    y, floor, begun = TOP, "", TOP
    spans: list[tuple[str, int, int]] = []
    for layer in layers:
        own = _floor_of(layer)
        if own != floor:
            if floor:
                spans.append((floor, begun, y))
                y += GAP
            floor, begun = own, y
            y += GAP
        height = ROW if len(layer) == 1 else TALL
        parts += _row(layer, y, height)
        y += height + GAP
    spans.append((floor, begun, y))
    bands = [part for span in spans for part in _band(*span)]
    arrow = _arrow(TOP, y)
    notes, bottom = _notes(others, y + 34)
    described = "; ".join(f"{FLOORS[_floor_of(layer)].name}: {', '.join(layer)}" for layer in layers)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {bottom}" role="img" '
            'aria-labelledby="title description">',
            f'<title id="title">{escape(TITLE)}</title>',
            f'<desc id="description">Layers from the top down. {escape(described)}.</desc>',
            f'<rect width="{WIDTH}" height="{bottom}" fill="#ffffff"/>',
            _text(MARGIN, 46, TITLE, size=30, weight="bold"),
            _text(MARGIN, 76, SUBTITLE, size=20, fill="#444444"),
            *bands,
            *parts,
            *arrow,
            *notes,
            "</svg>",
            "",
        ]
    )


def _floor_of(layer: list[str]) -> str:
    """The floor on which most of a layer's rooms are; the lower one where it is even."""
    floors = [ROOMS[name].floor for name in layer]
    return max(FLOORS, key=lambda floor: (floors.count(floor), list(FLOORS).index(floor)))


def _band(floor: str, top: int, bottom: int) -> list[str]:
    """The ground of a floor, with its label."""
    own = FLOORS[floor]
    height = 26 + 24 * len(own.install)
    first = (top + bottom - height) // 2 + 20
    label = [_text(MARGIN + 14, first, own.name, size=23, weight="bold", fill=own.line)]
    label += [
        _text(MARGIN + 14, first + 24 * number, line, size=18, fill="#333333", font=MONO)
        for number, line in enumerate(own.install, 1)
    ]
    width = WIDTH - 2 * MARGIN - 54
    return [
        f'<rect x="{MARGIN}" y="{top}" width="{width}" height="{bottom - top}" rx="8" fill="{own.fill}"/>',
        *label,
    ]


def _row(layer: list[str], y: int, height: int) -> list[str]:
    """The boxes of one layer, in the colours of each room's own floor."""
    left, right = MARGIN + SIDE, WIDTH - MARGIN - 54 - GAP
    width = (right - left - GAP * (len(layer) - 1)) // len(layer)
    parts = []
    for number, name in enumerate(layer):
        own, x = FLOORS[ROOMS[name].floor], left + number * (width + GAP)
        parts.append(
            f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="5" fill="#ffffff" stroke="{own.line}" '
            'stroke-width="2"/>'
        )
        caption = ROOMS[name].caption
        if len(layer) == 1:
            parts.append(_text(x + 14, y + 31, name, size=22, weight="bold", fill=own.line, font=MONO))
            parts.append(_text(x + 178, y + 30, caption, size=18))
        else:
            parts.append(_text(x + 14, y + 30, name, size=22, weight="bold", fill=own.line, font=MONO))
            parts.append(_text(x + 14, y + 58, caption, size=18))
    return parts


def _arrow(top: int, bottom: int) -> list[str]:
    """The way of the imports, beside the rooms."""
    x = WIDTH - MARGIN - 24
    middle = (top + bottom) // 2
    return [
        f'<path d="M{x} {top + 4} V{bottom - 18}" stroke="#222222" stroke-width="4" fill="none"/>',
        f'<path d="M{x - 11} {bottom - 22} H{x + 11} L{x} {bottom - 2} Z" fill="#222222"/>',
        f'<rect x="{x - 16}" y="{middle - 62}" width="32" height="124" fill="#ffffff"/>',
        f'<text x="{x}" y="{middle}" transform="rotate(90 {x} {middle})" text-anchor="middle" dominant-baseline="central" '
        f'{FONT} font-size="22" fill="#222222">imports</text>',
    ]


def _notes(others: list[str], y: int) -> tuple[list[str], int]:
    """What other contracts hold, a line for each, and where the picture ends."""
    if not others:
        return [], y
    parts = [_text(MARGIN, y, "Also enforced:", size=20, weight="bold")]
    for name in others:
        y += 28
        parts.append(_text(MARGIN, y, f"{name}.", size=19))
    return parts, y + 22


def _text(
    x: int, y: int, text: str, *, size: int, weight: str = "normal", fill: str = "#1a1a1a", font: str = FONT
) -> str:
    return f'<text x="{x}" y="{y}" {font} font-size="{size}" font-weight="{weight}" fill="{fill}">{escape(text)}</text>'


if __name__ == "__main__":
    made = picture((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    PICTURE.write_text(made, encoding="utf-8", newline="\n")
