"""Draws the model of this folder with Paddle 2.6.2: two inputs, three outputs, of three types."""

import sys
from pathlib import Path

import paddle

paddle.enable_static()
paddle.seed(1)
main, start = paddle.static.Program(), paddle.static.Program()
with paddle.static.program_guard(main, start):
    picture = paddle.static.data("x", [-1, 3, 8, -1], "float32")
    length = paddle.static.data("length", [-1, 1], "int64")
    seen = paddle.static.nn.conv2d(picture, 2, 3)
    given = [
        paddle.nn.functional.softmax(seen),
        paddle.sum(seen, axis=[2, 3]),
        paddle.cast(length, "int32"),
    ]
    executor = paddle.static.Executor(paddle.CPUPlace())
    executor.run(start)
    ends = [picture, length], given
    program = paddle.static.normalize_program(main, *ends)
    for operator in program.global_block().ops:
        if operator.has_attr("op_callstack"):  # paths of the machine it was drawn on
            operator._remove_attr("op_callstack")
    folder = Path(sys.argv[1])
    (folder / "inference.pdmodel").write_bytes(program.desc.serialize_to_string())
    parameters = paddle.static.serialize_persistables(*ends, executor, program=main)
    (folder / "inference.pdiparams").write_bytes(parameters)
