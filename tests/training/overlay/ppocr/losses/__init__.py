"""CTC's loss, in PaddleOCR's interface."""

import paddle
from paddle import nn


class CTCLoss(nn.Layer):
    def __init__(self):
        super().__init__()
        self.loss = nn.CTCLoss(blank=0, reduction="none")

    def forward(self, scores, batch):
        steps = paddle.transpose(scores, [1, 0, 2])
        widths = paddle.full([steps.shape[1]], steps.shape[0], dtype="int64")
        lengths = paddle.reshape(batch[2].astype("int64"), [-1])
        return {"loss": self.loss(steps, batch[1].astype("int32"), widths, lengths).mean()}


def build_loss(config):
    return CTCLoss()
