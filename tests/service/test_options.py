"""Options of a request: what they change, what is refused, and that others notice nothing."""

import pictures
import pytest
from PIL import Image, ImageDraw

from tests import pdfs
from tests.containers import encoded
from tests.service.odd_pictures import sent

LARGE, TURNED = encoded("large.png"), encoded("rotated-180.png")
#: Thresholds are a model's own.
DEFAULTS = {
    "det_limit_side_len": 960,
    "det_limit_type": "max",
    "use_angle_cls": True,
    "use_doc_orientation_classify": False,
    "drop_score": 0.5,
    "return_word_box": False,
}


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A service for requests after which a worker keeps memory, which others' tests look at."""
    from conftest import small_service

    with small_service(tmp_path_factory) as service:
        yield service


def results(service, image, module="ocr_system", **options):
    body = {"images": [image], **({"options": options} if options else {})}
    status, answer = service.predict(module, body)
    assert status == 200 and answer["status"] == "000", answer
    return answer["results"][0]


def test_a_request_with_the_defaults_is_answered_as_one_without(service):
    for image in (LARGE, TURNED, encoded("tilted.jpg")):
        plain = service.post("ocr_system", {"images": [image]})
        assert service.post("ocr_system", {"images": [image], "options": {}}) == plain
        assert service.post("ocr_system", {"images": [image], "options": DEFAULTS}) == plain


def test_options_change_their_own_request_only(service):
    before = results(service, TURNED)
    assert results(service, TURNED, det_db_box_thresh=1) == []
    assert results(service, LARGE, det_limit_side_len=32) == []
    assert len(results(service, LARGE)) == 20
    wider = results(service, TURNED, det_db_unclip_ratio=2.5)

    def height(line):
        return line["text_region"][3][1] - line["text_region"][0][1]

    assert height(wider[0]) > height(before[0]) + 10
    upside_down = results(service, TURNED, use_angle_cls=False, drop_score=0)
    assert [line["text"] for line in upside_down] != [line["text"] for line in before]
    sure = max(line["confidence"] for line in before)
    kept = results(service, TURNED, drop_score=sure)
    assert kept and all(line["confidence"] >= sure for line in kept)
    assert results(service, TURNED) == before


def test_ocr_det_takes_those_of_detection(service):
    assert len(results(service, LARGE, "ocr_det")) == 20
    assert results(service, LARGE, "ocr_det", det_db_box_thresh=1) == []


def test_options_count_for_pages_of_pdfs(service):
    scan = sent(pdfs.scanned([pictures.page()]))
    for options, lines in (({}, 1), ({"det_db_box_thresh": 1}, 0)):
        status, answer = service.predict("ocr_system", {"pdfs": [scan], "options": options})
        assert status == 200 and len(answer["results"][0]) == lines, answer


def test_words_stand_in_their_line_one_after_another(service):
    for line in results(service, encoded("mixed.jpg"), return_word_box=True):
        assert set(line) == {"text", "confidence", "text_region", "words"}
        assert "".join(word["text"] for word in line["words"]) == line["text"].replace(" ", "")
        (left, top), _, (right, bottom), _ = line["text_region"]
        edges = [left]
        for word in line["words"]:
            (x, y), _, (across, down), _ = word["text_region"]
            edges += [x, across]
            assert top - 2 <= y < down <= bottom + 2
        assert [*edges, right] == sorted([*edges, right])
    (model, *_), *_ = results(service, encoded("mixed.jpg"), return_word_box=True)[:1], None
    assert [word["text"] for word in model["words"]][:3] == ["型", "号", "PP-OCR"]


@pytest.mark.full
def test_lines_around_lines_cost_no_worker(own):
    rings = Image.new("L", (1400, 1400), "white")
    for side in range(10, 690, 12):
        ImageDraw.Draw(rings).rectangle((side, side, 1400 - side, 1400 - side), outline=0, width=5)
    body = {"images": [pictures.saved(rings, "PNG")] * 4}
    body["options"] = {"det_db_thresh": 0, "det_db_box_thresh": 0, "det_db_unclip_ratio": 2.5}
    for least in (0, 0.001, 0.05):
        body["options"]["det_db_thresh"] = least
        status, _ = own.predict("ocr_system", body)
        assert status in (200, 422)
    assert own.metric("ppocr_worker_memory_bytes") < 1.5e9
    assert own.metric('ppocr_worker_restarts_total{reason="lost"}') == 0


@pytest.mark.parametrize(
    ("module", "options", "said"),
    [
        ("ocr_system", {"det_db_tresh": 0.2}, "unknown option det_db_tresh: known are det_limit"),
        ("ocr_system", {"recognizer": "latin"}, "recognizer: 'latin' is not one of default"),
        ("ocr_rec", {"recognizer": 1}, "recognizer: 1 is not one of default"),
        ("ocr_system", {"det_limit_side_len": 100_000}, "not a whole number from 32 to 1920"),
        ("ocr_system", {"drop_score": "0.5"}, "drop_score: '0.5' is not a number from 0 to 1"),
        ("ocr_system", [], "options must be an object"),
        ("ocr_det", {"drop_score": 0.5}, "unknown option drop_score: known are det_limit"),
        ("ocr_rec", {"drop_score": 0.5}, "unknown option drop_score: known are recognizer"),
        ("ocr_det", {"recognizer": "default"}, "unknown option recognizer: known are det_limit"),
        ("ocr_cls", {"use_angle_cls": True}, "this module takes no options"),
    ],
)
def test_what_is_not_allowed_is_refused_by_name(service, module, options, said):
    body = {"images": [encoded("line.png")], "options": options}
    status, answer = service.predict(module, body)
    assert (status, answer["status"], answer["results"]) == (400, "101", ""), answer
    assert said in answer["msg"]


def test_the_largest_that_may_be_asked_for_fits_a_worker(own):
    page = pictures.saved(pictures.page(size=(1000, 2000)), "PNG")
    lines = results(own, page, det_limit_type="min", det_limit_side_len=1920)
    assert [line["text"].replace(" ", "") for line in lines] == [pictures.TEXT.replace(" ", "")]
    assert own.metric("ppocr_worker_memory_bytes") < 1.5e9
    assert own.metric('ppocr_worker_restarts_total{reason="lost"}') == 0
