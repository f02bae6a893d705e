"""Finds secrets in a text by their names: in ``password=...``, in JSON nested in JSON, in the repr of a Python dict.

The time is linear in the length of the text: a value that was scanned for its end is not scanned again.
"""

import re
from functools import lru_cache

from netra_sim.bridge.secret_names import REDACTED, is_secret_name

_NAME = re.compile(
    r"(?:(?<!\\)(?P<escape>\\*)(?P<quote>[\"'])(?P<quoted>[^\"'\\]{1,64})(?P=escape)(?P=quote)"
    r"|(?<![A-Za-z0-9])(?:password|passwd|pwd|secret|api[_-]?key|access[_-]?key|token)\\*[\"']?)"
    r"\s*(?:=>|[=:])\s*",
    re.IGNORECASE,
)
_OPENING = re.compile(r"[bBrRuUfF]{0,2}(?P<escape>\\*)(?P<quote>[\"'])")
_BARE = re.compile(r"[^\s;&,'\"=]+")
_BARE_IN_JSON = re.compile(r"[^\s;&,'\"=\\\]}]+")
_NOTHING = frozenset({"null", "true", "false", "None", "True", "False"})
_QUOTE = {quote: re.compile(rf"(?<!\\)\\*{quote}") for quote in "\"'"}
_BRACKET_OR_QUOTE = re.compile(r"(?<!\\)(?P<escape>\\*)(?P<quote>[\"'])|(?P<bracket>[\[\]{}])")

_is_secret_name = lru_cache(4096)(is_secret_name)  # bounded memory: `_NAME` matches at most 64 characters


def redact_named(text: str) -> str:
    """Replace the values of secret names with `REDACTED`. Quotes stay, so JSON stays JSON."""
    parts: list[str] = []
    done = at = 0
    while (name := _NAME.search(text, at)) is not None:
        at = name.end()
        if name["quoted"] is None or _is_secret_name(name["quoted"]):
            begin, end, mark = _value(text, name)
            if begin < end:
                parts += text[done:begin], mark
                at = done = end
    parts.append(text[done:])
    return "".join(parts)


def _value(text: str, name: re.Match[str]) -> tuple[int, int, str]:
    """The begin and end of the value after a name, and its replacement. An unfinished value ends with the text."""
    begin = name.end()
    delimiter = "" if name["quoted"] is None else name["escape"] + name["quote"]
    if (opening := _OPENING.match(text, begin)) is not None:
        return opening.end(), _string_end(text, opening.end(), opening["quote"], len(opening["escape"]))[0], REDACTED
    if text[begin : begin + 1] in ("[", "{"):
        return begin, _bracket_end(text, begin, len(name["escape"] or "")), delimiter + REDACTED + delimiter
    bare = (_BARE if name["quoted"] is None else _BARE_IN_JSON).match(text, begin)
    if bare is None or (name["quoted"] is not None and bare[0] in _NOTHING):
        return begin, begin, ""
    return begin, bare.end(), delimiter + REDACTED + delimiter


def _string_end(text: str, begin: int, quote: str, opening: int) -> tuple[int, int]:
    """The end of a string's content, and of its closing quote; its opening quote has ``opening`` backslashes."""
    for found in _QUOTE[quote].finditer(text, begin):
        run = len(found[0]) - 1
        if _closes(run, opening):
            return found.end() - 1 - min(run, opening), found.end()
    return len(text), len(text)


def _closes(run: int, opening: int) -> bool:
    """Whether a quote after ``run`` backslashes ends a string that a quote after ``opening`` backslashes began.

    Each level of JSON in JSON doubles the backslashes and adds one before a quote.
    """
    while opening:
        if run % 2 == 0:
            return True  # It ends an outer string.
        run, opening = run // 2, opening // 2
    return run % 2 == 0


def _bracket_end(text: str, begin: int, escapes: int) -> int:
    """The position after the bracket that closes the one at ``begin``; each quote around it has ``escapes`` backslashes."""
    depth, at = 0, begin
    while (found := _BRACKET_OR_QUOTE.search(text, at)) is not None:
        at = found.end()
        if found["bracket"] is None:
            if len(found["escape"]) < escapes:
                return found.start()  # The outer string ends here.
            at = _string_end(text, at, found["quote"], len(found["escape"]))[1]
        elif found["bracket"] in "[{":
            depth += 1
        else:
            depth -= 1
            if depth == 0:
                return at
    return len(text)
