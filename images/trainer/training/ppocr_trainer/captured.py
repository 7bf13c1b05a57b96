"""The checkout's own tools, run up to the point where they would train or evaluate.

So the model, the loaders and the loaded weights are those of the real run, whatever the network is.
"""

from __future__ import annotations

import os
import runpy
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import paddle

#: Functions of tools.program that were not called.
_ORIGINAL: dict[str, Callable[..., Any]] = {}


class _Reached(Exception):
    """Carries what the tool handed to the function that was to do the work."""


def reach(source: Path, command: Sequence[str], function: str) -> list[Any]:
    """Return the arguments with which a tool calls ``tools.program.<function>``.

    Raises:
        SystemExit: the tool ended before.
    """
    os.chdir(source)
    sys.path.insert(0, str(source))
    sys.argv = list(command)
    import tools.program as program

    _ORIGINAL[function] = getattr(program, function)

    def stand_in(*arguments: Any, **_: Any) -> None:
        raise _Reached(arguments)

    setattr(program, function, stand_in)
    try:
        runpy.run_path(command[0], run_name="__main__")
    except _Reached as reached:
        return list(reached.args[0])
    raise SystemExit(f"{' '.join(command)} ended before it came to {function}")


def original(function: str) -> Callable[..., Any]:
    """The function that :func:`reach` kept from being called."""
    return _ORIGINAL[function]


def model_of(arguments: Sequence[Any]) -> paddle.nn.Layer:
    """The model among the arguments: of the layers, losses too, the one with most tensors."""
    layers = [each for each in arguments if isinstance(each, paddle.nn.Layer)]
    return max(layers, key=lambda layer: len(layer.state_dict()))


def loaded(model: paddle.nn.Layer, file: Path) -> dict[str, Any]:
    """How many tensors of a file the model really holds.

    Returns:
        ``of`` (tensors of the model), ``loaded``, and ``not_loaded`` with names and both shapes.
    """
    weights = paddle.load(str(file))
    state = model.state_dict()
    missing = []
    for name, tensor in state.items():
        given = weights.get(name)
        if given is None:
            missing.append(f"{name} (not in the file)")
        elif list(given.shape) != list(tensor.shape):
            missing.append(
                f"{name} ({list(given.shape)} in the file, {list(tensor.shape)} in the model)"
            )
        elif not bool(paddle.allclose(paddle.to_tensor(given).astype(tensor.dtype), tensor)):
            missing.append(f"{name} (other values)")
    return {"of": len(state), "loaded": len(state) - len(missing), "not_loaded": missing}
