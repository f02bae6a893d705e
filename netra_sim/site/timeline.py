"""The timeline page of a failure: the failing run below the nearest passing one, in one file that needs no network."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from netra_sim.charts import style
from netra_sim.checks import CheckResult
from netra_sim.exploration import Failure, Trial
from netra_sim.exploration.comparison import LoggedRun, PairOfRuns
from netra_sim.history import Kind
from netra_sim.simulation.escapes import Escape
from netra_sim.simulation.schedule import CALLBACK
from netra_sim.site.timeline_layout import Layout, held
from netra_sim.tables import Html, render

ROW, TOP, BOTTOM = 40, 26, 30
"""Pixels: the height of a lane, and the room above and below the lanes."""

_LETTER = 7.0
"""Pixels of a letter, at most on average."""

_MESSAGES = {Kind.PUBLISHED: "published", Kind.RECEIVED: "received"}
_COLOURS = {name.lower(): getattr(style, name) for name in ("BLUE", "ORANGE", "GREEN", "VERMILION", "PURPLE", "SKY")}


class Dot(NamedTuple):
    """One step as it is drawn."""

    x: float
    y: float
    kind: str
    title: str


class TimelineLabel(NamedTuple):
    """A text at a place; ``anchor`` is that of SVG."""

    x: float
    y: float
    text: str
    anchor: str = "start"


class HoldBar(NamedTuple):
    """A hold as it is drawn, with the line at which the task is held."""

    x: float
    y: float
    width: float
    label: TimelineLabel


class DatedFinding(NamedTuple):
    """What a check finds wrong, and the virtual time of it."""

    message: str
    time: float


class Mark(NamedTuple):
    """What the history records at one place of one of its lanes."""

    x: float
    y: float
    kind: str
    label: str
    title: str


class Drawing(NamedTuple):
    """One run as the page draws it; lengths are in pixels, ``lanes`` have a name and a top each."""

    name: str
    heading: str
    summary: str
    is_failing: bool
    lanes: Sequence[tuple[str, float]]
    width: float
    height: float
    path: str
    dots: Sequence[Dot]
    bars: Sequence[HoldBar]
    ticks: Sequence[TimelineLabel]
    gaps: Sequence[TimelineLabel]
    marks: Sequence[Mark]
    links: Sequence[tuple[float, float, float, float]]
    divergence: TimelineLabel | None
    end: TimelineLabel
    rows: Sequence[tuple[str, str, str, str]]
    left_out: int


def timeline_page(found: Failure | Trial, origin: str, replay: str = "") -> Html:
    """The page of a failing program or scenario.

    Args:
        found: what `explore` found of a program; of a scenario, what `shrink` made of it.
        origin: what was explored, for the title.
        replay: the command that repeats it; a `Failure` has its own.

    Raises:
        ValueError: there is no log of the trial's steps, as it was not shrunk or its order is "fifo".
    """
    if isinstance(found, Failure):
        comparison, errors, traceback = found.comparison, [found.error], found.traceback
        escapes: Sequence[Escape] = found.escapes
        findings: Sequence[DatedFinding] = ()
    else:
        if found.comparison is None:
            raise ValueError(
                "there is no timeline of a trial that was not shrunk, or whose scenario has the order fifo; "
                "explore it with the order random, and hand the trial to shrink"
            )
        comparison, traceback, escapes = found.comparison, "", ()
        errors = list(_errors(found))
        findings = [
            DatedFinding(finding.message, finding.time)
            for result in _failed(found)
            for finding in result.findings
            if finding.time is not None
        ]
    layout = Layout.of(comparison, [finding.time for finding in findings])
    return render(
        "site/templates/timeline.html",
        title=f"{origin}: a failing run",
        heading=f"{origin} fails",
        links=(),
        file="",
        sentence=found.sentence,
        beside=str(comparison),
        errors=errors,
        traceback=traceback.rstrip(),
        escapes=escapes,
        replay=replay or (found.replay if isinstance(found, Failure) else ""),
        runs=list(_drawings(comparison, layout, findings)),
        row=ROW,
        top=TOP,
        colours=_COLOURS,
    )


def _failed(trial: Trial) -> list[CheckResult]:
    return [result for result in trial.results if result.check in trial.failed_checks]


def _errors(trial: Trial) -> Iterator[str]:
    for result in _failed(trial):
        yield f"{result.check} fails; it looked at {result.looked_at:,} {result.unit}"
        yield from (f"  {finding.message}" for finding in result.findings[:5])


def _drawings(comparison: PairOfRuns, layout: Layout, findings: Sequence[DatedFinding]) -> Iterator[Drawing]:
    if comparison.passing is not None:
        yield _drawing("passing", "The nearest run that passes", comparison.passing, comparison, layout, ())
    yield _drawing("failing", "The run that fails", comparison.failing, comparison, layout, findings)


def _drawing(
    name: str, heading: str, run: LoggedRun, comparison: PairOfRuns, layout: Layout, findings: Sequence[DatedFinding]
) -> Drawing:
    shown = [index for index in layout.places if index < run.length]
    extra = _history_lanes(run, findings)
    tops = {lane: float(TOP + ROW * number) for number, lane in enumerate([*layout.lanes, *extra])}
    height = TOP + ROW * len(tops) + BOTTOM
    dots = [_dot(run, comparison, layout, index) for index in shown]
    bars = [_bar(run, layout, *span[:2]) for span in held(run) if {span[0], span[1]} <= layout.places.keys()]
    marks = {lane: _marks(run, layout, lane, tops[lane] + ROW / 2, findings) for lane in extra}
    at = comparison.divergence
    last = max(shown, default=0)
    is_failing = run is comparison.failing
    return Drawing(
        name=name,
        heading=heading,
        summary=_summary(run, comparison, layout),
        is_failing=is_failing,
        lanes=list(tops.items()),
        width=layout.width + 90,
        height=height,
        path=_path(dots, shown),
        dots=dots,
        bars=bars,
        ticks=list(_ticks(run, layout, shown, height - 8)),
        gaps=[TimelineLabel(gap.x, 12, f"{gap.steps:,} steps left out", "middle") for gap in layout.gaps],
        marks=[mark for lane in extra for mark in marks[lane]],
        links=list(_links(run, layout, tops)),
        divergence=None if at is None else _divergence(layout.places[at], layout.width),
        end=TimelineLabel(
            layout.places[last] + 16,
            TOP + ROW * len(layout.lanes) / 2 + 5,
            "✕ fails" if is_failing else "✓ passes",
        ),
        rows=[_row(run, index) for index in shown],
        left_out=run.length - len(shown),
    )  # fmt: skip


def _divergence(x: float, width: float) -> TimelineLabel:
    return TimelineLabel(x, 12, "first difference", "start" if x + 17 * _LETTER < width + 90 else "end")


def _history_lanes(run: LoggedRun, findings: Sequence[DatedFinding]) -> list[str]:
    if run.history is None:
        return []
    kinds = set(run.history.numbers["kind"].tolist())
    faults = ["faults"] if Kind.FAULT_BEGAN in kinds else []
    return faults + [name for kind, name in _MESSAGES.items() if kind in kinds] + ["findings"] * bool(findings)


def _dot(run: LoggedRun, comparison: PairOfRuns, layout: Layout, index: int) -> Dot:
    step = run.log.steps[index]
    kind = "callback" if step.task == CALLBACK else "start" if not step.step else "step"
    if index == comparison.divergence:
        kind += " differs"
    y = TOP + ROW * (layout.lane(run, step.task) + 0.5)
    return Dot(layout.places[index], y, kind, f"step {index + 1}: {run.told(index)}")


def _bar(run: LoggedRun, layout: Layout, began: int, ended: int) -> HoldBar:
    step = run.log.steps[ended]
    left, right = layout.places[began] - 7, layout.places[ended] - 9
    y = TOP + ROW * (layout.lane(run, step.task) + 0.5)
    text = f"held at {step.place}" if step.step else "held before it starts"
    is_late = left + _LETTER * len(text) > layout.width + 90 and right > layout.width / 2
    label = TimelineLabel(right, y - 10, text, "end") if is_late else TimelineLabel(left, y - 10, text)
    return HoldBar(left, y - 6, max(4.0, right - left), label)


def _path(dots: Sequence[Dot], shown: Sequence[int]) -> str:
    """The way of control from step to step, as an SVG path."""
    words = []
    for number, dot in enumerate(dots):
        follows = number > 0 and shown[number] == shown[number - 1] + 1
        words.append(f"{'L' if follows else 'M'}{dot.x:g} {dot.y:g}")
    return " ".join(words)


def _ticks(run: LoggedRun, layout: Layout, shown: Sequence[int], y: float) -> Iterator[TimelineLabel]:
    """The virtual time, where it changes and there is room."""
    before, free = "", 0.0
    for index in shown:
        x, text = layout.places[index], f"{run.log.steps[index].time:.3f} s"
        if text != before and x >= free:
            yield TimelineLabel(x, y, text)
            free = x + _LETTER * len(text) + 10
            before = text


def _marks(run: LoggedRun, layout: Layout, lane: str, y: float, findings: Sequence[DatedFinding]) -> list[Mark]:
    """What the history, or a check, has for a lane, counted by place."""
    texts: dict[float, list[str]] = defaultdict(list)
    for text, time in findings if lane == "findings" else (record[1:] for record in _records(run, lane)):
        if (x := layout.place_at(run, time)) is not None:
            texts[x].append(f"t={time:.3f}  {text}")
    return [Mark(x, y, lane, _label(lane, found), "\n".join(found[:20])) for x, found in texts.items()]


def _label(lane: str, found: Sequence[str]) -> str:
    """What stands beside a mark: the fault, or the number of messages."""
    if lane == "faults":
        return found[0].partition("  ")[2] + (f" and {len(found) - 1} more" if len(found) > 1 else "")
    return f"{len(found)}" if len(found) > 1 else ""


def _records(run: LoggedRun, lane: str) -> Iterator[tuple[tuple[object, ...], str, float]]:
    """The rows of a history for a lane: what identifies the event, the row in words, the virtual time."""
    history = run.history
    if history is None:
        return

    def text(column: str, row: int) -> str:
        return str(history.tables[column][history.codes[column][row]])

    kinds, times, numbers = (history.numbers[name].tolist() for name in ("kind", "time", "seq"))
    wanted = {Kind.FAULT_BEGAN, Kind.FAULT_ENDED} if lane == "faults" else {_kind(lane)}
    for row, kind in enumerate(kinds):
        if kind not in wanted:
            continue
        if lane == "faults":
            yield (), f"{text('detail', row)} {'begins' if kind == Kind.FAULT_BEGAN else 'ends'}", times[row]
        else:
            whose = text("run", row)
            yield (whose, numbers[row]), f"{text('event', row)} #{numbers[row]} of {whose} is {lane}", times[row]


def _kind(lane: str) -> Kind:
    return next(kind for kind, name in _MESSAGES.items() if name == lane)


def _links(run: LoggedRun, layout: Layout, tops: dict[str, float]) -> Iterator[tuple[float, float, float, float]]:
    """A line from each published message to its first arrival."""
    if not tops.keys() >= set(_MESSAGES.values()):
        return
    arrived: dict[tuple[object, ...], float] = {}
    for message, _, time in _records(run, "received"):
        arrived.setdefault(message, time)
    for message, _, time in _records(run, "published"):
        if message in arrived:
            left, right = layout.place_at(run, time), layout.place_at(run, arrived[message])
            if left is not None and right is not None:
                yield left, tops["published"] + ROW / 2 + 7, right, tops["received"] + ROW / 2 - 7


def _row(run: LoggedRun, index: int) -> tuple[str, str, str, str]:
    step = run.log.steps[index]
    return f"{index + 1:,}", f"{step.time:.6f}", run.log.name(step.task), step.place if step.step else "starts"


def _summary(run: LoggedRun, comparison: PairOfRuns, layout: Layout) -> str:
    """The picture in words."""
    parts = [f"{run.length:,} steps in {run.order}, in {len(layout.lanes)} lanes."]
    parts += [
        f"{run.log.name(hold.task)} is held for {ended - began} steps at {run.log.steps[ended].place or 'its start'}."
        for began, ended, hold in held(run)
    ]
    if (at := comparison.divergence) is not None:
        parts.append(f"First difference, at step {at + 1:,}: {run.told(at)}.")
    parts.append(f"The run fails: {run.error}." if run.error else "The run passes.")
    return " ".join(parts)
