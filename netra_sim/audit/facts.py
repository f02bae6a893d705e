"""The facts that the audit keeps of a module: names, functions, classes and calls, without the syntax tree."""

from enum import IntEnum

import msgspec

from netra_sim.audit.paths import AccessPath


class ResultUse(IntEnum):
    """What the code does with the result of a call."""

    USED = 0
    AWAITED = 1
    AWAITED_AND_DROPPED = 2
    DROPPED = 3
    KEPT_AS_PARTIAL = 4
    PASSED_ON = 5


class Call(msgspec.Struct, frozen=True, array_like=True):
    """A call, or a function that is passed on without a call.

    Attributes:
        path: what is called.
        line: counted from 1.
        column: in bytes of UTF-8, counted from 1.
        function: index of the function that contains the call; -1 at module level.
        use: what the code does with the result.
        inside: index of the call that has this one in its arguments, or -1.
        arguments: paths of the arguments that are names.
        is_by_name: whether a name or an attribute gives the function; `windows_asyncio_safe` replaces only these.
        handler: line and column of the broad handler that swallows a failure of the call; (0, 0) without one.
        text: the first argument if it is a literal text, the literal ``type`` of a message, or ``return_exceptions``.
    """

    path: AccessPath
    line: int
    column: int
    function: int
    use: ResultUse
    inside: int = -1
    arguments: tuple[AccessPath, ...] = ()
    is_by_name: bool = True
    handler: tuple[int, int] = (0, 0)
    text: str = ""


class Function(msgspec.Struct, array_like=True):
    """A function, method, nested function or lambda.

    Attributes:
        name: with the classes and functions around it, such as ``Hub.send`` or ``serve.reply``.
        parent: index of the function around it, or -1.
        owner: name of the class that it is a method of, or "".
        decorators: their paths, the outermost first.
        is_generator: whether it yields.
        returns: path of what it returns, if known.
        returns_bool: whether it is annotated to return bool, or returns True or False.
        is_trivial: whether it only declares.
        iterates: paths that it iterates over asynchronously.
        callback_of: paths of the calls that receive it as an argument.
    """

    name: str
    line: int
    column: int
    parent: int
    owner: str
    is_async: bool
    parameters: tuple[str, ...]
    decorators: tuple[AccessPath | None, ...] = ()
    is_generator: bool = False
    returns: AccessPath | None = None
    returns_bool: bool = False
    is_trivial: bool = False
    iterates: list[AccessPath] = []
    callback_of: list[AccessPath] = []

    @property
    def is_public(self) -> bool:
        """Whether it is a public function at module level."""
        return self.parent < 0 and not self.owner and not self.name.startswith(("_", "<"))

    @property
    def decorator_names(self) -> list[str]:
        """The last names of its decorators, the outermost first."""
        return [path.name if path else "" for path in self.decorators]


class Class(msgspec.Struct, array_like=True):
    """A class.

    Attributes:
        bases: their paths.
        attributes: paths of the values of its attributes; None for an unknown value.
        methods: indices of its methods by name.
        is_nested: whether a function or another class contains it.
        is_frozen: whether its instances do not change.
        changes_itself: whether a method other than the constructor changes its attributes or their contents.
    """

    name: str
    line: int
    column: int
    bases: tuple[AccessPath | None, ...]
    decorators: tuple[AccessPath | None, ...]
    is_nested: bool
    is_frozen: bool
    attributes: dict[str, AccessPath | None] = {}
    methods: dict[str, int] = {}
    changes_itself: bool = False


class SharedName(msgspec.Struct, frozen=True, array_like=True):
    """A name of a module or a class; all users could share its value.

    Attributes:
        owner: the class that has it as an attribute, or "".
        value: path of its value, if known.
        is_container: whether it is made as a list, dictionary, set or the like.
        is_primitive: whether it is a queue, an event or a condition, which exist to be changed.
    """

    name: str
    owner: str
    line: int
    column: int
    value: AccessPath | None
    is_container: bool = False
    is_primitive: bool = False


class Change(msgspec.Struct, frozen=True, array_like=True):
    """Code in a function that changes the value at a path, or binds its name anew."""

    path: AccessPath
    line: int
    column: int
    function: int
    is_rebinding: bool = False


class Patch(msgspec.Struct, frozen=True, array_like=True):
    """Code that replaces an attribute from outside: an assignment, ``setattr``, or a patch of a test library.

    Attributes:
        owner: path of the module, class or object; None for a name without an owner.
        name: the attribute; "" for the owner itself, or for several or unknown attributes.
    """

    owner: AccessPath | None
    name: str
    line: int
    column: int
    function: int


class Body(msgspec.Struct, frozen=True, array_like=True):
    """The digest of a function's body; it does not depend on the names of local variables."""

    digest: str
    name: str
    line: int
    column: int
    lines: int


class Module(msgspec.Struct, array_like=True):
    """All facts of one file.

    Attributes:
        name: dotted, from the folder that contains the outermost package.
        file: as findings show it, with ``/``.
        names: paths of the names that the module level binds; None for an unknown value.
        stars: modules that it imports all names of.
        imports: modules and names that it imports, at any level.
        decorated_later: functions that are the only argument of a call, each with the path of what is called.
        error: why the audit cannot read it, or "".
        error_line: the line of the error, counted from 1.
    """

    name: str
    file: str
    is_package: bool = False
    lines: int = 0
    names: dict[str, AccessPath | None] = {}
    stars: list[AccessPath] = []
    imports: list[AccessPath] = []
    functions: list[Function] = []
    classes: dict[str, Class] = {}
    calls: list[Call] = []
    states: list[SharedName] = []
    changes: list[Change] = []
    patches: list[Patch] = []
    bodies: list[Body] = []
    decorated_later: list[tuple[AccessPath, AccessPath]] = []
    error: str = ""
    error_line: int = 1
