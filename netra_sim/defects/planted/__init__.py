"""Histories and source trees with a planted defect, and the reference histories of the certificate."""

from netra_sim.defects.planted.histories import PLANTED_HISTORIES, PlantedHistory
from netra_sim.defects.planted.sources import PLANTED_SOURCES, PlantedSource
from netra_sim.defects.planted.story import Story

__all__ = ["PLANTED_HISTORIES", "PLANTED_SOURCES", "PlantedHistory", "PlantedSource", "Story"]
