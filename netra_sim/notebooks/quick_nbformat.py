"""nbformat, imported in a tenth of a second.

It imports jsonschema, which takes another second and a half to compile grammars for formats that notebooks do not use.
"""

from netra_sim.lazy import left_out

with left_out("rfc3987_syntax"):
    import nbformat

__all__ = ["nbformat"]
