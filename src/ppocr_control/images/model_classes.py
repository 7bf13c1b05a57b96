"""How many classes a model tells apart: the width of its last layer, read from its file.

Of a recognition model that is the number of characters it knows, and a blank. What a file does not
say, because its shape is computed as it runs, is not known here.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ppocr_contract.models import PROGRAM_FILES, ModelError

from . import paddle_program, protobuf


def classes(program: Path) -> int | None:
    """The number of classes of a program file of any form; None if the file does not say it."""
    read = {".onnx": _of_onnx, ".pdmodel": _of_paddle_2, ".json": _of_paddle_3}[program.suffix]
    try:
        sizes = read(program.read_bytes())
    except (ModelError, ValueError, LookupError, TypeError, StopIteration, RuntimeError):
        return None
    return sizes[-1] if sizes and sizes[-1] > 0 else None


def _of_onnx(content: bytes) -> list[int]:
    """Sizes of the first output: ModelProto.graph.output, and in it type.tensor_type.shape.dim."""
    output = next(protobuf.messages(memoryview(content), 7, 12))
    sizes = (protobuf.numbers(dim, 1) for dim in protobuf.messages(output, 2, 1, 2, 1))
    return [(size or [-1])[0] for size in sizes]


def _of_paddle_2(content: bytes) -> list[int]:
    """Sizes of what the program gives first."""
    return list(paddle_program.ends(content)[1][0].shape)


def _of_paddle_3(content: bytes) -> list[int]:
    """Sizes of what the fetch operator hands out."""
    fetch = next(op for op in paddle_3_operators(content) if _is_fetch(op))
    return list(fetch["O"][0]["TT"]["D"][1])


def _is_fetch(operator: dict[str, Any]) -> bool:
    return str(operator["#"]).rpartition(".")[2] == "fetch"


def paddle_3_operators(content: bytes) -> list[dict[str, Any]]:
    """The operators of a program of Paddle 3, among them one that hands out its result.

    Raises:
        ModelError: the content is not such a program.
    """
    try:
        operators = json.loads(content)["program"]["regions"][0]["blocks"][0]["ops"]
        if any(map(_is_fetch, operators)):
            return list(operators)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        pass
    raise ModelError(
        f"{PROGRAM_FILES[1]} is not a program of Paddle 3: give the model as it was exported"
    )
