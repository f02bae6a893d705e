"""The package's version, from its metadata's single source."""

__version__ = "0.1.0"
