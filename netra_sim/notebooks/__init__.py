"""The notebooks: the catalogue, how they run, and their joint outcome."""

from netra_sim.notebooks.catalogue import NOTEBOOKS, VALIDATION, Notebook

__all__ = [
    "NOTEBOOKS",
    "VALIDATION",
    "Notebook",
]
