"""The literal text of a call."""

import ast


def text_of(node: ast.Call) -> str:
    """The first argument if it is a literal text, the literal ``type`` of a message, or ``return_exceptions``."""
    for keyword in node.keywords:
        if keyword.arg == "return_exceptions" and isinstance(keyword.value, ast.Constant) and keyword.value.value:
            return "return_exceptions"
    match node.args:
        case [ast.Constant(value=str(text)), *_]:
            return _writable(text)
        case [ast.Dict(keys=keys, values=values), *_]:
            for key, value in zip(keys, values, strict=True):
                if isinstance(key, ast.Constant) and key.value == "type" and isinstance(value, ast.Constant):
                    return _writable(str(value.value))
    return ""


def _writable(text: str) -> str:
    """The beginning of a text, without lone surrogates: a literal can hold them, and a file cannot."""
    return text[:200].encode("utf-8", "replace").decode()
