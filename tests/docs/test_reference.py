"""The committed reference matches the code."""

import re
from pathlib import Path

import pytest

from netra_sim.cli.group import cli
from netra_sim.simulation import FAULTS, scenario_names
from netra_sim.site.reference import reference
from netra_sim.verdict.claims import CLAIMS

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "reference.md"


@pytest.fixture(scope="module")
def page():
    return reference(cli)


def test_the_reference_is_what_the_code_says(page):
    assert PAGE.read_text("utf-8") == page, "write it again: .venv/bin/netra-sim reference -o docs/reference.md"


def test_every_scenario_fault_command_and_claim_is_in_the_reference(page):
    lines = page.splitlines()
    for name in (*scenario_names(), *FAULTS, *cli.list_commands(None)):
        assert any(line.startswith((f"| `{name}` |", f"| `{name} ")) for line in lines), name
    for claim in CLAIMS:
        assert f"| {claim.says} |" in page


def test_every_incident_that_the_reference_names_is_explained(page):
    explained = set(re.findall(r"^\| (\w+) \|", (DOCS / "incidents.md").read_text("utf-8"), re.M))
    named = set(re.findall(r"\b[BFSVW]\d+\b", page))
    assert {"B6", "F5", "S7", "W3"} <= named <= explained


def test_a_faults_own_parameters_have_default_and_bounds(page):
    row = next(line for line in page.splitlines() if line.startswith("| `tab-multiplication` |") and "`tabs" in line)
    assert "`tabs = 8` (whole number >= 1 and <= 64)" in row
    assert row.endswith("| S7, S8 |")


def test_every_row_of_a_table_has_as_many_cells_as_its_header(page):
    for table in page.split("\n\n"):
        if table.startswith("|"):
            assert len({line.replace("\\|", "").count("|") for line in table.splitlines()}) == 1, table[:80]
