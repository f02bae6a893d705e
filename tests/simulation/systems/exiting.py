"""Exits while it is imported, as a program does that finds a setting missing."""

import sys

sys.exit("MODEL_URL is not set")
