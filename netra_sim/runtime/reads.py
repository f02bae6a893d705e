"""Rewrites a function's byte code so that every value that it reads by a name or an attribute passes through a table.

``x`` becomes ``table[x]``. The function keeps its globals and closure, and its source is not needed.
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
"""Whether a call's extra operand (NULL, or the self of a method) is above the function on the stack; else it is below."""

_SUBSCRIPT = ("BINARY_SUBSCR",) if "BINARY_SUBSCR" in dis.opmap else ("BINARY_OP", BinaryOp["SUBSCR"])


def is_rewritten(code: CodeType, table: object) -> bool:
    """Whether `rewrite_reads` made this code with this table."""
    return any(constant is table for constant in code.co_consts)


def rewrite_reads(code: CodeType, table: object) -> CodeType:
    """Rewrite a function's code, and that of nested functions and classes, so that each read gives ``table[value]``.

    Reads are those of global names, variables of enclosing functions, attributes, and names imported from a module. Local
    variables do not count: their values were read before, or are arguments. Line numbers and columns stay.
    """
    rewritten = _rewritten(code, table, frozenset(code.co_freevars))
    # This marks the code for `is_rewritten`, even if it reads nothing.
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
    # A look-up needs one stack entry and leaves none, so every depth in the exception table stays right.
    return instructions.to_code(stacksize=code.co_stacksize + 1, compute_exception_stack_depths=False)


def _is_read(instruction: Instr, enclosing: frozenset[str]) -> bool:
    if instruction.name not in _READS:
        return False
    # A local variable that an inner function shares is still a local variable.
    variable = instruction.arg
    return not isinstance(variable, CellVar) and (not isinstance(variable, FreeVar) or variable.name in enclosing)


def _look_up(read: Instr, table: object) -> list[Instr]:
    """The instructions after a read: they replace the value on top of the stack."""

    def then(name: str, *argument: Any) -> Instr:
        return Instr(name, *argument, location=read.location)

    look_up = [then("LOAD_CONST", table), then("SWAP", 2), then(*_SUBSCRIPT)]
    is_for_a_call = isinstance(read.arg, tuple) and read.arg[0]
    if _NULL_IS_ON_TOP and is_for_a_call:
        return [then("SWAP", 2), *look_up, then("SWAP", 2)]
    return look_up
