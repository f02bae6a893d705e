"""Histories and source trees with a known defect, and reference histories without one."""
