"""Runs the plan's four test files as evidence, and again on a broken runtime, where they must fail.

Both runs are separate processes without the caller's pytest options, user packages and plugins.
"""

import ast
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import msgspec

from netra_sim.checks import CheckResult, Finding
from netra_sim.defects import DEFECTS, SelfProof
from netra_sim.fingerprint import CHECKOUT, PACKAGE

TESTS = CHECKOUT / "tests"

BROKEN_BY = {
    "mission_critical/test_websocket_agent_events_suite.py": "stamps-by-two-clocks",
    "critical/test_agent_websocket_bridge_multiuser_isolation.py": "one-current-manager",
    "critical/test_websocket_emergency_cleanup_failure.py": "connections-never-leave",
    "unit/agents/supervisor/test_factory_pattern_user_isolation.py": "limit-is-never-reached",
}
"""The plan's test files, each with the defect that it must detect."""

_PASSED_ON = ("PATH", "HOME", "TMPDIR", "TEMP", "TMP", "SYSTEMROOT", "USERPROFILE", "LANG", "LC_ALL")
"""The only environment variables that reach the tests; processes need them to start."""

_TIME_LIMIT = 300.0


def run_plan_tests(tests: Path = TESTS, names: Sequence[str] = tuple(BROKEN_BY)) -> list[CheckResult]:
    """Run test files; each is one check.

    If a test of the file did not run or was skipped, the check is inconclusive.

    Args:
        tests: the folder of the files.
        names: the paths of the files in that folder; a missing file has no result.
    """
    present = [name for name in names if (tests / name).exists()]
    return _run(tests, present) if present else []


def prove_plan_tests(tests: Path = TESTS, names: Sequence[str] = tuple(BROKEN_BY)) -> list[SelfProof]:
    """Run each file with its defect switched on."""
    return [
        SelfProof(check=name, defect=DEFECTS[BROKEN_BY[name]].symptom, planted=result)
        for name in names
        if (tests / name).exists()
        for result in _run(tests, [name], "-x", "--defect", BROKEN_BY[name])
    ]


class _Case(msgspec.Struct, frozen=True):
    """A test in pytest's JUnit record."""

    file: str
    name: str
    has_failed: bool
    was_skipped: bool


def _run(tests: Path, names: Sequence[str], *options: str) -> list[CheckResult]:
    with tempfile.TemporaryDirectory(prefix="netra-") as folder:
        record = Path(folder) / "junit.xml"
        command = [sys.executable, "-s", "-P", "-m", "pytest", "-q", "-p", "no:cacheprovider"]
        command += ["-p", "netra_sim.defects.pytest_plugin", "-o", "junit_family=xunit1", f"--junitxml={record}"]
        # The validated package, whatever the caller's PYTHONPATH contains.
        own = {"PYTHONPATH": str(PACKAGE.parent), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        try:
            done = subprocess.run(  # noqa: S603 - our own
                [*command, *options, *(str(tests / name) for name in names)],
                cwd=tests.parent,
                env={name: os.environ[name] for name in _PASSED_ON if name in os.environ} | own,
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                check=False,
                timeout=_TIME_LIMIT,
            )
            ended = (
                ""
                if done.returncode in (0, 1)
                else f"pytest ended with {done.returncode}: {done.stdout[-300:].strip()}"
            )
        except subprocess.TimeoutExpired:
            ended = f"pytest was ended after {_TIME_LIMIT:g} s"
        cases = _read(record) if record.exists() else []
    return [_result(tests / name, name, cases, ended) for name in names]


def _read(record: Path) -> list[_Case]:
    return [
        _Case(
            file=Path(case.get("file", "")).as_posix(),
            name=case.get("name", "").partition("[")[0],
            has_failed=case.find("failure") is not None or case.find("error") is not None,
            was_skipped=case.find("skipped") is not None,
        )
        for case in ElementTree.parse(record).iter("testcase")  # noqa: S314 - pytest wrote it
    ]


def _result(path: Path, name: str, cases: Sequence[_Case], ended: str) -> CheckResult:
    own = [case for case in cases if case.file.endswith(name)]
    failed = [case for case in own if case.has_failed]
    ran = [case for case in own if not case.was_skipped]
    held = tests_in(path)
    missing = [test for test in held if test not in {case.name for case in ran}]
    findings = [Finding(message=f"the test {case.name} failed") for case in failed]
    why = f"{len(missing)} of its {len(held)} tests did not run: {', '.join(missing)}" if missing else ""
    return CheckResult(
        check=name,
        question=f"Does the plan's {path.name} pass?",
        looked_at=len(ran),
        unit="tests",
        found=len(findings),
        findings=tuple(findings),
        minimum="every test that the file holds",
        inconclusive="; ".join(part for part in (why, ended) if part),
    )


def tests_in(path: Path) -> list[str]:
    """The names of all tests in a file, at module level and in classes.

    Raises:
        SyntaxError: the file is not valid Python.
    """
    tree = ast.parse(path.read_bytes())
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name.startswith("Test")]
    bodies = [tree.body, *(node.body for node in classes)]
    return [
        node.name
        for body in bodies
        for node in body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test")
    ]
