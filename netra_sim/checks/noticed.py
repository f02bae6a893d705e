"""Checks of what the clients of another system notice: the protocol's order, numbered tokens, planted secrets."""

import numpy as np

from netra_sim.checks.definition import define
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

    The stand-in says how many tokens its answer has, so tokens that are lost at the end are missing too. The end is not
    judged if the run asked a model more than once, if the system hung up on the model, if a partition was on meanwhile, or
    if the answer ended before the model's. A system that reads all of the model's answer and shortens it on purpose cannot
    be told from one that loses tokens; its scenario then expects this check to fail.
    """
    answers, values = records.rows(Kind.ANSWERED), records.numbers["value"]
    numbered = answers[values[answers] > 0]
    noticed = records.rows(Kind.REPEATED, Kind.MISSING)
    noticed = noticed[records.one_of("detail", noticed, IN_ANSWER)]
    judged, lost = _lost_at_the_end(records, numbered, noticed)
    wrong = np.sort(np.concatenate([noticed, judged[lost > 0]]))
    lost_of = dict(zip(judged.tolist(), lost.tolist(), strict=True))

    def describe(row: int) -> str:
        user, first = records.text("user", row), int(records.numbers["seq"][row])
        if records.numbers["kind"][row] == Kind.ANSWERED:
            count = lost_of[row]
            last = "token" if count == 1 else f"{count:,} tokens"
            return f"{user} never received the last {last} of the answer, and the run ended well"
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
        measured={
            "tokens": counted(values[numbered].sum()),
            "answers whose end was compared with the model's": counted(len(judged)),
        }
        if len(numbered)
        else {},
    )


def _lost_at_the_end(records: Records, answers: np.ndarray, noticed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The answers whose end can be judged, and how many tokens of each are lost there.

    Args:
        records: the history.
        answers: the rows of the answers with numbered tokens.
        noticed: the rows of what clients noticed of such tokens.
    """
    runs, values, seq = records.codes["run"], records.numbers["value"], records.numbers["seq"]
    worked, size = records.rows(Kind.WORKED), len(records.tables["run"])
    last = worked[values[worked] > 0]
    services = np.isin(records.codes["detail"][worked], records.codes["detail"][last])  # an echo makes no tokens
    begun = np.bincount(runs[worked[services & (seq[worked] == 0)]], minlength=size)
    complete = np.bincount(runs[last], minlength=size)
    end = np.full(size, -1)
    end[runs[last]] = last
    jumps = noticed[records.numbers["kind"][noticed] == Kind.MISSING]
    missing = np.bincount(runs[jumps], weights=values[jumps] - seq[jumps] + 1, minlength=size)
    of = runs[answers]
    judged = answers[(begun[of] == 1) & (complete[of] == 1) & (end[of] < answers)]
    # A model that the system hung up on does not hear of it during a partition.
    times, first = records.numbers["time"], records.first_of_run(judged, worked)
    judged = judged[~records.meets_a_fault(times[first], times[judged], "partition")]
    of = runs[judged]
    return judged, np.maximum(0, values[end[of]] - values[judged] - missing[of]).astype(int)


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
    wrong = records.rows(Kind.DISCLOSED)
    given = np.nan_to_num(records.numbers["value"][records.samples(SECRETS_GIVEN)])
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
