"""Runs paddle_serving_client.convert with Paddle 2.6.2.

What the package asks of paddle.fluid is called paddle.base there.
"""

import runpy
import sys
import types

import paddle

sys.modules["paddle.fluid"] = paddle.fluid = paddle.base
for name in ("compiler", "framework", "core", "executor", "log_helper"):
    sys.modules[f"paddle.fluid.{name}"] = getattr(paddle.base, name)
files = types.ModuleType("paddle.fluid.io")
files.prepend_feed_ops = paddle.static.io.prepend_feed_ops
files.append_fetch_ops = paddle.static.io.append_fetch_ops
files.load_inference_model = lambda dirname, **options: paddle.static.load_inference_model(
    dirname, **options
)
paddle.base.io = sys.modules["paddle.fluid.io"] = files
runpy.run_module("paddle_serving_client.convert", run_name="__main__")
