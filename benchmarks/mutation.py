"""Which random changes of the source the product notices, and which the tests do.

Each mutant is one change, made by cosmic-ray in a copy of the tree. The product notices it if, in that copy, a check fails
on the clean runtime, a seeded defect is no longer caught, a self-proof does not hold, a check or the runtime is another than
was certified, a scenario does not end as it expects, or something breaks or hangs. The tests notice it if those of its room
fail. The outcome of each mutant is kept as soon as it is there, and a run that was interrupted goes on. Needs cosmic-ray,
which is no dependency of the project.
"""

import argparse
import ast
import json
import os
import pickle
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from queue import SimpleQueue
from typing import Any

ROOT = Path(__file__).parent.parent
OUTCOMES = Path(__file__).parent / "results" / "mutation.jsonl"
REASONS = Path(__file__).parent / "mutation_survivors.toml"
RECORDED = "recorded.pickle"
SOCKETS = "real sockets"
SEED = 2026
PRODUCT_SECONDS, TESTS_SECONDS = 240, 400
GOAL_PRODUCT, GOAL_TOGETHER = 0.60, 0.95

MUTATED = {
    "netra_sim/bridge": ("tests/bridge",),
    "netra_sim/factory": ("tests/factory",),
    "netra_sim/checks": ("tests/checks",),
    "netra_sim/verdict/verdict.py": ("tests/report/test_verdict.py", "tests/report/test_claims.py"),
    "netra_sim/verdict/claims.py": ("tests/report/test_verdict.py", "tests/report/test_claims.py"),
}
"""What is mutated, and the tests of it."""

OPERATORS = (
    "AddNot",
    "NumberReplacer",
    "RemoveDecorator",
    "ReplaceAndWithOr",
    "ReplaceBinaryOperator_Add_Sub",
    "ReplaceBinaryOperator_BitAnd_BitOr",
    "ReplaceBinaryOperator_BitOr_BitAnd",
    "ReplaceBinaryOperator_Div_Mul",
    "ReplaceBinaryOperator_Mul_Div",
    "ReplaceBinaryOperator_Sub_Add",
    "ReplaceBreakWithContinue",
    "ReplaceComparisonOperator_Eq_NotEq",
    "ReplaceComparisonOperator_GtE_Gt",
    "ReplaceComparisonOperator_Gt_GtE",
    "ReplaceComparisonOperator_IsNot_Is",
    "ReplaceComparisonOperator_Is_IsNot",
    "ReplaceComparisonOperator_LtE_Lt",
    "ReplaceComparisonOperator_Lt_LtE",
    "ReplaceComparisonOperator_NotEq_Eq",
    "ReplaceContinueWithBreak",
    "ReplaceFalseWithTrue",
    "ReplaceOrWithAnd",
    "ReplaceTrueWithFalse",
    "ReplaceUnaryOperator_Delete_Not",
    "ReplaceUnaryOperator_Delete_USub",
    "ZeroIterationForLoop",
)


@dataclass(frozen=True)
class Mutant:
    """One change.

    Attributes:
        path: of the file, from the root.
        operator: of cosmic-ray.
        occurrence: which of the places where it applies in that file.
        before: the lines that it changes.
        after: what stands there.
    """

    path: str
    operator: str
    occurrence: int
    before: str
    after: str

    @classmethod
    def of(cls, outcome: dict[str, object]) -> "Mutant":
        """The one whose outcome it is."""
        return cls(**{field.name: outcome[field.name] for field in fields(cls)})  # type: ignore[arg-type]

    @property
    def key(self) -> str:
        """What the outcomes and the reasons call it; it stays when other lines are added."""
        return f"{self.path}: {self.before} -> {self.after}"


def mutants() -> list[Mutant]:
    """All that change more than annotations, in random order."""
    paths = [ROOT / name for name in MUTATED]
    files = [file for path in paths for file in (sorted(path.glob("*.py")) if path.is_dir() else [path])]
    with ProcessPoolExecutor() as pool:
        chosen = list({one.key: one for several in pool.map(_mutants_of, files) for one in reversed(several)}.values())
    random.Random(SEED).shuffle(chosen)
    return chosen


def _mutants_of(file: Path) -> list[Mutant]:
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.plugins import get_operator

    found = []
    code = file.read_text("utf-8")
    clean = _without_annotations(code)
    for operator in OPERATORS:
        make = get_operator(f"core/{operator}")
        for occurrence in range(10_000):
            mutated = mutate_code(code, make(), occurrence)
            if mutated is None:
                break
            if _is_code(mutated) and _without_annotations(mutated) != clean:
                path = file.relative_to(ROOT).as_posix()
                found.append(Mutant(path, operator, occurrence, *_changed(code, mutated)))
    return found


def _is_code(text: str) -> bool:
    try:
        compile(text, "mutant", "exec")
    except SyntaxError:
        return False
    return True


def _without_annotations(code: str) -> str:
    tree = ast.parse(code)
    for node in ast.walk(tree):
        if isinstance(node, ast.arg | ast.AnnAssign):
            node.annotation = ast.Constant(None)  # type: ignore[assignment]
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.returns = None
    return ast.dump(tree)


def _changed(code: str, mutated: str) -> tuple[str, str]:
    pairs = list(zip(code.splitlines(), mutated.splitlines(), strict=False))
    lines = [(one.strip(), other.strip()) for one, other in pairs if one != other]
    return " / ".join(one for one, _ in lines[:2]), " / ".join(other for _, other in lines[:2])


def noticed(path: str) -> str:
    """What the product of this process's tree says first that is wrong; "" if all is well."""
    # No change of a check changes what happens, so that what the checks are run over is recorded once.
    for step in (_proofs, _recorded if "/checks/" in path else _played):
        try:
            for told in step():
                return told
        except Exception as error:
            return f"{step.__name__.strip('_')} breaks: {type(error).__name__}"
    return ""


def _proofs() -> Iterator[str]:
    from netra_sim.defects import conformance_checks, runtime_as_certified, self_proofs
    from netra_sim.verdict.plan_tests import run_plan_tests

    yield from (finding.message for finding in runtime_as_certified().findings)
    yield from (f"self-proof of {one.check}: {one.misread}" for one in self_proofs() if not one.holds)
    yield from (f"conformance check {one.check}" for one in conformance_checks() if one.state == "failed")
    yield from (f"the plan's {one.check}" for one in run_plan_tests() if one.state != "passed")


def _played() -> Iterator[str]:
    for name, expected, history in _clean_histories():
        yield from _accused(name, expected, history)


def _recorded() -> Iterator[str]:
    """The detection matrix, the library and real clients over the histories that `record` has left."""
    for name, expected, history in pickle.loads((Path.cwd().parent / RECORDED).read_bytes()):
        yield from _accused(name, expected, history)


def record(folder: Path) -> None:
    """Keep what the checks are run over: the seeded defects that one of them must catch, and what is clean."""
    from netra_sim.checks import check
    from netra_sim.defects import DEFECTS, silenced
    from netra_sim.simulation import simulate

    kept: list[tuple[str, tuple[str, ...] | None, Any]] = []
    for defect in DEFECTS.values():
        with defect.switched_on(), silenced():
            history = simulate(defect.scenario, 1)
        if any(one.state == "failed" for one in check(history)):  # else a conformance check catches it
            kept.append((defect.name, None, history))
    (folder / RECORDED).write_bytes(pickle.dumps([*kept, *_clean_histories()]))


def _clean_histories() -> Iterator[tuple[str, tuple[str, ...], Any]]:
    """By name what the clean runtime does, and which checks that is expected to fail; each is made when it is asked for."""
    from netra_sim.defects import DEFECTS
    from netra_sim.loading import Load, load
    from netra_sim.runtime import run
    from netra_sim.simulation import find_scenario, scenario_names, simulate

    for scenario in {one.scenario.name: one.scenario for one in DEFECTS.values()}.values():
        yield f"the clean runtime in {scenario.name}", (), simulate(scenario, 1)
    yield SOCKETS, (), run(load(Load(users=15, window=1.0, disconnects=0.3)))
    for scenario in map(find_scenario, scenario_names()):
        yield scenario.name, scenario.expect, simulate(scenario, 1)


def _accused(name: str, expected: Sequence[str] | None, history: Any) -> Iterator[str]:
    """What comes out otherwise than expected; None expects that some check fails."""
    from netra_sim.checks import check

    failed = {one.check for one in check(history) if one.state == "failed"}
    if name == SOCKETS:
        failed.discard("latency")  # How late events are over real sockets depends on how busy the machine is.
    if expected is None:
        if not failed:
            yield f"{name} is not caught"
    elif others := sorted(failed ^ set(expected)):
        yield f"in {name} {', '.join(others)} comes out otherwise"


class Trees:
    """Copies of the tree, one for each worker."""

    def __init__(self, number: int, folder: Path) -> None:
        self._free: SimpleQueue[Path] = SimpleQueue()
        for index in range(number):
            tree = folder / str(index)
            tree.mkdir()
            for name in ("netra_sim", "tests", "notebooks", "benchmarks"):
                shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__", "results"))
            for name in ("pyproject.toml", "README.md"):
                shutil.copy(ROOT / name, tree / name)
            self._free.put(tree)
        record(folder)

    def try_out(self, mutant: Mutant) -> dict[str, object]:
        """Make the change in a tree that nobody uses, see who notices, and take it back."""
        from cosmic_ray.mutating import mutate_code
        from cosmic_ray.plugins import get_operator

        tree = self._free.get()
        file = tree / mutant.path
        code = file.read_text("utf-8")
        try:
            changed = mutate_code(code, get_operator(f"core/{mutant.operator}")(), mutant.occurrence)
            file.write_text(changed, encoding="utf-8")
            product = _run(tree, PRODUCT_SECONDS, "benchmarks/mutation.py", "--judge", mutant.path)
            tests = next(own for name, own in MUTATED.items() if mutant.path.startswith(name))
            failed = _run(tree, TESTS_SECONDS, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests)
            return asdict(mutant) | {"product": product.partition("\n")[0], "tests": bool(failed)}
        finally:
            file.write_text(code, encoding="utf-8")
            self._free.put(tree)


def _run(tree: Path, seconds: float, *arguments: str) -> str:
    """What was printed last by a Python process that failed; "" if it passed."""
    environment = os.environ | {"PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    with subprocess.Popen(
        [sys.executable, *arguments], cwd=tree, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        text=True, start_new_session=True,
    ) as process:  # fmt: skip
        try:
            out = process.communicate(timeout=seconds)[0]
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return "hangs"
    return (out.strip().splitlines() or ["breaks"])[-1] if process.returncode else ""


def report(outcomes: list[dict[str, object]]) -> str:
    """The shares and the survivors, as Markdown."""
    reasons = tomllib.loads(REASONS.read_text("utf-8")) if REASONS.exists() else {}
    told = [(Mutant.of(one), one) for one in outcomes]
    same = [mutant for mutant, _ in told if reasons.get(mutant.key, "").startswith("same:")]
    counted = [(mutant, one) for mutant, one in told if mutant not in same]
    product = sum(bool(one["product"]) for _, one in counted)
    tests = sum(bool(one["tests"]) for _, one in counted)
    together = [(mutant, one) for mutant, one in counted if one["product"] or one["tests"]]
    total = len(counted) or 1
    lines = [
        f"{len(counted)} mutants that change behaviour, and {len(same)} that do not.",
        f"The product notices {product / total:.0%} (goal {GOAL_PRODUCT:.0%}), the tests {tests / total:.0%}, "
        f"together {len(together) / total:.0%} (goal {GOAL_TOGETHER:.0%}).",
        "",
        *(
            f"- {m.key}: {reasons.get(m.key, 'no reason known')}"
            for m, one in told
            if not (one["product"] or one["tests"])
        ),
    ]
    return "\n".join(lines)


def main() -> None:
    """Try mutants until there are as many outcomes as asked for, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mutants", type=int, default=220)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--judge", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.judge:
        told = noticed(given.judge)
        print(told)
        sys.exit(bool(told))
    known = [json.loads(line) for line in OUTCOMES.read_text("utf-8").splitlines()] if OUTCOMES.exists() else []
    done = {Mutant.of(one).key for one in known}
    todo = [one for one in mutants()[: given.mutants] if one.key not in done]
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder, ThreadPoolExecutor(given.jobs) as pool:
        for outcome in pool.map(Trees(given.jobs, Path(folder)).try_out, todo):
            known.append(outcome)
            with OUTCOMES.open("a", encoding="utf-8") as file:
                file.write(json.dumps(outcome) + "\n")
            print(f"{len(known)}/{given.mutants} {outcome['path']}: {outcome['product'] or '-'} | {outcome['tests']}")
    print(report(known))


if __name__ == "__main__":
    main()
