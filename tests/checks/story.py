"""Helpers: histories written by hand, and the results of checks on them."""

from netra_sim import Objectives, check
from netra_sim.defects.planted.foreign import ForeignStory
from netra_sim.defects.planted.story import EVENTS, Story

__all__ = ["EVENTS", "OF_OTHER_SYSTEMS", "ForeignStory", "Story", "result_of", "states"]

OF_OTHER_SYSTEMS = ("event-order", "tokens", "disclosure", "work-after-leaving")
"""The checks that judge only what the clients and services of another system's history record."""


def states(history, **objectives):
    return {result.check: result.state for result in check(history, Objectives(**objectives))}


def result_of(history, name, **objectives):
    return next(result for result in check(history, Objectives(**objectives)) if result.check == name)
