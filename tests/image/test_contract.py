"""The hubserving contract, on both servers."""

import base64
import json

import pytest

from tests import pdfs
from tests.containers import encoded


def answer(server, module, body):
    status, data = server.post(module, body)
    assert status == 200, data
    return json.loads(data)


def test_success_has_the_stock_shape_byte_for_byte(server, request_body):
    status, data = server.post("ocr_system", request_body)
    parsed = json.loads(data)
    assert (status, parsed["status"], parsed["msg"]) == (200, "000", "")
    # Flask's own writing of it: keys sorted, no spaces, non-ASCII escaped, a newline at the end.
    assert data == (json.dumps(parsed, sort_keys=True, separators=(",", ":")) + "\n").encode()
    for line in parsed["results"][0]:
        assert set(line) == {"text", "confidence", "text_region"}


def test_each_module_answers_in_its_own_shape(server):
    page, line = encoded("chinese.png"), encoded("line.png")
    boxes = answer(server, "ocr_det", {"images": [page, line]})["results"]
    assert [len(image) for image in boxes] == [3, 1]
    assert all(set(box) == {"text_region"} for image in boxes for box in image)
    angles = answer(server, "ocr_cls", {"images": [line, encoded("line-180.png")]})["results"]
    assert [row["angle"] for row in angles[0]] == ["0", "180"]
    lines = answer(server, "ocr_rec", {"images": [line, line]})["results"]
    assert len(lines) == 1 and len(lines[0]) == 2
    assert set(lines[0][0]) == {"text", "confidence"}


def test_what_is_no_image_is_an_empty_list_among_the_others(server):
    body = {"images": [encoded("line.png"), base64.b64encode(b"no image").decode()]}
    results = answer(server, "ocr_system", body)["results"]
    assert len(results[0]) == 1 and results[1] == []
    assert len(answer(server, "ocr_rec", body)["results"][0]) == 1


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"images": [], "paths": ["/etc/passwd"]}, "unknown key paths"),
        ({"paths": ["/etc/passwd"]}, "unknown key paths"),
        ({"images": ["aGVsbG8="], "cls": False}, "unknown key cls"),
        ({"images": []}, "at least one"),
        ({"images": "aGVsbG8="}, "must be a list"),
        ({"images": [1]}, "must be a base64 string"),
        ({"images": ["a"]}, "not base64"),
        ({}, "at least one"),
    ],
)
def test_what_the_contract_does_not_know_is_an_error(server, body, message):
    _, data = server.post("ocr_system", body)
    parsed = json.loads(data)
    assert parsed["status"] == "101" and parsed["results"] == ""
    assert message in parsed["msg"]


def test_pages_of_a_pdf_are_read_on_both_servers(server):
    sheet = base64.b64encode(pdfs.written("TYPED 5566", (400, 200))).decode()
    results = answer(server, "ocr_system", {"images": [encoded("line.png")], "pdfs": [sheet]})
    texts = ["".join(line["text"] for line in lines) for lines in results["results"]]
    assert [text.replace(" ", "") for text in texts] == ["单行识别2026", "TYPED5566"]


def test_options_of_a_request_count_on_both_servers(server):
    body = {"images": [encoded("line.png")]}
    words = answer(server, "ocr_system", body | {"options": {"return_word_box": True}})["results"]
    assert "".join(word["text"] for word in words[0][0]["words"]) == "单行识别2026"
    body = {"images": [encoded("chinese.png")], "options": {"det_db_box_thresh": 1}}
    assert answer(server, "ocr_system", body)["results"] == [[]]


def test_unknown_module(server, request_body):
    _, data = server.post("no_such_module", request_body)
    assert json.loads(data)["status"] == "111"


def test_the_service_goes_on_after_errors(server, request_body):
    server.post("ocr_system", b"{")
    server.post("ocr_system", b"images=1", {"Content-Type": "application/x-www-form-urlencoded"})
    assert answer(server, "ocr_system", request_body)["status"] == "000"
