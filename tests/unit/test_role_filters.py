"""Room an image needs, and the filters of hubserving."""

import json

import pytest
from role_code import load

from ppocr_control.shipping import disk_space


@pytest.fixture(scope="module")
def hubserving():
    return load("plugins/filter/hubserving.py")


@pytest.fixture(scope="module")
def status():
    return load("plugins/filter/hubserving_status.py")


@pytest.fixture(scope="module")
def containers():
    return load("plugins/filter/hubserving_containers.py")


@pytest.fixture(scope="module")
def shortages():
    return disk_space.shortages


def test_folders_on_one_file_system_add_up(shortages):
    lines = ["/   3000000000", "/   3000000000"]
    assert shortages(lines, [1_000_000_000, 1_500_000_000]) == []
    assert shortages(lines, [2_000_000_000, 1_500_000_000]) == ["/: needed 3500 MB, free 3000 MB"]


def test_each_full_file_system_is_named(shortages):
    lines = ["/var 100", "/data disk 5000000"]
    assert shortages(lines, [1_000_000, 6_000_000]) == [
        "/var: needed 1 MB, free 0 MB",
        "/data disk: needed 6 MB, free 5 MB",
    ]


def test_config_must_agree_with_the_instance(hubserving):
    text = json.dumps({"modules_info": {"ocr_det": {}}, "port": 8868})
    checked = hubserving.hubserving_check_config(text, {"name": "ppocr", "port": 8866})
    assert "config.json says port 8868, the instance 8866" in checked["error"]
    assert not hubserving.hubserving_check_config(text, {"name": "a", "port": "8868"})["error"]


def test_a_config_for_a_gpu_is_refused_where_nothing_is_prepared_for_one(hubserving, tmp_path):
    own = tmp_path / "config.json"
    own.write_text(
        '{"modules_info": {"ocr_system": {"init_args": {"use_gpu": true}}}, # yes\n "port": 8866}'
    )
    instance = {"name": "ppocr", "port": 8866, "config_file": str(own)}
    error = hubserving.hubserving_check_config("", instance, False)["error"]
    assert "use_gpu" in error and "ppocr_device to gpu" in error
    assert not hubserving.hubserving_check_config("", instance, True)["error"]


def test_a_config_for_a_module_the_image_lacks_is_refused(hubserving, tmp_path):
    own = tmp_path / "config.json"
    own.write_text('{"modules_info": {"ocr_det": {}, "mine": {}}}')
    instance = {"name": "ppocr", "port": 8866, "config_file": str(own)}
    error = hubserving.hubserving_check_config("", instance, False, ["ocr_det"])["error"]
    assert error.startswith("config.json names mine") and "ppocr_image_extra_modules" in error
    assert not hubserving.hubserving_check_config("", instance, False, ["ocr_det", "mine"])["error"]
    assert not hubserving.hubserving_check_config("", instance, False)["error"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_config_from_windows_is_read_or_its_encoding_named(hubserving, tmp_path, encoding):
    own = tmp_path / "config.json"
    own.write_text('{"modules_info": {"ocr_det": {}}} # 中文', encoding=encoding)
    instance = {"name": "ppocr", "port": 8866, "config_file": str(own)}
    error = hubserving.hubserving_check_config("", instance, False)["error"]
    assert ("save it in UTF-8" in error) if encoding == "utf-16" else not error


@pytest.mark.parametrize(
    ("environment", "changes", "tokens", "says"),
    [
        ({"PPOCR_PDF_DPI": "400"}, {}, [], "hubserving_pdf_dpi=400: more than hubserving_pdf_dpi_"),
        ({"PPOCR_ALLOW_NETWORKS": "10.0.0.300"}, {}, [], "hubserving_allow_networks: '10.0.0.300'"),
        ({"OMP_NUM_THREADS": 4}, {}, [], "hubserving_environment.OMP_NUM_THREADS is not text"),
        ({}, {}, ["good", "pass word"], "hubserving_tokens: a token (number 2)"),
        ({}, {}, ["# one"], "hubserving_tokens: a token (number 1)"),
        ({}, {"bind": "localhost"}, [], "hubserving_bind is localhost, which is no IP address"),
        ({}, {"bind": "[::]"}, ["0" * 64], ""),
        (
            {"PPOCR_SERVER": "hub", "PPOCR_HOSTS": "a", "PPOCR_TOKEN_FILE": "/t"},
            {},
            ["a"],
            "hubserving_server=hub: plain hub serving knows no hubserving_tokens, hubserving_hosts",
        ),
        ({"PPOCR_SERVER": "hub"}, {}, [], ""),
    ],
)
def test_settings_are_checked_by_the_containers_rules(
    hubserving, environment, changes, tokens, says
):
    instance = {"bind": "0.0.0.0", **changes}
    error = hubserving.hubserving_settings_error(environment, instance, tokens, behind_edge=False)
    assert error.startswith(says) and bool(error) == bool(says)
    assert "pass word" not in error


def test_on_the_hosts_network_the_service_is_on_all_addresses(hubserving):
    for bind in ("127.0.0.1", "192.0.2.7", "[::1]"):
        asked = {"bind": bind}, ["a"], False
        assert "all addresses of the host" in hubserving.hubserving_settings_error(
            {}, *asked, "host"
        )
        assert not hubserving.hubserving_settings_error({}, *asked, "ppocr")
    for bind in ("0.0.0.0", "::", "[::]"):
        assert not hubserving.hubserving_settings_error({}, {"bind": bind}, ["a"], False, "host")


def test_behind_an_edge_plain_hub_serving_may_have_tokens(hubserving):
    environment = {"PPOCR_SERVER": "hub", "PPOCR_TOKEN_FILE": "/etc/ppocr/tokens"}
    instance = {"bind": "0.0.0.0"}
    assert not hubserving.hubserving_settings_error(environment, instance, ["a"], behind_edge=True)


def test_what_cannot_be_served_is_an_error_in_one_sentence(hubserving):
    checked = hubserving.hubserving_check_config("{", {"name": "ppocr", "port": 8866})
    assert checked["error"].startswith("config.json is not JSON")


def test_unknown_parameter_names_the_setting(hubserving):
    checked = hubserving.hubserving_check_params({"det_db_tresh": 0.2})
    assert checked["error"].startswith("hubserving_params: unknown parameter det_db_tresh")
    assert hubserving.hubserving_check_params({"rec_batch_num": 4}) == {
        "data": {"rec_batch_num": 4},
        "error": "",
    }


def test_an_own_module_gets_none_of_our_arguments(hubserving):
    info = hubserving.hubserving_module_info
    assert info("ocr_det", {"use_gpu": True}, ["ocr_det"])["init_args"] == {"use_gpu": True}
    assert info("mine", {"use_gpu": True}, ["ocr_det"])["init_args"] == {}


def test_status_rows_line_up(status):
    running = {
        "Name": "/ppocr",
        "RestartCount": 2,
        "State": {"Status": "running", "Health": {"Status": "healthy"}, "OOMKilled": False},
        "Config": {"Image": "ppocr:1.0.0", "Labels": {"org.ppocr.content": "0123456789abcdef"}},
    }
    rows = [
        status.hubserving_status_row({}, "absent-host", "20.10"),
        status.hubserving_status_row(running, "a", "20.10"),
    ]
    header, first, second = status.hubserving_table(rows)
    assert header.split()[:4] == ["host", "container", "state", "health"]
    assert "absent" in first
    assert second.split()[:5] == ["a", "ppocr", "running", "healthy", "2"]


@pytest.mark.parametrize(
    ("output", "runs_on", "reason"),
    [
        ('{"ready": true, "modules": {"ocr_det": "gpu:0, gpu:1", "ocr_rec": "gpu:0, gpu:1"}}',
         "gpu:0, gpu:1", ""),
        ("not ready: the container has lost its GPU\n", "", "the container has lost its GPU"),
        ("ocr_system answered", "", ""),
        (None, "", ""),
    ],
)  # fmt: skip
def test_status_names_the_device_or_why_there_is_none(status, output, runs_on, reason):
    log = [{"Output": "older"}, {"Output": output}] if output else None
    container = {
        "Name": "/ppocr",
        "State": {"Status": "running", "Health": {"Status": "healthy", "Log": log}},
        "Config": {"Image": "ppocr:1.0.0"},
    }
    row = status.hubserving_status_row(container, "a", "20.10")
    assert (row["runs on"], row["reason"]) == (runs_on, reason)


METRICS = """# HELP ppocr_requests_total Requests answered
ppocr_requests_total{code="200",module="ocr_system"} 190.0
ppocr_requests_total{code="429",module="ocr_det"} 10.0
ppocr_request_seconds_bucket{le="0.5",module="ocr_system"} 50.0
ppocr_request_seconds_bucket{le="1.0",module="ocr_system"} 100.0
ppocr_request_seconds_bucket{le="+Inf",module="ocr_system"} 100.0
ppocr_ready 1.0
"""


@pytest.mark.parametrize(
    ("metrics", "requests", "p95"),
    [
        (METRICS, "200", "0.95 s"),
        (METRICS.replace('"1.0",module="ocr_system"} 100', '"1.0",module="ocr_system"} 90'),
         "200", "over 1 s"),
        ("ppocr_ready 1.0\n", "0", "-"),
        ("", "-", "-"),
    ],
)  # fmt: skip
def test_status_counts_requests_and_their_time(status, metrics, requests, p95) -> None:
    container = {"Name": "/a", "State": {"Status": "running"}, "Config": {"Image": "ppocr:1.0.0"}}
    counted = [{"item": {"Name": "/a"}, "stdout": metrics}, {"item": {"Name": "/b"}}]
    row = status.hubserving_status_row(container, "h", "20.10", counted, "lb: in")
    assert (row["requests"], row["p95"], row["balancers"]) == (requests, p95, "lb: in")
    assert "balancers" not in status.hubserving_status_row(container, "h", "20.10", counted)


IMAGES = ["sha256:a ppocr:1.0.0", "sha256:b ppocr:1.0.1", "sha256:a ppocr:previous"]


def test_rolls_back_to_the_image_that_ran_before_by_its_version(containers):
    chosen = containers.hubserving_rollback(IMAGES, "ppocr", "", "", ["sha256:b"])
    assert chosen == {"run": "ppocr:1.0.0", "words": "going to ppocr:1.0.0", "error": ""}


def test_rolls_back_by_id_where_the_version_is_another_image_now(containers):
    images = ["sha256:b ppocr:1.0.0", "sha256:a ppocr:previous"]
    assert (
        containers.hubserving_rollback(images, "ppocr", "", "", ["sha256:b"])["run"] == "sha256:a"
    )


def test_a_rollback_to_what_is_not_there_names_what_is(containers):
    error = containers.hubserving_rollback(IMAGES, "ppocr", "0.9", "", ["sha256:b"])["error"]
    assert "ppocr:0.9 is not on this host" in error
    assert "There are: ppocr:1.0.0, ppocr:1.0.1 (running)." in error
    none = containers.hubserving_rollback(IMAGES[1:2], "ppocr", "", "", ["sha256:b"])["error"]
    assert "No earlier image is remembered here" in none
    assert "no container" in containers.hubserving_rollback(IMAGES, "ppocr", "", "", [])["error"]


@pytest.mark.parametrize(
    ("distribution", "family", "expected"),
    [
        ("Ubuntu", "Debian", "Debian"),
        ("Rocky", "RedHat", "RedHat"),
        ("Anolis OS", "Anolis", "RedHat"),
        ("Anolis", "Anolis", "RedHat"),
    ],
)
def test_a_host_takes_the_packages_of_its_family(distribution, family, expected):
    packages = load("plugins/filter/host_packages.py")
    facts = {"distribution": distribution, "os_family": family}
    assert packages.host_packages_family(facts) == expected


def test_the_models_of_containers_are_listed_by_host(status):
    labels = {"org.ppocr.models": "det PP-OCRv6-tiny, cls PP-OCRv4-mobile, rec mine"}
    new = {"Name": "/ppocr", "Config": {"Labels": labels}}
    old = {"Name": "/other", "Config": {"Labels": None}}
    verdict = '{"precision": "f32", "why": "of 360 lines bf16 read 261 right, f32 262"}'
    asked = [
        {"item": new, "rc": 0, "stdout": verdict},
        {"item": old, "rc": 1, "stdout": ""},
    ]
    host = {
        "inventory_hostname": "web1",
        "__hubserving_containers": [new, old],
        "__hubserving_verdicts": {"results": asked},
    }
    rows = status.hubserving_models(host)
    assert [row["models"] for row in rows] == [labels["org.ppocr.models"], "not recorded"]
    assert [row["precision auto is"] for row in rows] == [
        "f32: of 360 lines bf16 read 261 right, f32 262", "",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("engine", "expected"),
    [
        ({"rc": 0}, "absent"),
        ({"rc": 1}, "Docker does not answer"),
        ({"unreachable": True}, "not reachable"),
    ],
)
def test_why_no_models_are_listed_of_a_host(status, engine, expected):
    host = {"inventory_hostname": "web2", "__hubserving_engine": engine}
    row = {"host": "web2", "container": expected, "models": "", "precision auto is": ""}
    assert status.hubserving_models(host) == [row]


def test_hosts_of_a_batch_that_failed_are_behind(hubserving) -> None:
    def host(name: str, **step: object) -> dict:
        step = {"instances": ["x", "y"], "instance": "", "way": "", "proven": False, **step}
        return {"inventory_hostname": name, "__hubserving_step": step}

    mine = {"instances": ["y"], "instance": "y", "way": "replace", "proven": True}
    hosts = [
        host("proven", instance="y", way="replace", proven=True),
        host("other_way", instance="y", way="unchanged"),
        host("other_instance", instances=["x"], instance="x"),
        host("failed_on_it", instance="y", way="replace"),
        host("failed_before_it", instance="x", way="replace", proven=True),
        host("not_begun"),
        {"inventory_hostname": "not_here"},
    ]
    behind = ["failed_on_it", "failed_before_it", "not_begun", "not_here"]
    assert hubserving.hubserving_lagging(hosts, mine) == behind
