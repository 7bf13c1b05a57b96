"""Filters of ppocr_image and hubserving."""

import json

import pytest
from ansible.errors import AnsibleFilterError


@pytest.fixture(scope="module")
def hubserving(load_plugin):
    return load_plugin("hubserving/filter_plugins/hubserving.py")


@pytest.fixture(scope="module")
def lacking(load_plugin):
    return load_plugin("ppocr_image/filter_plugins/ppocr_image.py").ppocr_image_lacking


def test_folders_on_one_file_system_add_up(lacking):
    lines = ["/   3000000000", "/   3000000000"]
    assert lacking(lines, [1_000_000_000, 1_500_000_000]) == []
    assert lacking(lines, [2_000_000_000, 1_500_000_000]) == ["/: needed 3500 MB, free 3000 MB"]


def test_each_full_file_system_is_named(lacking):
    lines = ["/var 100", "/data disk 5000000"]
    assert lacking(lines, [1_000_000, 6_000_000]) == [
        "/var: needed 1 MB, free 0 MB",
        "/data disk: needed 6 MB, free 5 MB",
    ]


def test_config_must_agree_with_the_instance(hubserving):
    text = json.dumps({"modules_info": {"ocr_det": {}}, "port": 8868})
    instance = {"name": "ppocr", "port": 8866}
    with pytest.raises(AnsibleFilterError, match="config.json says port 8868, the instance 8866"):
        hubserving.hubserving_check_config(text, instance)


def test_unknown_parameter_names_the_setting(hubserving):
    with pytest.raises(
        AnsibleFilterError, match="hubserving_params: unknown parameter det_db_tresh"
    ):
        hubserving.hubserving_check_params({"det_db_tresh": 0.2})


def test_an_own_module_gets_none_of_our_arguments(hubserving):
    info = hubserving.hubserving_module_info
    assert info("ocr_det", {"use_gpu": True}, ["ocr_det"])["init_args"] == {"use_gpu": True}
    assert info("mine", {"use_gpu": True}, ["ocr_det"])["init_args"] == {}


def test_status_rows_line_up(hubserving):
    running = {
        "Name": "/ppocr",
        "RestartCount": 2,
        "State": {"Status": "running", "Health": {"Status": "healthy"}, "OOMKilled": False},
        "Config": {"Image": "ppocr:1.0.0", "Labels": {"org.ppocr.content": "0123456789abcdef"}},
    }
    rows = [
        hubserving.hubserving_status_row({}, "absent-host", "20.10"),
        hubserving.hubserving_status_row(running, "a", "20.10"),
    ]
    header, first, second = hubserving.hubserving_table(rows)
    assert header.split()[:4] == ["host", "container", "state", "health"]
    assert "absent" in first
    assert second.split()[:5] == ["a", "ppocr", "running", "healthy", "2"]
