"""Writes networks as Paddle 3 exports them: ``python paddle3_networks.py FOLDER``, with Paddle 3.

- ``FOLDER/reads``: reads lines whose characters are painted as colours (``COLOURS``) on grey, with
  no training.
- ``FOLDER/others``: the same, but takes each colour for another character.
- ``FOLDER/adaptive``: the first, with a pooling that paddle2onnx cannot convert.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

#: The corners of the colour cube, in -1 .. 1; grey stands between characters and is the blank.
COLOURS = {
    "p": (1, 1, 1), "a": (1, 1, -1), "d": (1, -1, 1), "l": (-1, 1, 1), "e": (1, -1, -1),
    "3": (-1, 1, -1),
}  # fmt: skip
SPACE = (-1, -1, -1)
CELL = 8  # pixels of a line that make one step of the output
YML = """\
Global: {model_name: reads_colours}
PreProcess:
  transform_ops:
  - DecodeImage: {channel_first: false, img_mode: BGR}
  - RecResizeImg: {image_shape: [3, 48, 320]}
PostProcess:
  name: CTCLabelDecode
  character_dict: %s
"""


def write(folder: Path) -> None:
    import numpy as np
    import paddle
    from paddle import nn

    colours = list(COLOURS.values())
    if folder.name == "others":
        colours.reverse()
    centres = np.array([(0, 0, 0), *colours, SPACE], np.float32)

    class Reads(nn.Layer):
        """How near each cell's mean colour is to that of each class."""

        def __init__(self) -> None:
            super().__init__()
            self.cells = nn.AvgPool2D((48, CELL), (48, CELL))
            self.near = nn.Linear(3, len(centres))
            self.near.weight.set_value(20 * centres.T)
            self.near.bias.set_value(-10 * (centres**2).sum(1))

        def forward(self, x: paddle.Tensor) -> paddle.Tensor:
            cells = self.cells(x)
            if folder.name == "adaptive":
                cells = nn.functional.adaptive_avg_pool2d(cells, (1, None))
            return nn.functional.softmax(self.near(cells.squeeze(2).transpose([0, 2, 1])), axis=-1)

    network = Reads()
    network.eval()
    given = paddle.static.InputSpec([None, 3, 48, None], "float32", name="x")
    exported = paddle.jit.to_static(network, input_spec=[given], full_graph=True)
    paddle.jit.save(exported, str(folder / "inference"))
    (folder / "inference.yml").write_text(YML % json.dumps(list(COLOURS)))


if __name__ == "__main__":
    for name in ("reads", "others", "adaptive"):
        write(Path(sys.argv[1]) / name)
