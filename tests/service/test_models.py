"""Models that ppocr_models names instead of the default."""

import pytest

from ppocr_control import command_line
from ppocr_control.images import models
from smoke_tests.contract import normalise
from smoke_tests.samples import load_samples
from tests.containers import SAMPLES


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """PP-OCRv6-small, laid out as the image's build does it."""
    folder = tmp_path_factory.mktemp("v6") / "models"
    chosen = {"det": "PP-OCRv6-small", "rec": "PP-OCRv6-small"}
    models.lay_out(models.resolve(chosen), folder, command_line.cache_folder() / "models")
    for path in (folder.parents[1], folder.parent):
        path.chmod(0o755)
    return folder


def test_pp_ocr_v6_small_reads_the_samples(start, small):
    service = start(f"--volume={small}:/opt/ppocr/models:ro").ready()
    wrong = {}
    for sample in load_samples(SAMPLES):
        read = [normalise(text) for text in service.texts(sample.name)]
        if read != [normalise(line) for line in sample.lines]:
            wrong[sample.name] = read
    assert wrong == {}
    status, answer = service.predict("ocr_rec", {"images": ["AAAA"]})
    assert status == 422 and answer["status"] == "101"


def test_paddle_says_what_it_cannot_read(start, small):
    service = start(f"--volume={small}:/opt/ppocr/models:ro", init_args={"engine": "paddle"})
    service.ended()
    assert "hubserving_engine" in service.logs()
