"""The pipeline's own arithmetic: the order lines are read in, and how they are put in batches."""

import numpy as np
import pytest
from ppocr_serving.pipeline.batches import aspect, by_width, resize_and_pad
from ppocr_serving.pipeline.ctc import best_characters, second_choices
from ppocr_serving.pipeline.order import reading_order


def box(x, y, width=50, height=20):
    return np.array([[x, y], [x + width, y], [x + width, y + height], [x, y + height]], np.float32)


def corners(boxes):
    return [tuple(map(int, found[0])) for found in reading_order(np.array(boxes, np.float32))]


def test_from_top_to_bottom_and_from_left_to_right():
    assert corners([box(200, 100), box(0, 50), box(0, 100), box(100, 50)]) == [
        (0, 50), (100, 50), (0, 100), (200, 100),
    ]  # fmt: skip


def test_boxes_a_little_higher_stand_on_the_same_line():
    assert corners([box(300, 95), box(0, 100), box(150, 104)]) == [(0, 100), (150, 104), (300, 95)]
    assert corners([box(300, 90), box(0, 100)]) == [(300, 90), (0, 100)]  # ten pixels: another line


def test_no_box_is_lost():
    dice = np.random.default_rng(5)
    boxes = [box(*dice.integers(0, 500, 2)) for _ in range(60)]
    assert sorted(corners(boxes)) == sorted(tuple(map(int, found[0])) for found in boxes)
    assert reading_order(np.empty((0, 4, 2), np.float32)).shape == (0, 4, 2)


def line(width, height=20, value=255):
    return np.full((height, width, 3), value, np.uint8)


def test_lines_of_like_width_share_a_batch():
    lines = [line(300), line(40), line(100), line(60), line(200, 40)]
    assert aspect(lines[4]) == 5
    batches = [list(indices) for indices in by_width(lines, 2)]
    assert [sorted(indices) for indices in batches] == [[1, 3], [2, 4], [0]]
    assert list(by_width([], 2)) == []


def test_a_line_is_scaled_and_padded():
    padded = resize_and_pad(line(50, 20), 48, 320)
    assert padded.shape == (3, 48, 320) and padded.dtype == np.float32
    assert (padded[:, :, :120] == 1).all()  # 50 x 20 scaled to 48 high
    assert (padded[:, :, 120:] == 0).all()
    assert (resize_and_pad(line(50, 20, 0), 48, 320)[:, :, :120] == -1).all()


def test_a_line_wider_than_the_batch_is_squeezed():
    wide = line(2000, 20)
    wide[:, :1000] = 0
    squeezed = resize_and_pad(wide, 48, 320)
    assert (squeezed[:, :, :150] == -1).all() and (squeezed[:, :, 170:] == 1).all()


def test_logits_give_the_probabilities_of_the_softmax_where_there_is_a_character():
    logits = np.random.default_rng(0).normal(0, 4, (2, 30, 50)).astype(np.float32)
    logits[:, ::2, 0] = 20  # every other step is blank
    powers = np.exp(logits - logits.max(axis=2, keepdims=True))
    classes, sure = best_characters(powers / powers.sum(axis=2, keepdims=True), logits=False)
    best, probability = best_characters(logits, logits=True)
    assert (best == classes).all()
    shown = best != 0
    assert 0 < shown.sum() < shown.size
    np.testing.assert_allclose(probability[shown], sure[shown], rtol=1e-5)
    assert not probability[~shown].any()


def test_a_line_without_characters_is_no_error():
    best, sure = best_characters(np.eye(3, dtype=np.float32)[None, [0, 0]], logits=True)
    assert not best.any() and not sure.any()


def test_second_choices_are_those_of_the_surest_step_of_a_character():
    steps = np.full((4, 9), 0.001, np.float32)
    steps[0, 3], steps[0, 4] = 0.5, 0.4
    steps[1, 3], steps[1, 5], steps[1, 0] = 0.9, 0.09, 0.5
    steps[2, 0] = 0.9
    steps[3, 6], steps[3, 3] = 0.8, 0.08
    for line, logits in ((steps, False), (np.log(steps), True)):
        first, last = second_choices(line, np.array([0, 3]), logits)
        assert dict(first)[5] == pytest.approx(-1, abs=1e-3) and 0 not in dict(first)
        assert dict(last)[3] == pytest.approx(-1, abs=1e-3) and 6 not in dict(last)
