"""Models that ppocr_models names instead of the default."""

import pytest

from ppocr_contract.models import read_dictionary
from ppocr_control import command_line
from ppocr_control.images import models
from ppocr_control.images.model_sets import NAMED_SETS
from smoke_tests.contract import normalise
from smoke_tests.samples import load_samples
from tests.containers import SAMPLES, paddle_image

#: The tiny detector finds no line in so small a picture unless it is enlarged.
FOR_TINY = {"small.png"}


@pytest.fixture(scope="module")
def laid_out(tmp_path_factory):
    """Lay models out by name as the image's build does it, and compare them with the table."""

    def lay_out(given):
        folder = tmp_path_factory.mktemp("named") / "models"
        models.lay_out(models.resolve(given), folder, command_line.cache_folder() / "models")
        for path in (folder.parents[1], folder.parent):
            path.chmod(0o755)
        for stage, name in given.items():
            named = NAMED_SETS[name][stage]
            files = [
                path for path in (folder / stage).iterdir() if path.name.startswith("inference.")
            ]
            assert named.program in {path.name for path in files}
            assert round(sum(path.stat().st_size for path in files) / 1e6, 1) == named.size
        known = len(read_dictionary(folder / "rec/dict.txt"))
        assert known == NAMED_SETS[given["rec"]]["rec"].characters
        return folder

    return lay_out


@pytest.fixture(scope="module")
def small(laid_out):
    return laid_out({"det": "PP-OCRv6-small", "rec": "PP-OCRv6-small"})


def misread(service):
    """The samples whose text is not read, with what is read."""
    wrong = {}
    for sample in load_samples(SAMPLES):
        read = [normalise(text) for text in service.texts(sample.name)]
        if read != [normalise(line) for line in sample.lines]:
            wrong[sample.name] = read
    return wrong


def test_pp_ocr_v6_small_reads_the_samples(start, small):
    service = start(f"--volume={small}:/opt/ppocr/models:ro").ready()
    assert misread(service) == {}
    status, answer = service.predict("ocr_rec", {"images": ["AAAA"]})
    assert status == 422 and answer["status"] == "101"


@pytest.mark.full
def test_the_tiny_detector_finds_for_another_recogniser(start, laid_out):
    folder = laid_out({"det": "PP-OCRv6-tiny", "rec": "PP-OCRv6-small"})
    service = start(f"--volume={folder}:/opt/ppocr/models:ro").ready()
    assert set(misread(service)) <= FOR_TINY


@pytest.mark.full
def test_pp_ocr_v5_mobile_reads_the_samples(start, laid_out):
    folder = laid_out({"det": "PP-OCRv5-mobile", "rec": "PP-OCRv5-mobile"})
    service = start(f"--volume={folder}:/opt/ppocr/models:ro", precision="f32").ready()
    assert misread(service) == {}


def test_paddle_says_what_it_cannot_read(start, small):
    models = f"--volume={small}:/opt/ppocr/models:ro"
    service = start(models, init_args={"engine": "paddle"}, image=paddle_image())
    service.ended()
    assert "leave hubserving_engine empty" in service.logs()
