"""Parameters under PaddleOCR's names."""

import dataclasses
import json

import pytest

from ppocr_contract import params


def test_defaults_are_the_stock_pipelines():
    system = params.SystemParams()
    assert (system.det_db_thresh, system.det_db_box_thresh, system.det_db_unclip_ratio) == (
        0.3,
        0.6,
        1.5,
    )
    assert (system.det_limit_side_len, system.det_limit_type) == (960, "max")
    assert system.rec_image_shape == "3, 48, 320"
    assert system.drop_score == 0.5


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"det_db_tresh": 0.2}, "did you mean det_db_thresh?"),
        ({"nonsense": 1}, "unknown parameter nonsense"),
        ({"det_limit_side_len": "960"}, "is not int"),
        ({"det_limit_side_len": True}, "is not int"),
        ({"use_angle_cls": 1}, "is not bool"),
        ({"drop_score": -0.1}, "drop_score: -0.1 is not from 0 to 1"),
        ({"drop_score": float("nan")}, "nan is not from 0 to 1"),
        ({"det_db_thresh": float("inf")}, "inf is not from 0 to 1"),
        ({"rec_batch_num": 0}, "rec_batch_num: 0 is not from 1 to 1000"),
        ({"cls_batch_num": 0}, "is not from 1 to 1000"),
        ({"det_limit_side_len": 0}, "is not from 32 to 65000"),
        ({"det_db_unclip_ratio": 11}, "is not from 0 to 10"),
        ({"label_list": ["0"]}, "the number of labels is not from 2 to 1000"),
        ({"rec_image_shape": "3, 0, 320"}, "a side is not from 1 to 4800"),
        ({"cls_image_shape": "1, 48, 192"}, "does not begin with 3"),
        ({"det_algorithm": "EAST"}, "is not one of DB"),
        ({"rec_image_shape": "48, 320"}, "three numbers"),
    ],
)
def test_what_will_not_do_is_named(values, message):
    with pytest.raises(params.ParamsError) as error:
        params.check(values)
    assert message in str(error.value)


def test_every_number_has_bounds_that_its_default_is_in():
    system = params.SystemParams()
    assert params.check(dataclasses.asdict(system)) == dataclasses.asdict(system)


def test_a_whole_number_is_a_fraction_too():
    assert params.check({"det_db_unclip_ratio": 2}) == {"det_db_unclip_ratio": 2.0}


def test_subclasses_of_a_type_are_that_type():
    class Tagged(float):
        """As Ansible marks values with where they come from."""

    checked = params.check({"drop_score": Tagged(0.0)})
    assert checked == {"drop_score": 0.0} and type(checked["drop_score"]) is float


def test_operators_file_beats_the_modules_own_changes(tmp_path, monkeypatch):
    file = tmp_path / "params.json"
    file.write_text(json.dumps({"drop_score": 0.2, "rec_batch_num": 4}))
    monkeypatch.setenv("PPOCR_PARAMS", str(file))
    system = params.read("ocr_system", drop_score=0.9, use_angle_cls=False)
    assert (system.drop_score, system.use_angle_cls, system.rec_batch_num) == (0.2, False, 4)
    # A module takes what concerns it; the rest of the file is for the others.
    assert params.read("ocr_rec").rec_batch_num == 4


def test_a_file_that_is_no_json_is_named(tmp_path, monkeypatch):
    file = tmp_path / "params.json"
    file.write_text("{")
    monkeypatch.setenv("PPOCR_PARAMS", str(file))
    with pytest.raises(params.ParamsError, match=r"params\.json is not JSON"):
        params.read("ocr_det")


def test_stages_of_a_system_equal_the_single_modules():
    # Equal parameters are what makes ocr_system and ocr_det share one predictor.
    assert params.SystemParams().det == params.DetParams()
    assert hash(params.SystemParams().rec) == hash(params.RecParams())
