"""Rewrites what a function's code reads: every value that a name or an attribute gives passes through a table.

``x`` becomes ``table[x]``, in the byte code, so the function keeps its own globals and closure, and needs no source.
"""

import dis
import sys
from types import CodeType
from typing import Any

from bytecode import BinaryOp, Bytecode, Instr
from bytecode.instr import CellVar, FreeVar

_READS = frozenset(
    {
        "IMPORT_FROM",
        "LOAD_ATTR",
        "LOAD_CLASSDEREF",
        "LOAD_DEREF",
        "LOAD_FROM_DICT_OR_DEREF",
        "LOAD_FROM_DICT_OR_GLOBALS",
        "LOAD_GLOBAL",
        "LOAD_METHOD",
        "LOAD_NAME",
        "LOAD_SUPER_ATTR",
    }
)
_NULL_IS_ON_TOP = sys.version_info >= (3, 13)
"""Whether what a call needs beside the function (NULL, or the self of a method) lies above it on the stack, or below."""

_SUBSCRIPT = ("BINARY_SUBSCR",) if "BINARY_SUBSCR" in dis.opmap else ("BINARY_OP", BinaryOp["SUBSCR"])


def is_rewritten(code: CodeType, table: object) -> bool:
    """Whether `rewrite_reads` has made this code, with this table."""
    return any(constant is table for constant in code.co_consts)


def rewrite_reads(code: CodeType, table: object) -> CodeType:
    """The same code, in which each value that is read is ``table[value]``; the code of nested functions and classes too.

    Read are global names, variables of functions that enclose this one, attributes, and names that are imported from a
    module. Local variables are not: their values were read before, or are arguments. Line numbers and columns stay.
    """
    rewritten = _rewritten(code, table, frozenset(code.co_freevars))
    # Code that reads nothing is marked too.
    return rewritten.replace(co_consts=(*rewritten.co_consts, table))


def _rewritten(code: CodeType, table: object, enclosing: frozenset[str]) -> CodeType:
    instructions = Bytecode.from_code(code, conserve_exception_block_stackdepth=True)
    rewritten: list[Any] = []
    for instruction in instructions:
        if isinstance(instruction, Instr) and isinstance(instruction.arg, CodeType):
            nested = instruction.arg
            instruction.arg = _rewritten(nested, table, enclosing & frozenset(nested.co_freevars))
        rewritten.append(instruction)
        if isinstance(instruction, Instr) and _is_read(instruction, enclosing):
            rewritten += _look_up(instruction, table)
    instructions[:] = rewritten
    # A look-up needs one place on the stack, and leaves none behind: every depth in the exception table stays right.
    return instructions.to_code(stacksize=code.co_stacksize + 1, compute_exception_stack_depths=False)


def _is_read(instruction: Instr, enclosing: frozenset[str]) -> bool:
    if instruction.name not in _READS:
        return False
    # A variable of the function's own that an inner one shares is read as others are: not at all.
    variable = instruction.arg
    return not isinstance(variable, CellVar) and (not isinstance(variable, FreeVar) or variable.name in enclosing)


def _look_up(read: Instr, table: object) -> list[Instr]:
    """What follows a read: replaces the value on top of the stack."""

    def then(name: str, *argument: Any) -> Instr:
        return Instr(name, *argument, location=read.location)

    look_up = [then("LOAD_CONST", table), then("SWAP", 2), then(*_SUBSCRIPT)]
    is_for_a_call = isinstance(read.arg, tuple) and read.arg[0]
    if _NULL_IS_ON_TOP and is_for_a_call:
        return [then("SWAP", 2), *look_up, then("SWAP", 2)]
    return look_up
