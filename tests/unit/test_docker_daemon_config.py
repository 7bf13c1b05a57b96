"""The one writer of daemon.json: what it merges, what it refuses, what it leaves on the disk."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from role_code import load

module = load("plugins/modules/docker_daemon_config.py")
content = load("src/ppocr_hosts/docker_daemon_json.py")
BadConfig = module.BadConfig  # the class the module knows, not that of a second import
LOGS = {"log-driver": "json-file", "log-opts": {"max-size": "50m", "max-file": "3"}}


@pytest.fixture(autouse=True)
def no_dockerd(monkeypatch: pytest.MonkeyPatch) -> None:
    """What runs on the machine of the tests is no part of them."""
    monkeypatch.setattr(module, "dockerd_processes", lambda: [])
    monkeypatch.setattr(module, "find_binary", lambda name: "")


def call(path: Path, state: str = "merged", check: bool = False, **params) -> dict:
    """Run one state of the module on path, as main() would."""
    given = {"fragments": [], "config": {}, "defaults": [], "defaults_alone": True, **params}
    fake = SimpleNamespace(params=given, check_mode=check, _diff=True)
    return getattr(module, state)(fake, path)


# --- merging


def test_merges_deeply_and_the_operator_comes_last() -> None:
    host = {"data-root": "/srv/docker", "runtimes": {"kata": {"path": "/k"}}, "debug": True}
    fragment = {"runtimes": {"nvidia": {"path": "n", "args": []}}, "debug": False}
    assert content.desired(host, [fragment], {"debug": True}, [], True) == {
        "data-root": "/srv/docker",
        "runtimes": {"kata": {"path": "/k"}, "nvidia": {"path": "n", "args": []}},
        "debug": True,
    }
    assert host["runtimes"] == {"kata": {"path": "/k"}}


def test_unites_lists_that_add_up_and_replaces_the_others() -> None:
    host = {"registry-mirrors": ["a", "b"], "exec-opts": ["native.cgroupdriver=systemd"]}
    over = {"registry-mirrors": ["b", "c"], "exec-opts": ["native.cgroupdriver=cgroupfs"]}
    assert content.merge(host, over) == {
        "registry-mirrors": ["a", "b", "c"],
        "exec-opts": ["native.cgroupdriver=cgroupfs"],
    }


def test_null_removes_a_key_and_is_never_written() -> None:
    host = {"live-restore": True, "log-opts": {"max-size": "1m", "tag": "x"}}
    over = {"live-restore": None, "log-opts": {"tag": None}, "features": {"cdi": None}}
    assert content.merge(host, over) == {"log-opts": {"max-size": "1m"}, "features": {}}


@pytest.mark.parametrize(
    ("host", "config", "alone", "added"),
    [
        ({}, {}, True, True),
        ({}, {}, False, False),  # a default alone restarts no engine that has containers
        ({}, {"debug": True}, False, True),
        ({"log-driver": "journald"}, {}, True, False),
        ({"log-opts": {"max-size": "1m"}}, {}, True, False),
        ({}, {"log-driver": None}, True, False),
    ],
)
def test_log_rotation_only_where_nobody_spoke_of_logs(host, config, alone, added) -> None:
    result = content.desired(host, [], config, [LOGS], alone)
    assert ({"log-driver", "log-opts"} <= set(result)) is added


# --- refusing


@pytest.mark.parametrize("text", ["", " \n", "\ufeff{}"])
def test_an_empty_file_is_an_empty_configuration(text: str) -> None:
    assert content.parse(text, "f") == {}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{\n  "debug": true\n"mtu": 1}', r"f is not valid JSON: line 3, column 1"),
        ('{\n  "debug": yes\n}', r"line 2, column 12: .*: \"debug\": yes"),
        ("[]", "not a JSON object"),
        ('{"a": 1, "a": 2}', 'gives "a" twice'),
    ],
)
def test_refuses_what_it_cannot_read_and_says_where(text: str, says: str) -> None:
    with pytest.raises(content.BadConfig, match=says):
        content.parse(text, "f")


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"registry-mirrors": "https://m"}, "registry-mirrors must be a list"),
        ({"insecure-registries": [5000]}, "list of texts"),
        ({"debug": "yes"}, "debug must be true or false"),
        ({"mtu": True}, "mtu must be a number"),
        ({"log-opts": {"max-file": 3}}, 'log-opts.max-file must be a text: write "3"'),
        ({"runtimes": []}, "runtimes must be a mapping"),
    ],
)
def test_refuses_types_dockerd_could_not_take(config: dict, says: str) -> None:
    assert says in "; ".join(content.type_errors(config))


def test_takes_right_types_and_keys_it_does_not_know() -> None:
    assert content.type_errors({**LOGS, "debug": False, "mtu": 1400, "new-thing": 1}) == []


def test_refuses_a_key_dockerd_has_as_a_flag() -> None:
    argv = ["/usr/sbin/dockerd", "-H", "fd://", "--registry-mirror=https://m", "--add-runtime=a=b"]
    config = {"hosts": [], "registry-mirrors": [], "runtimes": {}, "debug": True}
    conflicts = content.flag_conflicts(config, argv)
    assert [text.split()[0] for text in conflicts] == ["hosts", "registry-mirrors"]
    assert "the flag -H" in conflicts[0]


# --- on the disk


def written(path: Path) -> tuple[int, ...]:
    """What writing a file changes; reading it changes the time of access."""
    state = path.stat()
    return state.st_ino, state.st_mode, state.st_size, state.st_mtime_ns, state.st_ctime_ns


def test_nothing_to_change_leaves_the_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "daemon.json"
    path.write_text('{"debug":true,\n\n"mtu": 1400}')
    before = written(path)
    result = call(path, config={"debug": True})
    assert not result["changed"] and not result["restart_due"]
    assert written(path) == before and list(tmp_path.iterdir()) == [path]


def test_check_mode_writes_nothing_and_shows_the_difference(tmp_path: Path) -> None:
    path = tmp_path / "docker/daemon.json"
    result = call(path, check=True, config={"debug": True})
    assert result["changed"] and '"debug": true' in result["diff"]["after"]
    assert not path.parent.exists()


def test_keeps_the_old_file_with_its_mode_until_dockerd_accepts(tmp_path: Path) -> None:
    path = tmp_path / "daemon.json"
    path.write_text('{"mtu": 1400}')
    path.chmod(0o600)
    result = call(path, config={"debug": True})
    assert json.loads(path.read_text()) == {"mtu": 1400, "debug": True}
    assert path.stat().st_mode & 0o777 == 0o600
    assert Path(result["backup"]).read_text() == '{"mtu": 1400}'
    assert result["restart_due"] and result["changed_keys"] == ["debug"]
    call(path, "accepted")
    assert not call(path, config={"debug": True})["restart_due"]


def test_a_run_killed_before_the_restart_is_finished_by_the_next(tmp_path: Path) -> None:
    path = tmp_path / "daemon.json"
    path.write_text('{"mtu": 1400}')
    first = call(path, config={"debug": True})
    second = call(path, config={"debug": True})
    assert not second["changed"] and second["restart_due"]
    assert second["backup"] == first["backup"]
    call(path, "restored")
    assert path.read_text() == '{"mtu": 1400}'


def test_restores_and_keeps_the_refused_file_to_look_at(tmp_path: Path) -> None:
    path = tmp_path / "daemon.json"
    call(path, config={"debug": True})
    result = call(path, "restored")
    assert not path.exists()  # there was none before
    assert json.loads(Path(result["refused"]).read_text()) == {"debug": True}
    assert not call(path, "restored")["changed"]


def test_a_refused_merge_leaves_the_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "daemon.json"
    path.write_text("{}")
    with pytest.raises(BadConfig, match="debug must be true or false"):
        call(path, config={"debug": "maybe"})
    assert path.read_text() == "{}" and list(tmp_path.iterdir()) == [path]
