"""Names that modules have taken are replaced and put back, also in modules that come and go meanwhile."""

import sys
import weakref
from types import ModuleType

import pytest

from netra_sim.simulation.hosts.rebinding import rebound


def original():
    return "real"


def stand_in():
    return "virtual"


@pytest.fixture
def new_module(monkeypatch):
    def make(name, **names):
        module = ModuleType(name)
        vars(module).update(names)
        monkeypatch.setitem(sys.modules, name, module)
        return module

    return make


def test_taken_names_are_replaced_and_put_back_time_after_time(new_module):
    module = new_module("one_of_the_app", taken=original, other=len)
    for _ in range(3):
        with rebound({original: stand_in}):
            assert module.taken() == "virtual"
        assert (module.taken(), module.other) == ("real", len)


def test_a_module_that_is_imported_meanwhile_is_like_the_others_afterwards(new_module):
    with rebound({original: stand_in}):
        module = new_module("late", taken=stand_in)
    assert module.taken is original
    with rebound({original: stand_in}):
        assert module.taken is stand_in


def test_this_package_keeps_what_it_has_also_if_its_path_leads_over_a_link(new_module):
    module = new_module(
        "netra_sim.simulation.hosts.elsewhere", taken=original, __file__="/a/link/netra_sim/elsewhere.py"
    )
    with rebound({original: stand_in}):
        assert module.taken() == "real"


def test_contexts_may_overlap_and_a_module_may_come_in_the_inner_one(new_module):
    first = new_module("first", taken=original, length=len)
    with rebound({original: stand_in}):
        with rebound({len: sum}):
            late = new_module("late", taken=stand_in, length=sum)
            assert (first.taken, first.length) == (stand_in, sum)
        assert (late.taken, late.length, first.length) == (stand_in, len, len)
    assert [first.taken, late.taken] == [original] * 2


def test_a_module_that_is_imported_anew_is_seen_and_the_old_one_can_go():
    gone = []
    try:
        for _ in range(2):
            sys.modules["again"] = module = ModuleType("again")
            module.taken = original
            with rebound({original: stand_in}):
                assert module.taken is stand_in
            gone.append(weakref.ref(module))
    finally:
        del module, sys.modules["again"]
    assert [one() for one in gone] == [None, None]


def test_the_standard_library_keeps_what_it_took(new_module):
    import threading

    with rebound({threading._deque: list}):
        assert threading._deque is not list
