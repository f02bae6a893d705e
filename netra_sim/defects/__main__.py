"""Certifies the checks and the runtime as they are now: run ``python -m netra_sim.defects`` when their tests pass."""

from netra_sim.defects.certificate import certify

certify()
