"""Sphinx's configuration: the pages of docs/, the project's own files, and a page for each public room.

`.ci/docs` builds the site. What this writes into docs/generated is made anew each time, and not committed.
"""

import ast
import importlib
import inspect
import re
import shutil
import sys
from itertools import pairwise
from pathlib import Path
from textwrap import indent
from typing import Any

from sphinx.util.nodes import make_refnode

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
GENERATED = DOCS / "generated"
sys.path.insert(0, str(ROOT))

from netra_sim import __version__  # noqa: E402 - the checkout's own, not another that is installed

PRODUCT, LAB, REPORT = "The product", "The lab", "The report"

ROOMS = {
    "netra_sim.bridge": PRODUCT,
    "netra_sim.factory": PRODUCT,
    "netra_sim.runtime": PRODUCT,
    "netra_sim.server": PRODUCT,
    "netra_sim.protocol": PRODUCT,
    "netra_sim.exceptions": PRODUCT,
    "netra_sim.history": LAB,
    "netra_sim.recording": LAB,
    "netra_sim.checks": LAB,
    "netra_sim.formats": LAB,
    "netra_sim.simulation": LAB,
    "netra_sim.loading": LAB,
    "netra_sim.driving": LAB,
    "netra_sim.exploration": LAB,
    "netra_sim.defects": LAB,
    "netra_sim.audit": LAB,
    "netra_sim.verdict": REPORT,
    "netra_sim.charts": REPORT,
    "netra_sim.studies": REPORT,
}
"""The public rooms, each with its floor. A room gets a page by standing here; nothing else lists them."""

PROJECT_FILES = {"CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md", "SECURITY.md": "security.md"}
"""Files beside docs/ that are pages of the site, and what they are called there."""

project = "netra_sim"
author = "The netra_sim maintainers"
project_copyright = "the netra_sim maintainers, MIT licence"
release = version = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
exclude_patterns = ["_static"]

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4

default_role = "py:obj"  # `Name` is a link where it names something public, and code where it does not
autodoc_preserve_defaults = True
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
napoleon_numpy_docstring = False
napoleon_use_ivar = True
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 90

html_theme = "furo"
html_title = f"netra_sim {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False


def public_names(module: object) -> list[str]:
    """The names that a room exports; all that are its own where it has no `__all__`."""
    own = getattr(module, "__all__", None)
    if own is not None:
        return [name for name in own if not name.startswith("__")]
    return [name for name, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__]


def home_of(room: str, name: str) -> str:
    """The room that describes a name which a room exports: the one that defines it, if that is public too."""
    defined = getattr(getattr(importlib.import_module(room), name), "__module__", None) or room
    return next((one for one in ROOMS if f"{defined}.".startswith(f"{one}.")), room)


def heading(text: str, sign: str = "=") -> str:
    """A heading in reStructuredText."""
    return f"{text}\n{sign * len(text)}\n"


def constants(room: str) -> dict[str, str]:
    """The texts that stand below assignments in a room's modules, by the name that is assigned to."""
    home = Path(importlib.import_module(room).__file__)
    texts = {}
    for path in sorted(home.parent.rglob("*.py")) if home.name == "__init__.py" else [home]:
        body = ast.parse(path.read_text(encoding="utf-8")).body
        for one, after in pairwise(body):
            targets = one.targets if isinstance(one, ast.Assign) else [getattr(one, "target", None)]
            if (
                isinstance(after, ast.Expr)
                and isinstance(after.value, ast.Constant)
                and isinstance(after.value.value, str)
            ):
                texts |= {
                    target.id: inspect.cleandoc(after.value.value) for target in targets if isinstance(target, ast.Name)
                }
    return texts


def page_of(room: str) -> str:
    """A room's page: what it is, its names at a glance, and each in full."""
    module = importlib.import_module(room)
    texts = constants(room)
    rows: list[str] = []
    parts: dict[str, list[str]] = {"Classes": [], "Functions": [], "Constants": []}
    for name in public_names(module):
        value, home = getattr(module, name), home_of(room, name)
        if home != room:
            text = f"See `{home}`."
        elif inspect.isclass(value):
            text = inspect.getdoc(value) or ""
            has_base = any(
                base.__module__.startswith("netra_sim") and base.__name__[0] != "_" for base in value.__bases__
            )
            bases = "   :show-inheritance:\n" if has_base else ""
            parts["Classes"].append(f".. autoclass:: {name}\n   :members:\n{bases}")
        elif inspect.isroutine(value):
            text = inspect.getdoc(value) or ""
            parts["Functions"].append(f".. autofunction:: {name}\n")
        else:
            text = texts.get(name, "") or " or ".join(
                f"`{getattr(one, '__name__', one)}`" for one in getattr(value, "__args__", ())
            )
            shown = f"   :value: {value!r}\n" if isinstance(value, int | float | str) else ""
            parts["Constants"].append(f".. py:data:: {name}\n{shown}\n{indent(text, '   ')}\n")
        first = " ".join(text.partition("\n\n")[0].split()) or f"``{value!r}``"
        rows.append(f"   * - :py:obj:`{name} <{home}.{name}>`\n     - {first}")
    glance = "\n".join(rows)
    full = "\n".join(heading(title, "-") + "\n" + "\n".join(part) for title, part in parts.items() if part)
    return (
        f"{heading(room)}\n.. py:module:: {room}\n\n{inspect.getdoc(module)}\n\n{heading('At a glance', '-')}\n"
        f".. list-table::\n   :widths: 30 70\n   :class: glance\n\n{glance}\n\n{full}"
    )


def top_level() -> str:
    """The page of what can be imported from the package itself, with where each name is described."""
    package = importlib.import_module("netra_sim")
    rows = [(name, f"{home_of('netra_sim', name)}.{name}") for name in public_names(package)]
    table = "\n".join(f"   * - ``{name}``\n     - :py:obj:`{home}`" for name, home in rows)
    listed = "".join(
        f"\n.. toctree::\n   :caption: {floor}\n   :titlesonly:\n\n"
        + "".join(f"   {room.rpartition('.')[2]}\n" for room, own in ROOMS.items() if own == floor)
        for floor in dict.fromkeys(ROOMS.values())
    )
    return (
        f"{heading('The Python API')}\n"
        "The names on these pages are public; :doc:`/compatibility` says what that promises. Modules inside a room are "
        "private.\n"
        f"\n{heading('netra_sim', '-')}\nThese names can be imported from the package itself.\n\n"
        f".. list-table::\n   :header-rows: 1\n\n   * - from ``netra_sim``\n     - described as\n{table}\n\n"
        f"{heading('Rooms', '-')}{listed}"
    )


def generate(*_: object) -> None:
    """Write the pages that are made from the code, and those of the files beside docs/."""
    shutil.rmtree(GENERATED, ignore_errors=True)
    (GENERATED / "api").mkdir(parents=True)
    pages = {f"api/{room.rpartition('.')[2]}.rst": page_of(room) for room in ROOMS}
    pages["api/index.rst"] = top_level()
    for name, file in PROJECT_FILES.items():
        text = (ROOT / name).read_text(encoding="utf-8")
        pages[file] = re.sub(r"\]\((?=[\w./-]+(?:\.md|#))(?!https?:)", "](../../", text).replace(
            "](../../docs/", "](../"
        )
    for file, text in pages.items():
        (GENERATED / file).write_text(text, encoding="utf-8", newline="\n")


def to_own_pages(app: Any, name: str, source: list[str]) -> None:
    """Lead links to the files beside docs/ to their pages of the site."""
    up = "../" * (name.count("/") + 1)
    here = "" if name.startswith("generated/") else "generated/"
    for file, own in PROJECT_FILES.items():
        source[0] = source[0].replace(f"]({up}{file}", f"]({here}{own}")


def to_another_room(app: Any, env: Any, node: Any, content: Any) -> Any:
    """Lead a bare name in a docstring to the one room that describes it; without a link it stays code."""
    if node.get("refdomain") != "py" or "." in node["reftarget"]:
        return None
    objects = env.domaindata["py"]["objects"]
    found = [name for name in objects if name.rpartition(".")[0] in ROOMS and name.endswith(f".{node['reftarget']}")]
    if len(found) != 1:
        return None
    entry = objects[found[0]]
    return make_refnode(app.builder, node["refdoc"], entry.docname, entry.node_id, content, found[0])


def setup(app: Any) -> None:
    """Connect what this file does with Sphinx's build."""
    app.connect("missing-reference", to_another_room)
    app.connect("config-inited", generate)
    app.connect("source-read", to_own_pages)
