"""Pictures of odd shapes: tiles, lines at two scales, pages on their side, words of a line."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ppocr_serving.pipeline import single_line, strips
from ppocr_serving.pipeline.reading import Reading
from ppocr_serving.pipeline.scales import whole_lines
from ppocr_serving.pipeline.tiles import SHARED, TILE, tiles
from ppocr_serving.pipeline.upright import quarter_turns, turn_back
from ppocr_serving.pipeline.words import as_read, spans, words_of

NONE = np.empty((0, 4, 2), np.float32)


def box(left, top, width, height):
    right, bottom = left + width, top + height
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]], np.float32)


def boxes(*places):
    return np.array([box(*place) for place in places], np.float32).reshape(-1, 4, 2)


@given(st.integers(1, 20_000), st.sampled_from([2 * SHARED, 640, TILE]))
def test_each_row_of_a_strip_is_taken_from_a_tile_that_sees_what_is_around_it(length, tile):
    taken_from = np.full(length, -1)
    parts = list(tiles(length, tile))
    for number, (_, taken) in enumerate(parts):
        taken_from[taken] = number
    for number, (seen, _) in enumerate(parts):
        rows = np.flatnonzero(taken_from == number)
        assert len(rows), "a tile that is looked at for nothing"
        assert seen.start == 0 or rows[0] - seen.start >= SHARED // 2
        assert seen.stop == length or seen.stop - rows[-1] > SHARED // 2
        assert seen.stop - seen.start <= tile
    assert (np.diff(taken_from) >= 0).all() and taken_from[0] == 0


@given(st.lists(st.integers(60, 200), min_size=2, max_size=12), st.integers(0, 5))
def test_a_whole_line_takes_the_place_of_its_pieces(widths, below):
    places = np.cumsum([0, *widths])
    pieces = boxes(*((left, 0, width - 5, 40) for left, width in zip(places, widths, strict=False)))
    others = boxes(*((30 * number, 100 + 60 * number, 80, 20) for number in range(below)))
    line = boxes((0, 0, places[-1], 44))
    found = whole_lines(np.concatenate([pieces, others]), line, 30)
    np.testing.assert_array_equal(found, np.concatenate([others, line]))


@pytest.mark.parametrize(
    ("fine", "coarse"),
    [
        (boxes((0, 0, 300, 18), (0, 24, 300, 18)), boxes((0, 0, 310, 44))),  # two lines in one
        (boxes(*((0, 60 * row, 130, 40) for row in range(9))), boxes((0, 0, 135, 520))),  # a column
        (boxes((0, 0, 300, 40)), boxes((0, 0, 305, 44))),  # the same line
        (boxes((0, 0, 300, 40)), boxes((100, 0, 90, 40))),  # a part of one
        (boxes((26, 22, 131, 24)), boxes((0, 0, 181, 100))),  # small print, not seen as such
        (boxes((0, 0, 100, 12), (110, 0, 100, 12)), boxes((0, 0, 210, 14))),  # too low to be sure
        (boxes((0, 0, 100, 40)), NONE),
        (NONE, NONE),
    ],
)
def test_what_is_no_whole_line_changes_nothing(fine, coarse):
    np.testing.assert_array_equal(whole_lines(fine, coarse, 30), fine)


def test_a_line_that_only_the_smaller_scale_shows_is_added():
    line = boxes((0, 0, 900, 200))
    np.testing.assert_array_equal(whole_lines(NONE, line, 30), line)
    dots = boxes((10, 20, 30, 30), (400, 150, 40, 20))
    np.testing.assert_array_equal(whole_lines(dots, line, 30), line)


@given(st.integers(0, 3), st.integers(2, 40), st.integers(2, 40), st.data())
def test_a_point_of_a_turned_page_is_found_again(turns, height, width, data):
    picture = np.arange(height * width).reshape(height, width)
    turned = np.rot90(picture, turns)
    y = data.draw(st.integers(0, turned.shape[0] - 1))
    x = data.draw(st.integers(0, turned.shape[1] - 1))
    back = turn_back(np.array([x, y]), turns, height, width)
    assert picture[back[1], back[0]] == turned[y, x]


@pytest.mark.parametrize("turns", range(4))
def test_most_lines_say_how_a_page_is_turned(turns):
    across = [(20, 20 + 50 * row, 300, 30) for row in range(5)]
    down = [(20 + 50 * row, 20, 30, 300) for row in range(5)]
    page = boxes(*(down if turns % 2 else across), (400, 400, 60, 60))
    head = turns >= 2
    assert quarter_turns(page, [head, head, head, not head, head, not head]) == turns


def test_a_page_without_lines_is_not_turned():
    assert quarter_turns(NONE, []) == 0


def test_words_are_separated_by_spaces_and_chinese_characters_stand_alone():
    text = "No 12识别ab"
    places = [(index + 0.5) / len(text) for index in range(len(text))]
    found = spans(text, places)
    assert [word for word, _, _ in found] == ["No", "12", "识", "别", "ab"]
    for word, left, right in found:
        start = text.index(word)
        assert left == pytest.approx(start / len(text), abs=0.07)
        assert right == pytest.approx((start + len(word)) / len(text), abs=0.07)
    assert spans("", []) == [] and spans("a", [0.5]) == [("a", 0.0, 1.0)]


@given(st.text(alphabet="ab 识7", max_size=30))
def test_no_character_of_a_line_is_lost_and_words_follow_each_other(text):
    places = [(index + 0.5) / len(text) for index in range(len(text))]
    found = spans(text, places)
    assert "".join(word for word, _, _ in found) == text.replace(" ", "")
    ends = [0.0, *(place for _, left, right in found for place in (left, right)), 1.0]
    assert all(before <= after + 1e-9 for before, after in pairwise(ends))


@pytest.mark.parametrize(
    ("line", "turned", "first"),
    [
        ((0, 0, 100, 20), False, (0, 0, 50, 20)),
        ((0, 0, 100, 20), True, (50, 0, 50, 20)),
        ((0, 0, 20, 100), False, (0, 0, 20, 50)),  # from top to bottom
        ((0, 0, 20, 100), True, (0, 50, 20, 50)),  # from bottom to top
    ],
)
def test_the_first_word_is_where_reading_begins(line, turned, first):
    word, _ = words_of(as_read(box(*line), turned), "识别", [0.25, 0.75])
    left, top, width, height = first
    assert word.box.min(axis=0).tolist() == [left, top]
    assert word.box.max(axis=0).tolist() == [left + width, top + height]


def low(width=200, height=30):
    return np.zeros((height, width, 3), np.uint8)


@pytest.mark.parametrize(
    ("picture", "lines", "places", "one"),
    [
        (("ABC", 0.99), [], [], True),  # nothing was found
        (("ABC", 0.85), [], [], False),  # a smudge
        (("ABCD", 0.99), [("AB", 0.7)], [(0, 0, 90, 30)], True),
        (("ABCD", 0.99), [("AB", 0.99), ("D", 0.98)], [(0, 0, 90, 30), (150, 0, 40, 30)], True),
        (("A BC", 0.99), [("ABC", 0.7)], [(0, 0, 200, 30)], False),  # the same text
        (("ABC", 0.95), [("ABX", 0.98)], [(0, 0, 200, 30)], False),  # less sure
        (("ABC", 0.99), [("ABCDE", 0.95)], [(0, 0, 200, 30)], False),  # less text
        (("128", 0.99), [("1.20", 0.9)], [(0, 0, 200, 30)], True),  # an edge is no character
        (("ABC", 0.99), [("|/.I;", 0.6)], [(0, 0, 200, 30)], True),
        (("ABCD", 0.99), [("AB", 0.9), ("D", 0.9)], [(0, 0, 90, 14), (0, 16, 90, 14)], False),
    ],
)
def test_a_low_picture_is_one_line_where_that_reads_more_and_surer(picture, lines, places, one):
    found = single_line.is_one(
        Reading(*picture), [Reading(*line) for line in lines], boxes(*places), low()
    )
    assert found == one
    assert single_line.may_be_one(low()) and not single_line.may_be_one(low(200, 120))


@pytest.mark.parametrize("turns", range(4))
def test_the_box_of_a_whole_page_is_that_of_the_picture_it_was_turned_from(turns):
    column = low(40, 600)
    corners = turn_back(single_line.whole(np.rot90(column, turns)), turns, *column.shape[:2])
    np.testing.assert_array_equal(corners, np.roll(single_line.whole(column), -turns, axis=0))


@pytest.mark.parametrize(("size", "one"), [((40, 600), True), ((600, 40), False)])
def test_pieces_of_one_line_stand_along_the_longer_side(size, one):
    pieces = boxes((0, 0, 40, 200), (0, 220, 40, 200))
    lines = [Reading("AB", 0.9), Reading("D", 0.9)]
    assert single_line.is_one(Reading("ABCD", 0.99), lines, pieces, low(*size)) == one


MOST = strips.most_pixels(960)


@given(
    st.integers(1, 15_000),
    st.integers(1, 65_000),
    st.sampled_from([strips.most_pixels(32), 1_000_000, MOST]),
)
def test_no_scale_of_a_strip_has_more_pixels_than_it_may_have(short, long, most):
    for ratio in strips.further_ratios(long, short, 1920, most):
        assert short * long * ratio**2 <= most


def test_a_strip_is_searched_for_large_letters_at_two_further_scales():
    assert strips.further_ratios(8000, 600, 600, MOST) == [192 / 600, 96 / 600]
    assert strips.further_ratios(100, 1000, 96, MOST) == [96 / 100]
    assert strips.further_ratios(130, 1300, 128, MOST) == [192 / 130, 96 / 130]
    # 192 would be 18 million pixels.
    assert strips.further_ratios(130, 65_000, 128, MOST) == [96 / 130]
