"""Notebooks for tests, written by the tests, and a verdict for the one that validates."""

import json

import msgspec
import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from netra_sim.report import CLAIMS, VALIDATION, Notebook, NotebookParameters

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
    save = f"import json, pathlib\n_ = pathlib.Path(output, 'verdict.json').write_text({json.dumps(verdict)!r})"
    return msgspec.structs.replace(VALIDATION, file=notebook(folder, "validation", *cells, save).file)


def verdict(decision="GO", **changes):
    """A verdict of the form that the validation notebook writes."""
    claims = [
        {
            "heading": one.heading,
            "claim": one.says,
            "state": "given" if one.given else "unproven" if one.why else "proven",
            "evidence": one.why or "12 looked at, none wrong",
            "teeth": [],
        }
        for one in CLAIMS
    ]
    return {
        "decision": decision,
        "reasons": [],
        "scores": {"SSOT compliance": 9.2, "Business value": 4.5},
        "claims": claims,
        "evidence": {"simulated": [check_result("cross-user-isolation")]},
        "commands": {"simulated": "netra-sim simulate"},
        "caught": {"one-manager": {"cross-user-isolation": 20}},
        "digests": {"simulated": "ab" * 32},
        "parameters": {"seed": 1},
        "version": "0.1.0",
        "environment": {},
        "nest_asyncio": False,
        "changes": ["nothing"],
        "regressions": [],
    } | changes


def check_result(check, *findings):
    return {
        "check": check,
        "question": "Did anybody receive somebody else's event?",
        "looked_at": 5000,
        "unit": "events",
        "found": len(findings),
        "findings": list(findings),
        "measured": {},
        "state": "failed" if findings else "passed",
    }


def finding(message, **where):
    return {"message": message, "user": "", "run": "", "event": "", "seq": -1, "time": None} | where
