"""The notebooks: which there are, how they run, and what they say together."""

from netra_sim.notebooks.catalogue import NOTEBOOKS, VALIDATION, Notebook

__all__ = [
    "NOTEBOOKS",
    "VALIDATION",
    "Notebook",
]
