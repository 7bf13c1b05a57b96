"""Several recognisers on one port: each reads what asks for it, and others notice nothing."""

import concurrent.futures

import pictures
import pytest

from ppocr_control import command_line
from ppocr_control.images import models
from tests import pdfs
from tests.containers import encoded
from tests.service.odd_pictures import sent

NAMED = {"tiny": "PP-OCRv6-tiny"}
LINE = encoded("line.png")
#: Letters that neither knows: one leaves them out, the other takes them for others.
ACCENTS = pictures.saved(pictures.page(text="Straße größer"), "PNG")
READ = {"default": "Strae grer", "tiny": "Straće grćer"}


@pytest.fixture(scope="module")
def laid_out(tmp_path_factory):
    """The options of a container with the default models and the tiny recogniser."""
    folder = tmp_path_factory.mktemp("recognizers") / "models"
    cache = command_line.cache_folder() / "models"
    models.lay_out(models.resolve({}, NAMED), folder, cache)
    return f"--volume={folder}:/opt/ppocr/models:ro"


@pytest.fixture(scope="module")
def several(laid_out, tmp_path_factory):
    from conftest import Service

    one = Service(tmp_path_factory.mktemp("several"), laid_out)
    yield one.ready()
    one.remove()


def read(service, module, image, **options):
    """The texts of one image."""
    status, answer = service.predict(module, {"images": [image], "options": options})
    assert (status, answer["status"]) == (200, "000"), answer
    return [line["text"] for line in answer["results"][0]]


def test_each_reads_what_asks_for_it(several):
    for name, text in READ.items():
        assert read(several, "ocr_system", ACCENTS, recognizer=name)[0] == text
        assert read(several, "ocr_rec", LINE, recognizer=name)[0].strip() == "单行识别2026"
    words = {"images": [ACCENTS], "options": {"recognizer": "tiny", "return_word_box": True}}
    _, answer = several.predict("ocr_system", words)
    assert " ".join(word["text"] for word in answer["results"][0][0]["words"]) == READ["tiny"]


def test_what_names_none_is_answered_as_where_there_is_none(several, service):
    for module, image in (("ocr_system", ACCENTS), ("ocr_rec", LINE)):
        asked = {"images": [image]}
        answer = service.post(module, asked)
        assert answer[0] == 200
        for options in ({}, {"options": {}}, {"options": {"recognizer": "default"}}):
            assert several.post(module, asked | options) == answer


def test_pages_of_pdfs_are_read_by_it_too(several):
    scan = sent(pdfs.scanned([pictures.page()]))
    body = {"pdfs": [scan], "options": {"recognizer": "tiny"}}
    status, answer = several.predict("ocr_system", body)
    assert status == 200 and len(answer["results"][0]) == 1, answer


def test_requests_side_by_side_are_each_read_by_their_own(several):
    asked = [*READ] * 4
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        found = pool.map(lambda name: read(several, "ocr_system", ACCENTS, recognizer=name), asked)
    assert [texts[0] for texts in found] == [READ[name] for name in asked]


@pytest.mark.parametrize("module", ["ocr_system", "ocr_rec"])
def test_one_that_is_not_there_is_refused_with_those_there_are(several, module):
    body = {"images": [LINE], "options": {"recognizer": "greek"}}
    status, answer = several.predict(module, body)
    said = "options: recognizer: 'greek' is not one of default, tiny"
    assert (status, answer) == (400, {"status": "101", "msg": said, "results": ""})


def test_a_service_that_lacks_one_does_not_start(start, laid_out):
    dictionary = "/opt/ppocr/models/recognizers/tiny/dict.txt"
    broken = start(laid_out, f"--volume=/dev/null:{dictionary}:ro")
    broken.ended()
    assert "models in /opt/ppocr/models: recognizers/tiny/dict.txt is missing" in broken.logs()


@pytest.mark.full
def test_plain_hub_serving_has_them(start, laid_out):
    service = start(laid_out, server="hub").healthy()
    for name, text in READ.items():
        assert read(service, "ocr_system", ACCENTS, recognizer=name)[0] == text
    _, answer = service.predict("ocr_rec", {"images": [LINE], "options": {"recognizer": "greek"}})
    assert answer["status"] == "101" and "default, tiny" in answer["msg"]
