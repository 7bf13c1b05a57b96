"""Options of a request: checked by name, kind and bounds."""

import pytest
from ppocr_serving import request_options
from ppocr_serving.report import RequestError

from ppocr_contract.params import DetParams, SystemParams


def test_what_is_allowed_is_taken():
    options = {
        "det_limit_side_len": 1280,
        "det_limit_type": "min",
        "det_db_thresh": 0.2,
        "det_db_box_thresh": 0,
        "det_db_unclip_ratio": 2,
        "use_angle_cls": False,
        "use_doc_orientation_classify": True,
        "drop_score": 1,
        "return_word_box": True,
    }
    read = request_options.read(options, request_options.SYSTEM)
    assert options.items() <= read.items()
    SystemParams(**read)
    assert request_options.read({}, ()) == {}


def test_whatever_limit_is_named_the_networks_input_has_one():
    read = request_options.read({"det_limit_type": "min"}, request_options.DETECTION)
    assert 0 < DetParams(**read).det_limit_pixels < 10_000_000
    assert request_options.read({"det_db_thresh": 0.2}, request_options.SYSTEM) == {
        "det_db_thresh": 0.2
    }


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], ["must be an object"]),
        ("drop_score", ["must be an object"]),
        ({"det_db_tresh": 0.2}, ["unknown option det_db_tresh", "det_db_thresh"]),
        ({"det_model_dir": "/etc"}, ["unknown option det_model_dir"]),
        ({"det_limit_pixels": 10**9}, ["unknown option det_limit_pixels"]),
        ({"x" * 5000: 1}, ["unknown option " + "x" * 40 + ":"]),
        ({"det_limit_side_len": 4000}, ["det_limit_side_len", "4000", "from 32 to 1920"]),
        ({"det_limit_side_len": 31}, ["from 32 to 1920"]),
        ({"det_limit_side_len": 960.5}, ["a whole number"]),
        ({"det_limit_side_len": True}, ["a whole number"]),
        ({"det_limit_type": "both"}, ["det_limit_type", "max, min"]),
        ({"det_limit_type": ["max"]}, ["det_limit_type", "max, min"]),
        ({"det_db_thresh": 1.1}, ["det_db_thresh", "from 0 to 1"]),
        ({"det_db_thresh": float("nan")}, ["from 0 to 1"]),
        ({"det_db_box_thresh": -0.1}, ["from 0 to 1"]),
        ({"det_db_unclip_ratio": 50}, ["from 0.5 to 2.5"]),
        ({"det_db_unclip_ratio": "1.5"}, ["a number"]),
        ({"use_angle_cls": 1}, ["use_angle_cls", "true or false"]),
        ({"return_word_box": "yes"}, ["return_word_box", "true or false"]),
        ({"drop_score": 10**400}, ["drop_score", "from 0 to 1"]),
        ({"drop_score": None}, ["drop_score"]),
    ],
)
def test_what_is_not_allowed_is_named(options, words):
    with pytest.raises(RequestError) as error:
        request_options.read(options, request_options.SYSTEM)
    assert (error.value.http, error.value.kind) == (400, "options")
    assert all(word in str(error.value) for word in words), error.value
    assert len(str(error.value)) < 400


OTHERS = {"latin": {"rec_model_dir": "/models/latin"}, "cyrillic": {}}


def test_a_recogniser_is_chosen_by_its_name():
    for options, values in (
        ({"recognizer": "latin"}, OTHERS["latin"]),
        ({"recognizer": "default"}, {}),
        ({"recognizer": "latin", "drop_score": 0.6}, OTHERS["latin"] | {"drop_score": 0.6}),
    ):
        assert request_options.read(options, request_options.SYSTEM, OTHERS) == values
    assert request_options.read({"recognizer": "default"}, request_options.RECOGNITION) == {}


@pytest.mark.parametrize("name", ["greek", "LATIN", "", None, 1, ["latin"], {"latin": 1}])
def test_one_that_is_not_there_is_refused_with_those_there_are(name):
    with pytest.raises(RequestError) as error:
        request_options.read({"recognizer": name}, request_options.RECOGNITION, OTHERS)
    said = f"options: recognizer: {name!r} is not one of default, latin, cyrillic"
    assert (error.value.kind, str(error.value)) == ("options", said)


def test_a_module_of_directions_takes_none():
    with pytest.raises(RequestError, match="this module takes no options"):
        request_options.read({"drop_score": 0.6}, ())
