"""Share of lines that are read right, in PaddleOCR's interface."""


class RecMetric:
    def __init__(self, main_indicator):
        self.main_indicator = main_indicator
        self.reset()

    def reset(self):
        self.lines = self.right = 0

    def __call__(self, read, *_, **__):
        for (text, _sure), (label, _one) in zip(*read, strict=True):
            self.lines += 1
            self.right += text == label

    def get_metric(self):
        share = self.right / max(self.lines, 1)
        self.reset()
        return {"acc": share}


def build_metric(config):
    return RecMetric(config["main_indicator"])
