"""Imported first by the common parent of all workers: one thread a process, for forking and because each has one core."""

import os

for _library in ("OPENBLAS", "OMP", "MKL"):
    os.environ.setdefault(f"{_library}_NUM_THREADS", "1")
