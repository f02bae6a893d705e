"""Turns a table such as ``[client] kind = "ag-ui"`` into the object of that kind, with the other fields as its settings."""

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from netra_sim.exceptions import NetraSimError
from netra_sim.near_names import did_you_mean
from netra_sim.own_code import OwnCodeError, own_class
from netra_sim.registry import Registry
from netra_sim.type_words import UNKNOWN_FIELD, in_everyday_words

S = TypeVar("S", bound=msgspec.Struct)


class ChoiceError(NetraSimError, ValueError):
    """A table names no kind that there is, or settings that the kind does not take; the message names the field."""


def chosen(table: object, kinds: Registry[type[S]], where: str, base: type[S]) -> S:
    """The object that a table describes.

    Args:
        table: the settings, with ``kind``: a name in the registry, or a class such as "my_tests.clients:Telnet".
        kinds: the kinds by name.
        where: the name of the table, for errors.
        base: the class that all kinds derive from.

    Raises:
        ChoiceError: there is no such kind, or it does not take these settings.
    """
    if not isinstance(table, Mapping):
        raise ChoiceError(f"{where} is a table with a kind, and is {table!r}")
    kind = kind_of(table.get("kind"), kinds, where, base)
    try:
        return msgspec.convert({**table, "kind": kind.__struct_config__.tag}, kind)
    except msgspec.ValidationError as error:
        reason, _, path = str(error).partition(" - at `$.")
        place = f"{where}.{path.rstrip('`')}" if path else where
        unknown = UNKNOWN_FIELD.match(reason)
        fields = kind.__struct_fields__
        hint = did_you_mean(unknown[1] if unknown else "", fields, f"{table['kind']} takes {', '.join(fields)}")
        raise ChoiceError(f"{place}: {in_everyday_words(reason)}; {hint}") from error


def kind_of(name: Any, kinds: Registry[type[S]], where: str, base: type[S]) -> type[S]:
    """The class of the kind of a table; for the arguments and the errors see `chosen`.

    A class of one's own has its place as its tag, so that a scenario that is written out names it as well.
    """
    known = f'{", ".join(kinds)}, or a class of your own as "module:Class"'
    if not isinstance(name, str):
        raise ChoiceError(f"{where}.kind is {name!r}; it takes {known}")
    if ":" not in name:
        if name in kinds:
            return kinds[name]
        hint = did_you_mean(name, kinds)
        raise ChoiceError(f"{where}.kind is {name!r}; {hint}{hint and ' '}it takes {known}")
    try:
        found = own_class(name, base, f"{where}.kind")
    except OwnCodeError as error:
        raise ChoiceError(str(error)) from error
    tag = str(found.__struct_config__.tag)
    if tag != name and kinds.get(tag) is not found:
        raise ChoiceError(
            f"{where}.kind is {name!r}, and the class has the tag {tag!r}; a class of your own is tagged with its place: "
            f'class {found.__name__}({found.__bases__[0].__name__}, frozen=True, kw_only=True, tag="{name}")'
        )
    return found
