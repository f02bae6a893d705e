"""The failure explorer's controls in JupyterLab."""

from netra_sim.studies.controls.panel import Controls

__all__ = ["Controls"]
