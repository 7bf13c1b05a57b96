"""Whether half the scale is enough for a page: drawn ones, with the boxes that are found there."""

import cv2
import numpy as np
import pytest
from ppocr_serving.pipeline.coarse import is_worthwhile, shows_all

WHITE, BLACK = (255, 255, 255), (0, 0, 0)
LARGE = 1.4  # of OpenCV's font: letters of 30 pixels


def page(ground=WHITE):
    return np.full((720, 960, 3), ground, np.uint8)


def write(on, text, x, y, size=LARGE, colour=BLACK):
    """Draw a line; return its box, which is somewhat larger."""
    weight = max(1, round(2 * size))
    cv2.putText(on, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, size, colour, weight, cv2.LINE_AA)
    (width, height), below = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, size, weight)
    left, right, top, bottom = x - 4, x + width + 4, y - height - 4, y + below
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]], np.float32)


def large_lines(on):
    return np.array([write(on, f"Line {n} of large letters", 40, 80 + 90 * n) for n in range(6)])


def test_a_page_of_large_letters_is_searched():
    made = page()
    assert shows_all(made, large_lines(made))
    dark = page(BLACK)
    assert shows_all(dark, np.array([write(dark, "White on black", 40, 80, colour=WHITE)]))


def test_small_letters_that_were_found_need_the_full_scale():
    made = page()
    boxes = [*large_lines(made), write(made, "small print", 40, 660, 0.5)]
    assert not shows_all(made, np.array(boxes))


@pytest.mark.parametrize(
    ("text", "size", "colour"),
    [
        ("small print below", 0.35, BLACK),
        ("grey on white", 0.35, (225, 225, 225)),
        ("7", 0.3, BLACK),
        ("as light as the ground", 0.4, (255, 190, 255)),
    ],
)
def test_what_was_not_found_needs_the_full_scale(text, size, colour):
    made = page()
    boxes = large_lines(made)
    write(made, text, 700, 660, size, colour)
    assert not shows_all(made, boxes)


def test_small_print_close_below_a_line_needs_the_full_scale():
    made = page()
    boxes = large_lines(made)
    write(made, "a footnote of this line", 40, int(boxes[0, 2, 1]) + 20, 0.4)
    assert not shows_all(made, boxes)


def test_a_ground_that_is_not_even_needs_the_full_scale():
    made = page()
    boxes = large_lines(made)
    noise = np.random.default_rng(1).normal(0, 6, made.shape)
    assert not shows_all(np.clip(made + noise, 0, 255).astype(np.uint8), boxes)


@pytest.mark.parametrize("colour", [(249, 249, 249), (244, 244, 244)])
def test_faint_print_needs_the_full_scale(colour):
    made = page()
    boxes = large_lines(made)
    write(made, "hardly to be seen", 500, 660, 0.6, colour)
    assert not shows_all(made, boxes)


def test_small_lines_found_as_one_need_the_full_scale():
    made = page()
    lines = [write(made, "lines of small print", 40, 100 + 20 * n, 0.5) for n in range(2)]
    both = np.array([*lines[0][:2], *lines[1][2:]])
    assert not shows_all(made, both[None])


def test_small_print_in_the_box_of_large_letters_needs_the_full_scale():
    made = page()
    box = write(made, "Letters", 40, 200, 3)
    small = write(made, "how they are said", 60, 110, 0.5)
    box[:2, 1] = small[0, 1]
    assert not shows_all(made, box[None])


def test_texts_beside_each_other_need_the_full_scale():
    made = page()
    left = write(made, "Left", 40, 100)
    right = write(made, "right", int(left[1, 0]) + 70, 100)
    assert not shows_all(made, np.array([left, right]))
    together = np.array([left[0], right[1], right[2], left[3]])
    assert not shows_all(made, together[None])


def test_texts_far_from_each_other_are_two():
    made = page()
    assert shows_all(
        made, np.array([write(made, word, x, 100) for word, x in (("a", 40), ("b", 700))])
    )


def test_a_page_on_which_nothing_was_found_needs_the_full_scale():
    assert not shows_all(page(), np.empty((0, 4, 2), np.float32))


def test_lines_at_an_angle_are_as_high_as_their_shorter_side():
    box = write(made := page(), "Letters at an angle", 250, 370)
    turn = cv2.getRotationMatrix2D((480, 360), -20, 1)
    turned = cv2.warpAffine(made, turn, (960, 720), borderValue=WHITE)
    assert shows_all(turned, cv2.transform(box[None], turn))
    low = cv2.boxPoints(((480, 360), (500, 20), 30)).astype(np.float32)
    assert not shows_all(turned, low[None])


def test_small_pictures_are_searched_as_they_are():
    assert is_worthwhile(720, 960)
    assert not is_worthwhile(288, 960)
