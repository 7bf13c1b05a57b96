"""A small recogniser of our own where PaddleOCR has its networks: the wheel has none.

The interface is PaddleOCR's: build_model(config["Architecture"]), with backbone and head named in
the config, and scores of shape (lines, time steps, characters) in evaluation.
"""

import paddle
from paddle import nn

#: Strides (height, width) of the backbone's stages: 48 pixels become 1, the width a quarter.
STRIDES = ((2, 2), (2, 2), (2, 1), (2, 1), (3, 1))


class Stages(nn.Layer):
    """Stages of convolution, normalisation and ReLU."""

    def __init__(self, channels, width):
        super().__init__()
        layers, before = [], channels
        for number, stride in enumerate(STRIDES, 1):
            after = width * min(number, 4)
            layers += [
                nn.Conv2D(before, after, 3, stride=stride, padding=1, bias_attr=False),
                nn.BatchNorm2D(after),
                nn.ReLU(),
            ]
            before = after
        self.stages, self.out_channels = nn.Sequential(*layers), before

    def forward(self, pictures):
        return paddle.mean(self.stages(pictures), axis=2)


class CTCHead(nn.Layer):
    """Looks a little to both sides, and scores each time step."""

    def __init__(self, channels, out_channels):
        super().__init__()
        self.context = nn.Conv1D(channels, channels, 5, padding=2)
        self.fc = nn.Linear(channels, out_channels)

    def forward(self, features):
        features = features + nn.functional.relu(self.context(features))
        scores = self.fc(paddle.transpose(features, [0, 2, 1]))
        return scores if self.training else nn.functional.softmax(scores, axis=2)


class Recogniser(nn.Layer):
    def __init__(self, config):
        super().__init__()
        self.backbone = Stages(config.get("in_channels", 3), config["Backbone"]["width"])
        self.head = CTCHead(self.backbone.out_channels, config["Head"]["out_channels"])

    def forward(self, pictures, data=None):
        return self.head(self.backbone(pictures))


def build_model(config):
    return Recogniser(config)


def apply_to_static(model, config, logger):
    return model
