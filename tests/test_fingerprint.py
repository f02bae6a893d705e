"""What a verdict and a sweep are about: any edit of code or data is another fingerprint, and nothing else is."""

import shutil

import pytest

from netra_sim import fingerprint as module


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    for name in ("netra_sim", "notebooks", "tests"):
        shutil.copytree(module.CHECKOUT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(module, "PACKAGE", tmp_path / "netra_sim")
    monkeypatch.setattr(module, "CHECKOUT", tmp_path)
    return tmp_path


def now():
    return module.fingerprint.__wrapped__()


def test_a_copy_elsewhere_has_the_same_fingerprint(checkout):
    (checkout / "netra_sim" / "__pycache__").mkdir()
    (checkout / "netra_sim" / "__pycache__" / "x.pyc").write_bytes(b"x")
    assert now() == module.fingerprint()


@pytest.mark.parametrize(
    ("file", "parts"),
    [
        ("netra_sim/checks/delivery.py", {"package"}),
        ("netra_sim/verdict/claims.toml", {"package", "claims"}),
        ("netra_sim/simulation/scenarios/steady-load.toml", {"package", "scenarios"}),
        ("netra_sim/site/templates/style.css", {"package"}),
        ("notebooks/05_remediation_validation.ipynb", {"notebooks"}),
        ("tests/critical/test_websocket_emergency_cleanup_failure.py", {"tests"}),
        ("tests/conftest.py", {"tests"}),
        ("tests/report/test_claims.py", set()),
    ],
)
def test_an_edit_changes_the_digest_of_what_it_is_in(checkout, file, parts):
    before = now()
    path = checkout / file
    path.write_text(path.read_text("utf-8") + "\n", "utf-8")
    after = now()
    assert {name for name in before.__struct_fields__ if getattr(before, name) != getattr(after, name)} == parts
    assert (after.whole != before.whole) == bool(parts)
