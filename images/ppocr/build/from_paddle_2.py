"""Writes a Paddle 2 model (inference.pdmodel) in Paddle 3's form: ``from_paddle_2.py FROM TO``.

Runs in the converter's environment; FROM and TO are folders. paddle2onnx 2 reads the form of Paddle
3 only. It translates as well, and then fails on what is put right here: scales of
interpolations, and numbers without an axis, which Paddle 2 has not.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import paddle


def translate(source: Path, target: Path) -> None:
    executor = paddle.static.Executor(paddle.CPUPlace())
    with paddle.pir_utils.OldIrGuard():
        old, _, _ = paddle.static.load_inference_model(str(source / "inference"), executor)
    program = paddle.pir.translate_to_pir(old.desc)
    block = program.global_block()
    inputs = [value for op in block.ops if op.name() == "pd_op.feed" for value in op.results()]
    fetches = (op for op in block.ops if op.name() == "pd_op.fetch")
    outputs = [value for op in fetches for value in op.operands_source()]
    prefix = str(target / "inference")
    with paddle.pir_utils.IrGuard():
        _load_parameters(program, executor)
        paddle.static.save_inference_model(prefix, inputs, outputs, executor, program=program)
    written = target / "inference.json"
    whole = json.loads(written.read_text())
    _put_right(whole["program"]["regions"][0]["blocks"][0]["ops"])
    written.write_text(json.dumps(whole))


def _load_parameters(program: Any, executor: Any) -> None:
    """Let the translated program have the values that were loaded with the old one."""
    values = [
        value
        for value in program.list_vars()
        if value.is_parameter or value.get_defining_op().name() == "builtin.parameter"
    ]
    scope = paddle.static.global_scope()
    paddle.base.libpaddle.pir.create_loaded_parameter(values, scope, executor._default_executor)


def _put_right(operators: list[dict[str, Any]]) -> None:
    """Give operators the form that Paddle 3 itself writes them in."""
    sizes: dict[int, list[int]] = {}
    for operator in operators:
        kind = operator["#"].rpartition(".")[2]
        given = {each["N"]: each["AT"] for each in operator["A"] if isinstance(each, dict)}
        if kind.endswith("_interp"):
            for scale in given["scale"]["D"]:
                scale["#"] = "0.a_f32"
        # One number of a shape: it keeps its axis in Paddle 2, and would lose it in Paddle 3.
        if kind == "slice":
            axes = sizes.get(operator["I"][0]["%"], [])
            if axes and len(given["decrease_axis"]["D"]) == len(axes):
                given["decrease_axis"]["D"] = []
        for value in operator["O"] if isinstance(operator["O"], list) else ():
            if value["TT"]["#"] == "0.t_dtensor":
                sizes[value["%"]] = value["TT"]["D"][1]


if __name__ == "__main__":
    translate(Path(sys.argv[1]), Path(sys.argv[2]))
