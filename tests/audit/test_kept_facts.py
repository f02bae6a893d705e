"""Facts that are kept between audits: the findings are those of an audit without them, whatever happened in between."""

import os
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from netra_sim.audit import audit, kept_facts
from netra_sim.user_cache import VARIABLE, cache_folder

PATCH = "import asyncio\nasyncio.sleep = None\n"


@pytest.fixture
def tree(tmp_path):
    folder = tmp_path / "tree"
    folder.mkdir()
    (folder / "good.py").write_text("x = 1\n")
    (folder / "bad.py").write_text(PATCH)
    (folder / "broken.py").write_text("def half(:\n")
    return folder


@pytest.fixture
def kept(tmp_path):
    return tmp_path / "kept"


def files(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


def test_an_audit_with_kept_facts_finds_what_an_audit_without_them_finds(tree, kept):
    expected = audit(tree)
    assert audit(tree, cache=kept) == expected
    assert len(files(kept)) == 1
    assert audit(tree, cache=kept) == expected


def test_an_edit_is_seen_even_if_size_and_time_of_the_file_stay(tree, kept):
    audit(tree, cache=kept)
    before = (tree / "bad.py").stat()
    (tree / "bad.py").write_text(PATCH.replace("None", "dict"))
    os.utime(tree / "bad.py", ns=(before.st_atime_ns, before.st_mtime_ns))
    (tree / "good.py").write_text(PATCH)
    (tree / "broken.py").unlink()
    assert audit(tree, cache=kept) == audit(tree)


def test_a_moved_file_has_its_new_name(tree, kept):
    audit(tree, cache=kept)
    (tree / "bad.py").rename(tree / "moved.py")
    (tree / "good.py").rename(tree / "bad.py")
    assert audit(tree, cache=kept) == audit(tree)


def test_unchanged_files_are_not_parsed_again_and_all_are_after_an_upgrade(tree, kept, monkeypatch):
    audit(tree, cache=kept)
    reading = sys.modules["netra_sim.audit.reading"]
    parsed = []
    parse = reading.ast.parse
    monkeypatch.setattr(reading.ast, "parse", lambda data, filename: parsed.append(filename) or parse(data, filename))
    audit(tree, cache=kept)
    assert [name.rpartition("/")[2] for name in parsed] == ["broken.py"]
    parsed.clear()
    monkeypatch.setattr(kept_facts, "_version", lambda: "another version")
    audit(tree, cache=kept)
    assert len(parsed) == 3


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-1], lambda data: b"", lambda data: data.replace(b"sleep", b"sleek")]
)
def test_a_damaged_file_counts_as_no_file(tree, kept, damage):
    expected = audit(tree, cache=kept)
    (file,) = files(kept)
    file.write_bytes(damage(file.read_bytes()))
    assert audit(tree, cache=kept) == expected
    assert audit(tree, cache=kept) == expected


def test_facts_of_another_form_count_as_none(tree, kept):
    expected = audit(tree, cache=kept)
    (file,) = files(kept)
    kept_facts.KeptFiles(file.parent, 1).write(file.name, b"\x93another form")
    assert audit(tree, cache=kept) == expected


def test_a_folder_that_cannot_be_written_stops_nothing(tree, tmp_path):
    (tmp_path / "file").write_text("")
    assert audit(tree, cache=tmp_path / "file") == audit(tree)


def test_audits_at_the_same_time_do_not_disturb_each_other(tree, kept):
    expected = audit(tree)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: audit(tree, cache=kept), range(24)))
    assert found == [expected] * 24
    assert [path.suffix for path in files(kept)] == [""]


def test_only_the_folders_audited_last_are_kept(tree, kept, monkeypatch):
    monkeypatch.setattr(kept_facts, "_MOST_TREES", 2)
    for name in "abc":
        (tree / name).mkdir()
        (tree / name / "one.py").write_text("x = 1\n")
        audit(tree / name, cache=kept)
    assert len(files(kept)) == 2


def test_a_variable_moves_the_folder_or_switches_it_off(monkeypatch, tmp_path):
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.setenv(VARIABLE, "off")
    assert cache_folder() is None
    monkeypatch.delenv(VARIABLE)
    assert "netra_sim" in cache_folder().parts
