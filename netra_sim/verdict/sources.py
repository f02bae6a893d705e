"""The sources of evidence, of this package and of other packages."""

from collections.abc import Callable, Mapping

import msgspec

from netra_sim.registry import Registry
from netra_sim.tables import Html
from netra_sim.verdict.claims import Source
from netra_sim.verdict.evidence import (
    Evidence,
    audit_evidence,
    conformance_evidence,
    limit_drill,
    plan_test_evidence,
    rollback_drill,
    server_evidence,
    simulated_evidence,
    windows_clock_evidence,
    windows_evidence,
)
from netra_sim.verdict.parameters import ValidationParameters

Gather = Callable[[ValidationParameters], Evidence]
"""A function that gathers the evidence of a source."""


class EvidenceSource(msgspec.Struct, frozen=True, kw_only=True):
    """A source of evidence.

    Attributes:
        name: its name in claims, commands and files.
        label: its name for readers.
        gather: the function that gathers its evidence.
    """

    name: str
    label: str
    gather: Gather


_OWN: dict[Source, Gather] = {
    Source.SIMULATED: simulated_evidence,
    Source.WINDOWS_CLOCK: windows_clock_evidence,
    Source.ROLLBACK: rollback_drill,
    Source.LIMITS: limit_drill,
    Source.SERVER: server_evidence,
    Source.CONFORMANCE: conformance_evidence,
    Source.AUDIT: audit_evidence,
    Source.TESTS: plan_test_evidence,
    Source.WINDOWS: windows_evidence,
}

SOURCES: Registry[EvidenceSource] = Registry(
    "netra_sim.evidence_sources",
    (EvidenceSource(name=str(name), label=name.label, gather=gather) for name, gather in _OWN.items()),
    kind=EvidenceSource,
)
"""All sources by name, including those of other packages."""


def gather(parameters: ValidationParameters) -> dict[str, Evidence]:
    """Gather the evidence of every source, one after the other, by source name."""
    return {name: source.gather(parameters) for name, source in SOURCES.items()}


def label_of(source: str) -> str:
    """The label of a source; its name if the source is not installed here."""
    return SOURCES[source].label if source in SOURCES else source


def added(evidence: Mapping[str, Evidence]) -> Html:
    """The evidence of sources from other packages, as HTML; "" if there are none."""
    return Html("".join(one._repr_html_() for name, one in evidence.items() if name not in _OWN))
