"""Checks of what the clients of another system notice: the protocol's order, numbered tokens, planted secrets."""

import numpy as np

from netra_sim.checks.check import define
from netra_sim.checks.records import Records
from netra_sim.checks.results import Observation, counted
from netra_sim.history import SECRETS_GIVEN, Kind, Objectives
from netra_sim.history.history import IN_ANSWER


@define(
    "event-order",
    question="Did all events keep the order that their protocol demands?",
    unit="events compared with the protocol",
)
def event_order(records: Records, objectives: Objectives) -> Observation:
    """No received event may break the order that its protocol demands; the client names the rule that is broken.

    It is judged if the history says that such records are made: only then did a client compare each event.
    """
    wrong = records.rows(Kind.OUT_OF_ORDER)
    received = records.rows(Kind.RECEIVED)
    return Observation(
        looked_at=len(received) if records.says_that_it_records(Kind.OUT_OF_ORDER) else 0,
        found=len(wrong),
        findings=records.findings(
            wrong, lambda row: f"{records.text('event', row)} breaks the protocol: {records.text('detail', row)}"
        ),
    )


@define(
    "tokens",
    question="Did every answer hold each token of the model once?",
    unit="answers with numbered tokens",
)
def tokens(records: Records, objectives: Objectives) -> Observation:
    """No numbered token of an answer may come twice or be missing.

    A stand-in for the model numbers the tokens of its answers from 0, and the client compares the numbers of those that
    arrive. An answer counts as looked at if the client received it to its end and found numbers in it.
    """
    answers, values = records.rows(Kind.ANSWERED), records.numbers["value"]
    numbered = answers[values[answers] > 0]
    noticed = records.rows(Kind.REPEATED, Kind.MISSING)
    wrong = noticed[records.one_of("detail", noticed, IN_ANSWER)]

    def describe(row: int) -> str:
        user, first = records.text("user", row), int(records.numbers["seq"][row])
        if records.numbers["kind"][row] == Kind.REPEATED:
            return f"{user} received token {first} of the answer twice"
        last = values[row]
        return (
            f"{user} never received token{f' {first}' if last == first else f's {first} to {last:.0f}'} of the answer"
        )

    return Observation(
        looked_at=len(numbered),
        found=len(wrong),
        findings=records.findings(wrong, describe),
        measured={"tokens": counted(values[numbered].sum())} if len(numbered) else {},
    )


@define(
    "disclosure",
    question="Did no planted secret reach a client?",
    unit="events searched for secrets",
    minimum="a planted secret that the system was given",
)
def disclosure(records: Records, objectives: Objectives) -> Observation:
    """No client may receive a planted secret, such as the text of an exception or a key in the system's environment.

    It is judged if clients look for secrets, and if the system was given one: the gauge `SECRETS_GIVEN` counts it.
    """
    wrong, samples = records.rows(Kind.DISCLOSED), records.rows(Kind.SAMPLE)
    given = np.nan_to_num(records.numbers["value"][samples[records.one_of("detail", samples, SECRETS_GIVEN)]])
    looks, has_secrets = records.says_that_it_records(Kind.DISCLOSED), bool(given.any())

    def describe(row: int) -> str:
        user, event, secret = (records.text(column, row) for column in ("user", "event", "detail"))
        return f"{user} received the planted secret {secret!r} in {event}"

    return Observation(
        looked_at=len(records.rows(Kind.RECEIVED)) if looks and has_secrets else 0,
        found=len(wrong),
        findings=records.findings(wrong, describe),
        measured={"secrets given to the system": counted(given.max(initial=0.0))} if has_secrets else {},
        inconclusive="no planted secret was given to the system: not judged" if looks and not has_secrets else "",
    )
