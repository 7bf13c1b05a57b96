"""Adam with a cosine schedule, in PaddleOCR's interface."""

import paddle


def build_optimizer(config, epochs, step_each_epoch, model):
    rate = paddle.optimizer.lr.CosineAnnealingDecay(
        config["lr"]["learning_rate"], T_max=epochs * step_each_epoch
    )
    return paddle.optimizer.Adam(learning_rate=rate, parameters=model.parameters()), rate
