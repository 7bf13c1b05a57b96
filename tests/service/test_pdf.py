"""Pages of PDFs: read beside images, bounded, and no PDF harms the service."""

import base64

import pictures
import pytest

from tests import pdfs
from tests.containers import encoded


def sent(data):
    return base64.b64encode(data).decode()


def texts(lines):
    return "".join(line["text"] for line in lines).replace(" ", "")


PAGES = pdfs.scanned([pictures.page(size=(500, 300), text=f"SHEET {n}{n}{n}") for n in (1, 2, 3)])


def test_pages_are_read_in_order(service):
    status, answer = service.predict("ocr_system", {"pdfs": [sent(PAGES)]})
    assert status == 200, answer
    assert [texts(lines) for lines in answer["results"]] == ["SHEET111", "SHEET222", "SHEET333"]
    assert [(page["pdf"], page["page"]) for page in answer["pages"]] == [(0, 1), (0, 2), (0, 3)]
    width, height = answer["pages"][0]["width"], answer["pages"][0]["height"]
    assert (width, height) == (1389, 834)  # 500 x 300 points at 200 dpi
    assert all(0 <= x <= width for line in answer["results"][0] for x, _ in line["text_region"])
    assert "picture" not in answer["pages"][0]


def test_pages_come_after_images_and_are_chosen(service):
    order = {"data": sent(PAGES), "pages": "3,1-2", "dpi": 100, "pictures": True}
    written = sent(pdfs.written("TYPED 5566", (400, 200)))
    body = {"images": [encoded("line.png")], "pdfs": [order, written]}
    status, answer = service.predict("ocr_system", body)
    assert (status, answer["msg"]) == (200, ""), answer
    found = [texts(lines) for lines in answer["results"]]
    assert found == ["单行识别2026", "SHEET333", "SHEET111", "SHEET222", "TYPED5566"]
    chosen = [(page["pdf"], page["page"]) for page in answer["pages"]]
    assert chosen == [(0, 3), (0, 1), (0, 2), (1, 1)]
    assert answer["pages"][0]["width"] == 695
    assert answer["pages"][0]["picture"].startswith("data:image/jpeg;base64,/9j/")
    assert "picture" not in answer["pages"][3]


def test_boxes_alone(service):
    status, answer = service.predict("ocr_det", {"pdfs": [{"data": sent(PAGES), "pages": "2-"}]})
    assert status == 200 and [len(boxes) for boxes in answer["results"]] == [1, 1]


@pytest.mark.parametrize("name", pdfs.hostile())
def test_what_cannot_be_drawn_is_said(service, name):
    data, expected, words = pdfs.hostile()[name]
    status, answer = service.predict("ocr_system", {"pdfs": [sent(data)]})
    assert (status, answer["status"], answer["results"]) == (expected, "101", [[]]), answer
    assert words in answer["msg"] and answer["msg"].startswith("pdfs[0]")
    # The others of a request stay in their places.
    body = {
        "images": [encoded("line.png")],
        "pdfs": [sent(data), {"data": sent(PAGES), "pages": "2"}],
    }
    status, answer = service.predict("ocr_system", body)
    assert (status, answer["status"]) == (200, "000")
    assert [texts(lines) for lines in answer["results"]] == ["单行识别2026", "", "SHEET222"]
    assert words in answer["msg"]


@pytest.mark.parametrize("make", [lambda: pdfs.laughing(), lambda: pdfs.flate_bomb(4000)])
def test_a_pdf_that_unpacks_for_ever_is_given_up(start, make):
    service = start(pdf_timeout=2).ready()
    status, answer = service.predict("ocr_system", {"pdfs": [sent(make()), sent(PAGES)]})
    assert (status, len(answer["results"])) == (200, 4), answer
    assert answer["results"][0] == [] and texts(answer["results"][3]) == "SHEET333"
    assert "pdfs[0] page 1" in answer["msg"]
    assert service.metric('ppocr_worker_restarts_total{reason="lost"}') == 0
    assert service.metric("ppocr_worker_memory_bytes") < 1.2e9


@pytest.mark.parametrize(
    ("entry", "status"),
    [
        (7, 400),
        ({}, 400),
        ({"data": 7}, 400),
        ("a", 400),
        ({"data": "a"}, 400),
        ({"data": sent(PAGES), "password": "x"}, 400),
        ({"data": sent(PAGES), "pages": "x"}, 400),
        ({"data": sent(PAGES), "pages": 1}, 400),
        ({"data": sent(PAGES), "pages": "3-1"}, 400),
        ({"data": sent(PAGES), "pages": "2,4"}, 422),
        ({"data": sent(PAGES), "pages": ",".join(["1-3"] * 7)}, 413),
        ({"data": sent(PAGES), "dpi": 1000}, 400),
        ({"data": sent(PAGES), "dpi": True}, 400),
        ({"data": sent(PAGES), "pictures": "yes"}, 400),
    ],
    ids=range(14),
)
def test_orders_that_will_not_do(service, entry, status):
    got, answer = service.predict("ocr_system", {"pdfs": [entry]})
    assert got == status and answer["status"] == "101", answer
    assert "pdfs" in answer["msg"] and "Traceback" not in answer["msg"]


def test_pages_of_all_pdfs_of_a_request_are_counted(service):
    seven = {"data": sent(pdfs.many(9)), "dpi": 20}
    status, answer = service.predict("ocr_det", {"pdfs": [seven, seven, seven]})
    assert status == 200 and len(answer["results"]) == 9 + 9 + 1, answer
    assert "pdfs[2]" in answer["msg"] and "the 2 left of 20" in answer["msg"]
    assert service.predict("ocr_det", {"pdfs": [seven] * 21})[0] == 413


def test_where_pdfs_are_not_taken(start, service):
    for module in ("ocr_rec", "ocr_cls"):  # they read lines
        assert service.predict(module, {"pdfs": [sent(PAGES)]})[0] == 400
    for wrong in ({"pdfs": []}, {"pdfs": "x"}, {"pdfs": {}}):
        assert service.predict("ocr_system", wrong)[0] == 400
    status, answer = service.predict("ocr_system", {"images": [sent(PAGES)]})
    assert status == 422 and "pdfs" in answer["msg"]
    without = start(pdf_pages_limit=0).ready()
    status, answer = without.predict("ocr_system", {"pdfs": [sent(PAGES)]})
    assert status == 400 and "hubserving_pdf_pages_limit" in answer["msg"]
    assert without.texts()
