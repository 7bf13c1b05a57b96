"""text_correction over HTTP: the guide's sentence, limits, refusals, and findings in lines.

The image under test has no language model. What an image that is asked for it gets is mounted.
"""

import json
import subprocess
import sys
import zipfile

import pytest

from ppocr_control import command_line
from ppocr_control.images import correction
from tests.containers import PORT, Container, encoded

GUIDE = [
    [{"err": "公"}, {"fix": "么"}, {"startIdx": "2"}, {"endIdx": "3"}],
    [{"err": "口"}, {"fix": "回"}, {"startIdx": "5"}, {"endIdx": "6"}],
]
MIXED = encoded("mixed.jpg")


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """Mounts of what the image gets where text_correction is asked for."""
    folder = tmp_path_factory.mktemp("correction")
    correction.lay_out("", folder / "models", command_line.cache_folder() / "models")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
    command += ["--only-binary=:all:", "--python-version=3.11", "--platform=manylinux_2_28_x86_64"]
    subprocess.run([*command, "-r", correction.LOCK, "--dest", folder], check=True)
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        (library,) = (name for name in wheel.namelist() if name.startswith("kenlm."))
        wheel.extract(library, folder)
    modules = {name: {"init_args": {}} for name in ("ocr_system", "text_correction")}
    config = folder / "config.json"
    config.write_text(json.dumps({"modules_info": modules, "port": 8866}))
    for path in (folder.parent, folder, *folder.rglob("*")):
        path.chmod(0o755)
    packages = "/opt/ppocr/venv/lib/python3.11/site-packages"
    return [
        f"--volume={folder / 'models/text_correction'}:/opt/ppocr/models/text_correction:ro",
        f"--volume={folder / library}:{packages}/{library}:ro",
        f"--volume={config}:/etc/ppocr/config.json:ro",
    ]


@pytest.fixture(scope="module")
def correcting(given):
    """A service with text_correction and small limits."""
    limits = ("--env=PPOCR_TEXTS_LIMIT=4", "--env=PPOCR_CHARACTERS_LIMIT=300")
    service = Container(*PORT, *given, *limits).healthy()
    yield service
    service.remove()


def asked(service, module="text_correction", **body):
    status, answer = service.post(module, body)
    return status, json.loads(answer)


def test_the_guide_s_sentence_is_answered_in_the_guide_s_form(correcting):
    status, answer = asked(correcting, texts=["为什公你不口家", "为什么你不回家", "hello", ""])
    assert status == 200
    assert answer == {"status": "000", "msg": "", "results": [GUIDE, [], [], []]}


def test_a_request_chooses_how_sure_a_finding_is(correcting):
    text = "他们在跟据新的规定工作"
    for gain, findings in ((0, True), (20, False)):
        options = {"text_correction_gain": gain}
        _, answer = asked(correcting, texts=[text], options=options)
        assert bool(answer["results"][0]) == findings, answer


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({}, 400, "texts must be a list of at least one text"),
        ({"texts": []}, 400, "texts must be a list of at least one text"),
        ({"texts": "x"}, 400, "texts must be a list of at least one text"),
        ({"texts": ["x", 1]}, 400, "texts[1] is not a string"),
        ({"texts": ["x"] * 5}, 413, "5 texts are more than 4 (hubserving_texts_limit)"),
        ({"texts": ["啊" * 301]}, 413, "more than 300 (hubserving_characters_limit)"),
        ({"images": [MIXED]}, 400, "unknown key images: only texts and options are accepted"),
        ({"texts": ["x"], "options": {"drop_score": 0.1}}, 400, "known are text_correction_gain"),
        ({"texts": ["x"], "options": {"text_correction_gain": 21}}, 400, "from 0 to 20"),
    ],
)
def test_what_is_not_a_request_is_refused(correcting, body, status, said):
    code, answer = asked(correcting, **body)
    assert (code, answer["status"], answer["results"]) == (status, "101", "")
    assert said in answer["msg"]


def test_lines_of_pictures_get_findings_and_keep_their_texts(correcting):
    plain = correcting.post("ocr_system", {"images": [MIXED]})
    _, answer = asked(correcting, "ocr_system", images=[MIXED], options={"text_correction": True})
    for line in answer["results"][0]:
        assert line.pop("text_correction") == []
    assert answer == json.loads(plain[1])
    again = {"images": [MIXED], "options": {"text_correction": False}}
    assert correcting.post("ocr_system", again) == plain


def test_a_service_without_it_says_so(service):
    body = {"images": [MIXED], "options": {"text_correction": True}}
    status, answer = service.predict("ocr_system", body)
    assert status == 400 and "hubserving_modules" in answer["msg"]
    assert service.predict("text_correction", {"texts": ["x"]})[0] == 404
