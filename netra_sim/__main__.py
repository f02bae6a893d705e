"""``python -m netra_sim`` is the command ``netra-sim``."""

from netra_sim.cli import main

main()
