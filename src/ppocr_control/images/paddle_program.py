"""What a program of Paddle 2 (.pdmodel) takes and gives, read from its file.

The file is one protocol buffer message, ProgramDesc of Paddle's framework.proto; its first block
runs. Operators called feed and fetch name the variables, in the order of their attribute ``col``.
"""

from __future__ import annotations

import dataclasses

from . import protobuf

_BLOCK = 1
_VARIABLES, _OPERATORS = 3, 4
_INPUTS, _OUTPUTS, _TYPE, _ATTRIBUTES = 1, 2, 3, 4


class NotAProgram(ValueError):
    """The content is no program of Paddle 2, or is cut off."""


@dataclasses.dataclass(frozen=True)
class Variable:
    """A tensor that goes in or comes out.

    Attributes:
        data_type: as framework.proto numbers VarType.Type, 5 for float32.
        shape: -1 for a size that is known only as it runs.
        lod_level: levels of sequences of different lengths; 0 for a plain tensor.
    """

    name: str
    data_type: int
    shape: tuple[int, ...]
    lod_level: int


def ends(content: bytes) -> tuple[list[Variable], list[Variable]]:
    """What a program takes, and what it gives.

    Raises:
        NotAProgram: it names nothing of these, or is cut off.
    """
    try:
        block = next(protobuf.messages(memoryview(content), _BLOCK))
        taken = [_variable(block, name) for name in _names(block, b"feed", _OUTPUTS)]
        given = [_variable(block, name) for name in _names(block, b"fetch", _INPUTS)]
    except (protobuf.NotAMessage, StopIteration, RuntimeError, UnicodeDecodeError) as error:
        raise NotAProgram("no program of Paddle 2, or one that is cut off") from error
    if not taken or not given:
        raise NotAProgram("a program of Paddle 2 that was not exported for inference")
    return taken, given


def _names(block: memoryview, kind: bytes, side: int) -> list[bytes]:
    """Variables of the operators of a kind: OpDesc.Var.arguments of their inputs or outputs."""
    operators = [
        operator
        for operator in protobuf.messages(block, _OPERATORS)
        if bytes(next(protobuf.messages(operator, _TYPE))) == kind
    ]
    ordered = sorted(operators, key=_column)
    return [bytes(next(protobuf.messages(operator, side, 2))) for operator in ordered]


def _column(operator: memoryview) -> int:
    for attribute in protobuf.messages(operator, _ATTRIBUTES):
        if bytes(next(protobuf.messages(attribute, 1))) == b"col":
            return next(iter(protobuf.numbers(attribute, 3)), 0)
    return 0


def _variable(block: memoryview, name: bytes) -> Variable:
    """The variable of a name: VarDesc.type.lod_tensor, and in it the tensor and lod_level."""
    lod_tensor = next(
        tensor
        for described in protobuf.messages(block, _VARIABLES)
        if bytes(next(protobuf.messages(described, 1))) == name
        for tensor in protobuf.messages(described, 2, 3)
    )
    tensor = next(protobuf.messages(lod_tensor, 1))
    return Variable(
        name=name.decode(),
        data_type=next(iter(protobuf.numbers(tensor, 1)), 0),
        shape=tuple(protobuf.numbers(tensor, 2)),
        lod_level=next(iter(protobuf.numbers(lod_tensor, 2)), 0),
    )
