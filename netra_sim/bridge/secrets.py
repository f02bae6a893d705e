"""Finds secrets in texts by their form, such as tokens, keys and passwords in URLs."""

import base64
import binascii
import re

from netra_sim.bridge.named_secrets import redact_named
from netra_sim.bridge.secret_names import REDACTED

HARMLESS_BELOW = 20
"""A text of fewer characters that is an identifier (letters, digits, underscores) matches none of the patterns below."""

_NAMES = (
    "key", "token", "secret", "passw", "passphrase", "pwd", "authori", "credential", "cookie", "jwt", "bearer", "connection",
)  # fmt: skip
_SCHEMES = "basic|bearer|digest|token|apikey|negotiate|ntlm|hawk|key"
_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(?P<keep>\b[a-zA-Z][a-zA-Z0-9+.\-]{0,30}://[^\s:/@]*:)[^\s/@]+(?=@)"), rf"\g<keep>{REDACTED}"),
    (re.compile(r"(?P<keep>\bbearer +)[A-Za-z0-9._~+/\-]{8,}=*", re.IGNORECASE), rf"\g<keep>{REDACTED}"),
    (
        re.compile(
            rf"(?P<keep>\bauthorization\\*[\"']?\s*[:=]\s*\\*[\"']?(?:(?:{_SCHEMES}) +(?!\[)"
            r"|(?:[a-z][a-z0-9_\-]{0,30} +)?(?=[^\s\"',;\\]{0,200}\d)(?=[^\s\"',;\\]{8})))[^\s\"',;\\]+",
            re.IGNORECASE,
        ),
        rf"\g<keep>{REDACTED}",
    ),
    (
        re.compile(
            r"(?P<keep>\b(?:set-)?cookie\\*[\"']?\s*:\s*\\*[\"']?)[^\s=;:,\"'\\]{1,64}=[^\r\n\"'\\]+", re.IGNORECASE
        ),
        rf"\g<keep>{REDACTED}",
    ),
    (re.compile(r"\bsk-[A-Za-z0-9_\-]{16,}"), REDACTED),
    (re.compile(r"\bAKIA[0-9A-Z]{16}\b"), REDACTED),
    (re.compile(r"\bgh[pousr]_[A-Za-z0-9]{20,}"), REDACTED),
    (
        re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL),
        REDACTED,
    ),
)
_BASIC = re.compile(r"(?P<keep>\bbasic +)(?P<credentials>[A-Za-z0-9+/_\-]+={0,2})", re.IGNORECASE)
_DOTTED = re.compile(r"[A-Za-z0-9_.\-]+")
_TOKEN_PART = re.compile(r"(?<![A-Za-z0-9_])eyJ[A-Za-z0-9_\-]{8,}\Z")


def is_harmless(text: str) -> bool:
    """Whether no pattern can match, because the text has none of the substrings that each pattern needs.

    Each test looks for a rare character first, because that is far cheaper than a substring search.
    """
    folded = _folded(text)
    return not (
        "=" in text
        or (":" in text and ("://" in text or _has_name(folded)))
        or ("-" in text and ("sk-" in text or "-----BEGIN" in text))
        or ("_" in text and "gh" in text)
        or ("J" in text and "eyJ" in text)
        or ("K" in text and "AKIA" in text)
        or ("[" in text and _has_name(folded))
        or "earer " in folded
        or "asic " in folded
    )


def _folded(text: str) -> str:
    """The text without case: it contains an ASCII word wherever a pattern that ignores case finds it.

    Such a pattern takes four other characters for ASCII letters: the long s, the sign of kelvin, and i with and without its
    dot. `str.casefold` changes the first two, and the third into i and a combining dot.
    """
    folded = text.casefold()
    return folded if text.isascii() else folded.replace("\u0307", "").replace("\u0131", "i")


def _has_name(folded: str) -> bool:
    for name in _NAMES:  # noqa: SIM110 - a generator for `any` would cost twice as much
        if name in folded:
            return True
    return False


def redact_text(text: str) -> str:
    """Replace passwords in URLs, tokens, keys and the values of ``password=...`` with `REDACTED`."""
    if is_harmless(text):
        return text
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    text = _BASIC.sub(_redact_basic, text)
    if "eyJ" in text:
        text = _DOTTED.sub(_redact_web_tokens, text)
    return redact_named(text)


def _redact_basic(found: re.Match[str]) -> str:
    """Redact ``Basic`` with the base64 of ``user:password`` (RFC 7617); other words after ``Basic`` stay."""
    text = found["credentials"].rstrip("=").translate(_TO_STANDARD)
    try:
        credentials = base64.b64decode(text + "=" * (-len(text) % 4), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return found[0]
    return f"{found['keep']}{REDACTED}" if ":" in credentials and credentials.isprintable() else found[0]


_TO_STANDARD = str.maketrans("-_", "+/")


def _redact_web_tokens(found: re.Match[str]) -> str:
    """Redact JSON Web Tokens (RFC 7519) in a dotted text: two parts that are base64 of ``{"...``, and a third part."""
    parts, kept, at = found[0].split("."), [], 0
    while at < len(parts):
        begin = _TOKEN_PART.search(parts[at]) if at + 2 < len(parts) and "eyJ" in parts[at] else None
        if begin is not None and parts[at + 1].startswith("eyJ") and len(parts[at + 1]) >= 11:
            kept.append(parts[at][: begin.start()] + REDACTED)
            at += 3
        else:
            kept.append(parts[at])
            at += 1
    return ".".join(kept)
