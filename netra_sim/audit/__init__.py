"""The audit: it finds source code that goes round the factory, the bridge or the Windows-safe layer.

`audit` reads any Python tree and does not import it. It walks the tree of `ast` itself, because no existing engine can
answer its questions. import-linter and grimp know imports and no calls. ruff has no rule for these defects and takes no
plugins; its list of banned names cannot differ between streaming functions and others. ast-grep and semgrep match shapes
and lose a name at its first alias. astroid infers types, but takes eight times as long as this audit on netra_sim,
and finds the target of two calls in three. griffe is fast and skips function bodies, where the calls are.

The audit does not see values that pass through containers, calls that the code chooses at run time, and types that no
annotation shows. There it goes by names (``ws``, ``websocket_manager``), and reports nothing where names say nothing.
"""

from netra_sim.audit.auditing import audit, config_of
from netra_sim.audit.config import Allowance, Config, ConfigError
from netra_sim.audit.formats import FORMATS, as_sarif, describe_rules, sarif_results, sarif_rules
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
    "sarif_results",
    "sarif_rules",
]
