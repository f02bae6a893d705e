"""Certifies the checks and the runtime as they are: ``python -m netra_sim.defects``, after their tests have passed."""

from netra_sim.defects.certificate import certify

certify()
