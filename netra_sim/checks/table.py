"""Rows of a history as the checks read them."""

from collections.abc import Callable

import pandas as pd

from netra_sim.checks.results import FINDINGS_SHOWN, Finding
from netra_sim.history import History, Kind


def rows(history: History, *kinds: Kind) -> pd.DataFrame:
    """The rows of some kinds, with plain text columns, in the order of the history."""
    frame = history.frame(*kinds)
    texts = frame.select_dtypes("category").columns
    return frame.astype(dict.fromkeys(texts, object))


def finding_at(row: pd.Series, message: str) -> Finding:
    """A finding about what a row tells: with its user, run, event, number and time."""
    return Finding(
        message=message,
        user=row["user"],
        run=row["run"],
        event=row["event"],
        seq=int(row["seq"]),
        time=float(row["time"]),
    )


def findings_of(wrong: pd.DataFrame, describe: Callable[[pd.Series], Finding]) -> tuple[Finding, ...]:
    """The first findings, each described."""
    return tuple(describe(row) for _, row in wrong.head(FINDINGS_SHOWN).iterrows())
