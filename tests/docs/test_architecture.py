"""The picture of the rooms matches the import contracts, and its page names every room."""

import importlib.util
import pkgutil
import re
from importlib import import_module
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import pytest

import netra_sim

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("architecture_picture", ROOT / "docs" / "architecture_picture.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def pyproject():
    return (ROOT / "pyproject.toml").read_text("utf-8")


def test_the_committed_picture_is_what_the_script_draws_from_the_contracts(script, pyproject):
    assert script.PICTURE.read_text("utf-8") == script.picture(pyproject), "run: python docs/architecture_picture.py"


def test_the_picture_has_a_title_and_a_description_and_every_room_of_the_contract(script, pyproject):
    root = ElementTree.fromstring(script.picture(pyproject))
    name = "{http://www.w3.org/2000/svg}"
    assert root.find(f"{name}title").text == script.TITLE
    texts = [one.text for one in root.iter(f"{name}text")]
    layers, others = script.contracts(pyproject)
    for room in [room for layer in layers for room in layer]:
        assert texts.count(room) == 1
        assert room in root.find(f"{name}desc").text
    assert all(f"{other}." in texts for other in others)


def test_rooms_that_the_contract_and_the_script_do_not_share_are_named(script, pyproject):
    with pytest.raises(ValueError, match=r"differ in: attic$"):
        script.picture(pyproject.replace('    "cli",', '    "attic",\n    "cli",', 1))
    with pytest.raises(ValueError, match=r"differ in: cli$"):
        script.picture(pyproject.replace('    "cli",\n', "", 1))


def test_the_page_shows_the_picture_with_a_text_in_its_place_and_names_every_room(script):
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    (alt,) = re.findall(r"!\[([^]]+)\]\(architecture\.svg\)", page)
    assert len(alt) > 100
    rows = re.findall(r"^\| `(\w+)` \|", page, re.M)
    assert sorted(rows) == sorted(script.ROOMS)


def test_no_module_is_hidden_by_a_name_that_its_room_gives():
    for room in [netra_sim, *map(import_module, rooms())]:
        modules = {module.name for module in pkgutil.iter_modules(room.__path__)}
        hidden = {name for name in modules.intersection(getattr(room, "__all__", ())) if not is_module(room, name)}
        assert not hidden, f"{room.__name__}: which of the two is found depends on the order of imports"


def rooms():
    return [one.name for one in pkgutil.walk_packages(netra_sim.__path__, "netra_sim.") if one.ispkg]


def is_module(room, name):
    return isinstance(getattr(room, name), ModuleType)
