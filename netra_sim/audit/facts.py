"""What is kept of a module once it has been read: names, functions, classes and calls, without its syntax tree.

A *path* says where an expression's value comes from, as far as its module shows it: ``asyncio.sleep``,
``app.hub.Hub().send`` (a method of an instance), ``app.hub.Hub().sockets[]`` (an element). ``~`` in front means reached
through a partial, a default or another object that holds it; ``*`` in front, a container of such values; ``?``, a local
name of which nothing is known. `Tree.resolve` follows a path through the other modules.
"""

from enum import IntEnum

import msgspec


class Fate(IntEnum):
    """What becomes of a call's result."""

    USED = 0
    AWAITED = 1
    AWAITED_AND_DROPPED = 2
    DROPPED = 3
    KEPT_AS_PARTIAL = 4
    HANDED_ON = 5


class Call(msgspec.Struct, frozen=True, array_like=True):
    """A call, or a function that is handed on without being called.

    Attributes:
        path: what is called.
        function: index of the function that it stands in; -1 for the module's own level.
        fate: what becomes of its result.
        inside: index of the call whose argument it is part of; -1 if of none.
        arguments: paths of the arguments that are names.
        is_read: whether a name or an attribute gives the function, as `windows_asyncio_safe` replaces it.
        handler: line and column of the broad handler that swallows its failure; (0, 0) if there is none.
        text: its first argument, if that is a literal text, or the literal ``type`` of a message.
    """

    path: str
    line: int
    column: int
    function: int
    fate: Fate
    inside: int = -1
    arguments: tuple[str, ...] = ()
    is_read: bool = True
    handler: tuple[int, int] = (0, 0)
    text: str = ""


class Function(msgspec.Struct, array_like=True):
    """A function, method or nested function.

    Attributes:
        name: with its module's classes and functions in front, as in ``Hub.send`` or ``serve.reply``.
        parent: index of the function that it is nested in, or -1.
        owner: name of the class that it is a method of, or "".
        decorators: their paths, the outermost first.
        is_generator: whether it yields.
        returns: path of what it returns, or "".
        returns_bool: whether it is annotated to return bool, or returns True or False.
        is_trivial: whether it only declares.
        iterates: paths that it iterates over asynchronously.
        callback_of: paths of the calls that it is handed to as an argument, with the keyword.
    """

    name: str
    line: int
    column: int
    parent: int
    owner: str
    is_async: bool
    parameters: tuple[str, ...]
    decorators: tuple[str, ...] = ()
    is_generator: bool = False
    returns: str = ""
    returns_bool: bool = False
    is_trivial: bool = False
    iterates: list[str] = []
    callback_of: list[str] = []

    @property
    def is_public(self) -> bool:
        """Whether it is of the module's own level and meant for others."""
        return self.parent < 0 and not self.owner and not self.name.startswith(("_", "<"))


class Class(msgspec.Struct, array_like=True):
    """A class.

    Attributes:
        attributes: paths of what its attributes hold, as far as known.
        methods: indices of its methods' functions by name.
        is_nested: whether it stands in a function or in another class.
        changes_itself: whether a method other than the constructor changes its attributes or what they hold.
    """

    name: str
    line: int
    column: int
    bases: tuple[str, ...]
    decorators: tuple[str, ...]
    is_nested: bool
    is_frozen: bool
    attributes: dict[str, str] = {}
    methods: dict[str, int] = {}
    changes_itself: bool = False


class SharedName(msgspec.Struct, frozen=True, array_like=True):
    """A name of a module or a class whose value could be shared by all users.

    Attributes:
        owner: the class it is an attribute of, or "".
        value: path of its value.
        is_container: whether it is made as a list, dictionary, set or the like.
        is_primitive: whether it is a queue, an event or a condition, which exist to be changed.
    """

    name: str
    owner: str
    line: int
    column: int
    value: str
    is_container: bool = False
    is_primitive: bool = False


class Change(msgspec.Struct, frozen=True, array_like=True):
    """A place in a function that changes what a path leads to, or binds its name anew."""

    path: str
    line: int
    column: int
    function: int
    is_rebinding: bool = False


class Patch(msgspec.Struct, frozen=True, array_like=True):
    """A place that puts something else where a path leads: an assignment, ``setattr``, or a patch of a test library."""

    path: str
    line: int
    column: int
    function: int


class Body(msgspec.Struct, frozen=True, array_like=True):
    """A function's body with its own names taken out, for comparison."""

    digest: str
    name: str
    line: int
    column: int
    lines: int


class Module(msgspec.Struct, array_like=True):
    """All facts of one file.

    Attributes:
        name: dotted, from the folder in which its outermost package lies.
        file: as it is shown, with ``/``.
        names: paths of what the module's own level binds.
        stars: modules whose names it imports all of.
        imports: modules that it imports, at any level.
        decorated_later: functions that a call with them as its only argument takes, each with the path of what is called.
        error: why it could not be read, or "", and the line.
    """

    name: str
    file: str
    is_package: bool = False
    lines: int = 0
    names: dict[str, str] = {}
    stars: list[str] = []
    imports: list[str] = []
    functions: list[Function] = []
    classes: dict[str, Class] = {}
    calls: list[Call] = []
    states: list[SharedName] = []
    changes: list[Change] = []
    patches: list[Patch] = []
    bodies: list[Body] = []
    decorated_later: list[tuple[str, str]] = []
    error: str = ""
    error_line: int = 1
