"""The audit: who goes round the factory, the bridge and the Windows-safe layer, read out of source code.

`audit` reads any Python tree without importing it. It is a pass of our own over `ast`, as what it asks cannot be asked of
the engines that exist: import-linter and grimp know imports and no calls; ruff has no rule for these defects and cannot be
taught one, and its banned names would need one list for streaming functions and another for all others; ast-grep and
semgrep match by shape and lose a name at its first alias. All four stay right for what they do, and this repository's own
continuous integration runs import-linter and ruff. Reading is the greater part of the time, so a second parser beside
would only double it.

What it cannot see: values that go through containers, calls chosen at run time, and types that are annotated nowhere.
There it goes by names (``ws``, ``websocket_manager``), and says nothing where those say nothing.
"""

from netra_sim.audit.auditing import audit, config_of
from netra_sim.audit.config import Allowance, Config, ConfigError
from netra_sim.audit.formats import FORMATS, as_sarif, describe_rules
from netra_sim.audit.report import AuditFinding, AuditReport, RuleCount, as_results
from netra_sim.audit.rules import NOTICES, RULES, Rule

__all__ = [
    "FORMATS",
    "NOTICES",
    "RULES",
    "Allowance",
    "AuditFinding",
    "AuditReport",
    "Config",
    "ConfigError",
    "Rule",
    "RuleCount",
    "as_results",
    "as_sarif",
    "audit",
    "config_of",
    "describe_rules",
]
