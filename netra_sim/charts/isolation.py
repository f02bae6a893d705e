"""The isolation matrix: which user received which user's data."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from netra_sim.charts.picture import Picture, nothing_to_show, origin
from netra_sim.charts.style import PALE, PALE_BLUE, VERMILION, canvas, headline, plain, styled
from netra_sim.history import History, Kind

USERS_SHOWN = 24
"""Most users in a matrix with names; with more, the picture shows groups and, separately, the users with leaks."""

OFFENDERS_SHOWN = 10
BLOCKS = 40


class _Deliveries(NamedTuple):
    """Counts of received events by reader and owner of the data, as indices into `users`; `unmarked` ones have no owner."""

    users: list[str]
    readers: np.ndarray
    owners: np.ndarray
    counts: np.ndarray
    unmarked: int

    def matrix(self, chosen: np.ndarray) -> np.ndarray:
        """The counts between the chosen users."""
        place = np.full(len(self.users), -1)
        place[chosen] = np.arange(len(chosen))
        rows, columns = place[self.readers], place[self.owners]
        inside = (rows >= 0) & (columns >= 0)
        cells = np.zeros((len(chosen), len(chosen)), np.int64)
        cells[rows[inside], columns[inside]] = self.counts[inside]
        return cells


@styled()
def isolation_matrix(history: History) -> Picture:
    """Which user received which user's data: a cell for each pair of users or of groups; a second panel names leaks."""
    found = _deliveries(history)
    if not found.users:
        return nothing_to_show("no client received an event with a user's data.")
    astray = found.readers != found.owners
    total, crossed = int(found.counts.sum()), int(found.counts[astray].sum())
    order = np.argsort(-found.counts[astray], kind="stable")
    pairs = np.column_stack([found.readers[astray], found.owners[astray]])[order]
    offenders = np.array(list(dict.fromkeys(pairs.ravel().tolist()))[:OFFENDERS_SHOWN], int)
    title = f"{crossed:,} of {total:,} events with a user's data reached another user"
    caption = f"{origin(history)} Blue is a user's own data, vermilion a leak; the title counts all."
    if found.unmarked:
        caption += f" {found.unmarked:,} more events carry no user's data."
    if len(found.users) <= USERS_SHOWN:
        figure = canvas(height=max(3.6, 1.5 + 0.27 * len(found.users)), width=9.0)
        _draw_pairs(figure.subplots(), found, np.arange(len(found.users)))
    else:
        figure = canvas(height=5.6 if crossed else 6.0, width=11.0 if crossed else 7.5)
        panels = figure.subplots(1, 2 if crossed else 1, squeeze=False)[0]
        _draw_blocks(panels[0], found, astray)
        caption += f" One cell stands for up to {-(-len(found.users) // BLOCKS):,} users in each direction."
        if crossed:
            _draw_pairs(panels[1], found, np.sort(offenders))
            panels[0].set_title(f"All {len(found.users):,} users, in groups", loc="left", fontsize=13)
            hidden = len(np.unique(pairs)) - len(offenders)
            panels[1].set_title("Users with leaks" + (", the worst ones" if hidden else ""), loc="left", fontsize=13)
            caption += f" {hidden:,} more users have leaks." if hidden else ""
    headline(figure, title)
    who = [f"{found.users[reader]} has data of {found.users[owner]}" for reader, owner in pairs[:3]]
    more = f", and {len(pairs) - 3:,} more pairs" if len(pairs) > 3 else ""
    alt = f"Matrix of {len(found.users):,} users: who received data of which user. {title}. " + (
        f"{'; '.join(plain(each, 80) for each in who)}{more}." if crossed else "Only the diagonal is filled."
    )
    return Picture(figure, title, alt, caption, _numbers(found, astray))


def _deliveries(history: History) -> _Deliveries:
    received = history.numbers["kind"] == Kind.RECEIVED
    chosen = received & (np.array(history.tables["subject"], object) != "")[history.codes["subject"]]
    names, recoded = pd.factorize(
        np.array([*history.tables["user"], *history.tables["subject"]], object), use_na_sentinel=False
    )
    readers = names[history.codes["user"][chosen]]
    owners = names[len(history.tables["user"]) + history.codes["subject"][chosen]]
    present = np.union1d(readers, owners)
    users = sorted(str(recoded[code]) for code in present)
    place = {name: index for index, name in enumerate(users)}
    index = np.array([place.get(str(name), -1) for name in recoded], int)
    size = max(len(users), 1)
    pairs, counts = np.unique(index[readers] * size + index[owners], return_counts=True)
    return _Deliveries(users, pairs // size, pairs % size, counts, int(np.count_nonzero(received & ~chosen)))


def _draw_pairs(axes: Any, found: _Deliveries, chosen: np.ndarray) -> None:
    cells = found.matrix(chosen)
    foreign = (cells > 0) & ~np.eye(len(cells), dtype=bool)
    _colour(axes, np.diag(np.diag(cells) > 0), foreign)
    for row, column in zip(*np.nonzero(foreign), strict=True):
        count = int(cells[row, column])
        text = f"{count}" if count < 1000 else f"{count // 1000}k"
        axes.text(column, row, text, ha="center", va="center", color="white", fontsize=11, weight="bold")
    names = [plain(found.users[index], 16) for index in chosen]
    axes.set_yticks(range(len(names)), names, fontsize=12)
    axes.set_xticks(range(len(names)), names, fontsize=12, rotation=90)
    axes.set_xticks(np.arange(len(names) + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(len(names) + 1) - 0.5, minor=True)
    axes.grid(which="minor", color=PALE)
    axes.tick_params(which="both", length=0)
    axes.set(xlabel="owner of the data", ylabel="who received it")


def _draw_blocks(axes: Any, found: _Deliveries, astray: np.ndarray) -> None:
    users = len(found.users)
    blocks = min(BLOCKS, users)
    rows, columns = found.readers * blocks // users, found.owners * blocks // users
    foreign = np.zeros((blocks, blocks), bool)
    foreign[rows[astray], columns[astray]] = True
    own = np.zeros((blocks, blocks), bool)
    own[rows[~astray], columns[~astray]] = True
    _colour(axes, own, foreign)
    leaks = np.nonzero(foreign)
    axes.plot(leaks[1], leaks[0], "x", color="black", markersize=6, markeredgewidth=1.8)
    places = np.linspace(0, blocks, 5)
    axes.set_xticks(places - 0.5, [f"{round(place * users / blocks):,}" for place in places])
    axes.set_yticks(places - 0.5, [f"{round(place * users / blocks):,}" for place in places])
    axes.set(xlabel="owner of the data (number of the user)", ylabel="who received it")


def _colour(axes: Any, own: np.ndarray, foreign: np.ndarray) -> None:
    colours = np.full((*own.shape, 3), 255, np.uint8)
    colours[own] = _rgb(PALE_BLUE)
    colours[foreign] = _rgb(VERMILION)
    axes.grid(visible=False)
    axes.imshow(colours, aspect="equal", interpolation="nearest")
    for side in ("top", "right"):
        axes.spines[side].set_visible(True)


def _rgb(colour: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(colour[1:]))


def _numbers(found: _Deliveries, astray: np.ndarray) -> pd.DataFrame:
    own = found.counts[~astray]
    rows: list[dict[str, object]] = [
        {"who received": f"{len(own):,} users", "owner": "their own", "events": int(own.sum())}
    ]
    for place in np.flatnonzero(astray)[np.argsort(-found.counts[astray], kind="stable")][:1000]:
        rows.append(
            {
                "who received": found.users[found.readers[place]],
                "owner": found.users[found.owners[place]],
                "events": int(found.counts[place]),
            }
        )
    return pd.DataFrame(rows)
