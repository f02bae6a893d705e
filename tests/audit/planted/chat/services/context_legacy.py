from typing import Protocol

from chat.services import context


class UserContext:  # defect: NS501
    def __init__(self, user_id):
        self.user = user_id


def get_manager(name):  # defect: NS501
    return name


class Resolver:
    def resolve(self, identifier, sep="_"):  # defect: NS501
        """Guesses."""
        pieces = identifier.split(sep)
        if len(pieces) < 3:
            return None
        hits = [piece for piece in pieces if piece.startswith("thread")]
        if not hits:
            return None
        return sep.join([hits[0], pieces[-1]])


def label(thread, short):  # fine
    return thread.title if short else str(thread)


class Base(context.Base):  # fine
    pass


class _Entry:  # fine
    pass


class Sender(Protocol):  # fine
    def send(self, text: str) -> None: ...


def thread_of_other(run_id, separator="_"):  # fine
    """Alike, and yet another thing."""
    parts = run_id.split(separator)
    if len(parts) < 3:
        return None
    found = [part for part in parts if part.endswith("thread")]
    if not found:
        return None
    return separator.join([found[0], parts[-1]])


def main():  # fine
    print("legacy")
