"""Certifies the checks and the runtime as they are: ``python -m netra_sim.exploration``, after their tests have passed."""

from netra_sim.defects.certificate import certify

certify()
