"""A source of evidence."""

from netra_sim import Scenario, check, simulate
from netra_sim.verdict import Evidence, EvidenceSource, ValidationParameters
from their_lab.checks import double_ends


def _small_talk(parameters: ValidationParameters) -> Evidence:
    history = simulate(Scenario(users=3), parameters.seed)
    results = check(history, checks=[double_ends])
    return Evidence(source="small-talk", label="small talk", results=results, command="netra-sim greet")


SMALL_TALK = EvidenceSource(name="small-talk", label="small talk", gather=_small_talk)
