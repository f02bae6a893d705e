"""What people read about the fields of a scenario."""

import msgspec

from netra_sim.distributions import LogNormal
from netra_sim.history import Objectives
from netra_sim.schema import fields_of, limits
from netra_sim.simulation import FAULTS, Limits, Network, Resources, Workload


def units(kind):
    return {field.name: field.unit for field in fields_of(kind)}


def test_a_field_has_the_unit_that_its_description_its_name_or_its_class_names():
    assert units(Workload)["window"] == "s"  # "seconds over which ..."
    assert units(Network)["bandwidth"] == "bytes/s"
    assert units(Limits)["agent_seconds"] == "s"  # by its name
    assert units(FAULTS["disconnect-storm"])["every"] == "s"  # "every ``every`` seconds" in the sentence on the class
    assert units(Objectives)["delivery_p95"] == "s"  # "the same" as the objective before it
    assert units(Objectives)["delivered"] == "share"
    assert units(Workload)["runs_per_user"] == units(LogNormal)["sigma"] == ""


def test_a_fault_has_the_descriptions_that_all_faults_share():
    described = {field.name: field.about for field in fields_of(FAULTS["deploy"])}
    assert described["at"] == "when it begins, in seconds."


def test_a_field_that_may_be_left_out_differs_from_one_that_must_be_given():
    defaults = {field.name: field.default for field in fields_of(Resources)}
    assert defaults["model"] is msgspec.UNSET
    median, sigma = fields_of(LogNormal)
    assert (median.default, sigma.default) == (msgspec.NODEFAULT, 0.5)


def test_bounds_are_told_in_signs():
    tabs = next(field for field in fields_of(Workload) if field.name == "tabs_per_user")
    assert limits(tabs.kind) == ">= 1 and <= 64"
    assert limits(tabs.kind, below=64) == ">= 1"
