"""`merge`: joins the Histories of several recorders of one run of the system."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from netra_sim.history.history import NUMBER_COLUMNS, TEXT_COLUMNS, History


def merge(histories: Sequence[History], meta: Mapping[str, Any], order: np.ndarray | None = None) -> History:
    """One History with all rows of several, ordered by time.

    Rows of equal time keep the order of ``histories``. The rows of each History keep their own order, even where its clock
    ran backwards.

    Args:
        histories: at least one, of the same run; their times count from the same moment.
        meta: of the merged History.
        order: instead of the order by time: which rows the merged History has, each as its number among the rows of all.
    """
    if order is None:
        # A row comes no earlier than the rows before it in its History.
        times = np.concatenate([np.fmax.accumulate(one.numbers["time"]) for one in histories])
        order = np.argsort(times, kind="stable")
    numbers = {name: np.concatenate([one.numbers[name] for one in histories])[order] for name in NUMBER_COLUMNS}
    codes, tables = {}, {}
    for name in TEXT_COLUMNS:
        index: dict[str, int] = {}
        for one in histories:
            for text in one.tables[name]:
                index.setdefault(text, len(index))
        parts = [np.array([index[text] for text in one.tables[name]], "<i4")[one.codes[name]] for one in histories]
        codes[name], tables[name] = _by_first_use(np.concatenate(parts)[order], list(index))
    return History(numbers, codes, tables, meta)


def _by_first_use(codes: np.ndarray, table: list[str]) -> tuple[np.ndarray, list[str]]:
    """A column with codes in the order of first use, as in every History, and a table without unused texts."""
    firsts = np.full(len(table), len(codes))
    firsts[codes[::-1]] = np.arange(len(codes))[::-1]  # of several rows with one code, the last that is assigned stays
    by_use = np.argsort(firsts, kind="stable")[: np.count_nonzero(firsts < len(codes))]
    rank = np.empty(len(table), np.int64)
    rank[by_use] = np.arange(len(by_use))
    return rank[codes], [table[code] for code in by_use]
