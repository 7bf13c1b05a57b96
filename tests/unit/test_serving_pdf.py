"""PDFs: choice of pages, orders of clients, and the process that draws, with real files."""

import base64

import numpy as np
import pytest
from ppocr_serving.pdf import documents, pages, ranges
from ppocr_serving.report import Report, RequestError

from ppocr_contract.settings import Settings
from tests import pdfs

LIMITS = Settings(pixels_limit=4)


@pytest.mark.parametrize(
    ("text", "chosen"),
    [("", [1, 2, 3, 4, 5]), ("2", [2]), ("4-", [4, 5]), ("5,1-2, 2", [5, 1, 2, 2]), ("5-", [5])],
)
def test_pages_are_chosen(text, chosen):
    assert ranges.choose(text, 5, 5) == chosen


@pytest.mark.parametrize(
    "text", ["0", "6", "6-", "3-2", "1-6", "-2", "a", ",", "1" * 9, "1," * 101]
)
def test_choices_that_cannot_be(text):
    with pytest.raises(ranges.RangeError):
        ranges.choose(text, 5, 99)


def test_more_pages_than_allowed():
    for text in ("", "1-5", "1,2,3,4", "1-999999"):
        with pytest.raises((OverflowError, ranges.RangeError)):
            ranges.choose(text, 5, 3)
    with pytest.raises(OverflowError):
        ranges.choose("", 999_999, 20)


def drawn(data, **order):
    entry = {"data": base64.b64encode(data).decode(), **order}
    return list(pages.pages(pages.read_order(entry, LIMITS), 20, LIMITS))


def test_a_page_is_drawn():
    (page,) = drawn(pdfs.written("WORDS", (360, 144)), dpi=100)
    assert page.number == 1 and page.content.shape == (200, 500, 3)
    assert page.content.dtype == np.uint8 and page.content.min() < 50 < 250 < page.content.max()


@pytest.mark.parametrize("name", pdfs.hostile())
def test_hostile_files(name):
    data, status, words = pdfs.hostile()[name]
    with pytest.raises(RequestError) as refused:
        for page in drawn(data):
            assert isinstance(page.content, RequestError)
            raise page.content
    assert refused.value.http == status and words in str(refused.value)


def test_what_takes_too_long_is_given_up():
    limits = Settings(pdf_timeout=1)
    order = pages.read_order(base64.b64encode(pdfs.laughing(5)).decode(), limits)
    (page,) = pages.pages(order, 20, limits)
    assert "hubserving_pdf_timeout" in str(page.content)


def test_results_stand_in_the_places_of_pages():
    def predict(images):
        calls.append(len(images))
        return [[image.shape[:2]] for image in images]

    limits, report, calls = Settings(pdf_pages_limit=6), Report(), []
    entries = [pdfs.many(5), b"nothing", pdfs.many(3), pdfs.written("X", (99999, 9))]
    orders = documents.read_orders(
        [{"data": base64.b64encode(data).decode(), "dpi": 72} for data in entries], limits
    )
    results = documents.answer(orders, predict, report, limits)
    assert results == [[(100, 200)]] * 5 + [[], [], []]
    assert calls == [4, 1]
    assert list(report.unreadable) == ["pdfs[1]", "pdfs[2]", "pdfs[3] page 1"]
    assert report.images == 8 and report.pixels == 5 * 200 * 100
    assert report.pages[4] == {"pdf": 0, "page": 5, "width": 200, "height": 100}
    assert [page["page"] for page in report.pages[5:]] == [None, None, 1]


def test_large_pages_are_read_with_fewer_beside_them():
    def groups(*sizes):
        made = (pages.Page(1, np.empty((size, 10, 3), np.uint8)) for size in sizes)
        return [len(group) for group in documents._groups(made, 1000)]

    assert groups(*[1] * 9) == [4, 4, 1]
    assert groups(60, 60, 100, 10, 99, 1, 1) == [2, 1, 2, 2]


def test_a_picture_for_people_is_not_larger_than_it_need_be():
    import cv2

    # The second is a page of 200 inches by a twentieth.
    for height, width, size in ((3200, 1600, (1600, 800, 3)), (10, 40000, (1, 1600, 3))):
        url = documents._picture(np.zeros((height, width, 3), np.uint8))
        data = np.frombuffer(base64.b64decode(url.partition(",")[2]), np.uint8)
        assert cv2.imdecode(data, cv2.IMREAD_COLOR).shape == size
