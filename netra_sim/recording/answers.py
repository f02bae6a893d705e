"""Compares the answer that a client received with the right answer to its question."""


def how_answered(answer: object, expected: object = None) -> tuple[str, str]:
    """Judge the final answer of a run.

    Args:
        answer: as it was received.
        expected: the right answer; None if it is not known, and then any answer but an empty one is complete.

    Returns:
        "complete", "empty", "truncated" or "wrong", and the reason in words, "" for "complete".
    """
    if answer is None or answer in ("", [], {}):
        return "empty", "the run completed without an answer"
    if expected is None or answer == expected:
        return "complete", ""
    if _is_part(answer, expected):
        return "truncated", f"the answer ends early: {_short(answer)}"
    return "wrong", f"the answer is {_short(answer)}; its question has {_short(expected)}"


def _is_part(answer: object, whole: object) -> bool:
    if isinstance(answer, str):
        return str(whole).startswith(answer)
    if isinstance(answer, dict) and isinstance(whole, dict):
        return all(key in whole and (whole[key] == part or _is_part(part, whole[key])) for key, part in answer.items())
    if isinstance(answer, list) and isinstance(whole, list):
        return len(answer) < len(whole) and answer == whole[: len(answer)]
    return False


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 120 else f"{text[:117]}..."
