"""What a history must hold for its checks to judge it, and what of that is missing."""

from netra_sim.checks.records import Records
from netra_sim.history import History, Kind


def what_is_missing(history: History) -> list[str]:
    """What the history would have to say for the most important questions to be judged, one sentence for each question."""
    records = Records(history)
    rows = records.rows(Kind.SENT, Kind.RECEIVED)
    has_run = bool(records.has("run", rows).any())
    has_owner = bool(records.has("detail", rows).any()) or any(
        len(records.rows(kind)) for kind in (Kind.REQUESTED, Kind.SCOPE_OPENED, Kind.PUBLISHED)
    )
    has_numbers = bool((records.numbers["seq"][rows] >= 0).any())
    missing = []
    if not (has_owner and len(rows)):
        missing.append(
            "isolation needs the field owner of each event, or the fields run and user of records of the kind requested"
        )
    if not (len(records.rows(Kind.PUBLISHED)) and has_run and has_numbers):
        missing.append("delivery needs records of the kinds published and received with the fields run and seq")
    if not records.has("subject", rows).any():
        missing.append("whose data an event holds needs the field subject")
    if not len(records.rows(Kind.REQUESTED)):
        missing.append("whether every request ends needs records of the kind requested with the field run")
    return missing
