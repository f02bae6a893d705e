"""How results are told to people and to other programs: text, JSON, JUnit XML, SARIF, annotations of GitHub."""

from typing import TYPE_CHECKING

from netra_sim.formats.case import Case, CaseOutcome, check_case, defect_case, in_a_line
from netra_sim.formats.documents import FORMAT, check_facts, json_document
from netra_sim.formats.github import annotation, annotations
from netra_sim.formats.text import check_lines
from netra_sim.lazy import on_first_use

if TYPE_CHECKING:
    from netra_sim.formats.junit_xml import junit
    from netra_sim.formats.sarif_log import SarifResult, SarifRule, sarif

__all__ = [
    "FORMAT",
    "Case",
    "CaseOutcome",
    "SarifResult",
    "SarifRule",
    "annotation",
    "annotations",
    "check_case",
    "check_facts",
    "check_lines",
    "defect_case",
    "in_a_line",
    "json_document",
    "junit",
    "sarif",
]

__getattr__ = on_first_use(
    __name__, {"junit": "junit_xml", "SarifResult": "sarif_log", "SarifRule": "sarif_log", "sarif": "sarif_log"}
)
