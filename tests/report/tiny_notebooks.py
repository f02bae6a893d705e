"""Small notebooks for tests, and a verdict for the validation notebook."""

import msgspec
import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from netra_sim.checks import CheckResult, Finding
from netra_sim.fingerprint import fingerprint
from netra_sim.notebooks import VALIDATION, Notebook
from netra_sim.parameters import NotebookParameters
from netra_sim.verdict import CLAIMS, JudgedClaim, Source, State, ValidationParameters, Verdict
from netra_sim.verdict.verdict import save_verdict

PARAMETERS = 'seed: int = 1\noutput: str = ""'
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def code(source, *tags):
    return new_code_cell(source, metadata={"tags": list(tags)})


def text(source):
    return new_markdown_cell(source)


def picture(alt):
    """Source of a cell that shows a picture with a table of its numbers."""
    html = (
        f'<figure><img src="data:image/png;base64,{PIXEL}" alt="{alt}"><figcaption>Measured.</figcaption><details>'
        "<summary>The numbers</summary><table><caption>Numbers</caption><thead><tr><th>user</th><th>events</th></tr></thead>"
        "<tbody><tr><td>alice</td><td>3</td></tr></tbody></table></details></figure>"
    )
    return f"from IPython.display import HTML\nHTML({html!r})"


def notebook(folder, name, *cells, question="What happens here?"):
    """Write a notebook; plain strings are code."""
    made = new_notebook(metadata={"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}})
    made.cells = [code(PARAMETERS, "parameters")] + [code(cell) if isinstance(cell, str) else cell for cell in cells]
    path = folder / f"{name}.ipynb"
    nbformat.write(made, path)
    return Notebook(name=name, file=str(path), title=name.title(), question=question, parameters=NotebookParameters)


def validation(folder, verdict, *cells):
    """Write a validation notebook that leaves a verdict."""
    kept = folder / "kept_verdict.json"
    save_verdict(kept, verdict)
    save = f"import pathlib\n_ = pathlib.Path(output, 'verdict.json').write_text({kept.read_text('utf-8')!r}, 'utf-8')"
    return msgspec.structs.replace(VALIDATION, file=notebook(folder, "validation", *cells, save).file)


def judged(claim):
    """A claim that is proven."""
    state = State.GIVEN if claim.given else State.UNPROVEN if claim.why else State.PROVEN
    return JudgedClaim(claim=claim, state=state, evidence=claim.why or "12 looked at, none wrong")


def verdict(decision="GO", **changes):
    """A verdict of the form that the validation notebook writes."""
    told = Verdict(
        decision=decision,
        headline=f"{decision}: some claims are proven",
        reasons=[],
        weaker=[],
        unseen=[],
        seen={"cross-user-isolation": ["Carol receives an event of Alice's run."]},
        scores={"SSOT compliance": 9.2, "Business value": 4.5},
        claims=[judged(one) for one in CLAIMS],
        evidence={Source.SIMULATED: [check_result("cross-user-isolation")]},
        commands={Source.SIMULATED: "netra-sim simulate"},
        caught={"one-manager": {"cross-user-isolation": 20}},
        digests={Source.SIMULATED: "ab" * 32},
        about=fingerprint(),
        parameters=ValidationParameters(),
        version="0.1.0",
        environment={},
        nest_asyncio=False,
        changes=["nothing"],
    )
    return msgspec.structs.replace(told, **changes)


def check_result(check, *findings, **fields):
    values = {"looked_at": 5000, "unit": "events", "found": len(findings), "findings": findings} | fields
    return CheckResult(check=check, question="Did anybody receive somebody else's event?", **values)


def finding(message, **where):
    return Finding(message=message, **where)
