"""Filters of the role hubserving: config.json and parameters, by the container's own rules."""

from __future__ import annotations

import datetime
import ipaddress
import json
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ansible.module_utils.parsing.convert_bool import boolean

# The rules are written once, in the package that runs in the image.
from ppocr_contract import config, models, params, pdserving, resources, settings
from ppocr_control.images import variant


def hubserving_module_info(
    name: str, init_args: dict[str, Any], our_modules: list[str]
) -> dict[str, Any]:
    """A module's part of config.json; an operator's own modules get none of our ``init_args``."""
    return {"init_args": dict(init_args) if name in our_modules else {}, "predict_args": {}}


def hubserving_check_config(
    text: str,
    instance: dict[str, Any],
    use_gpu: bool | None = None,
    known: Iterable[str] = (),
) -> dict[str, Any]:
    """Check the config.json of an instance: its ``config_file`` where it names one, else ``text``.

    Args:
        text: the one rendered from the settings.
        instance: its ``port``, and ``config_file`` or none.
        use_gpu: whether image and host are prepared for a GPU; None where that is not known.
        known: modules the image will have; none where that is not known.

    Returns:
        ``data`` as PaddleHub reads it, ``notes`` for the operator, and ``error``: empty, or one
        sentence that names the key and the remedy.
    """
    try:
        own = instance.get("config_file")
        checked = config.load(Path(own).expanduser()) if own else config.check(text)
    except config.ConfigError as error:
        return {"data": {}, "notes": [], "error": str(error)}
    problem = ""
    if checked.uses_gpu and use_gpu is False:
        problem = (
            "config.json sets use_gpu to true and ppocr_device is cpu, so image and host are not "
            "prepared for a GPU: set use_gpu to false there, or ppocr_device to gpu"
        )
    elif lacking := [
        name
        for name, info in checked.modules.items()
        if known and name not in known and "directory" not in info["init_args"]
    ]:
        problem = (
            f"config.json names {', '.join(lacking)}, and the image will have "
            f"{', '.join(sorted(known))}: correct modules_info, or add the folder of a module of "
            "your own to ppocr_image_extra_modules"
        )
    elif checked.port != int(instance["port"]):
        problem = (
            f"config.json says port {checked.port}, the instance {instance['port']}: "
            "make hubserving_port and hubserving_config_file agree"
        )
    return {"data": checked.data, "notes": list(checked.notes), "error": problem}


def hubserving_lagging(hosts: Iterable[Mapping[str, Any]], step: Mapping[str, Any]) -> list[str]:
    """The names of hosts on which a new container failed that has proved right here.

    Ansible runs a task on all hosts before the next one, so one that is behind has failed.

    Args:
        hosts: the variables of the hosts that change together.
        step: how far this one is: its ``instance``, the ``way`` it is replaced (hosts with another
            way are elsewhere in the tasks), and whether it is ``proven``.
    """
    found = []
    for host in hosts:
        its = host.get("__hubserving_step") or {}
        same = its.get("instance") == step["instance"] and its["way"] in ("", step["way"])
        if same and not its["proven"]:
            found.append(str(host["inventory_hostname"]))
    return found


def hubserving_check_params(values: dict[str, Any]) -> dict[str, Any]:
    """Check ``hubserving_params``: ``data`` with values in their types, and ``error`` or empty."""
    try:
        return {"data": params.check(dict(values)), "error": ""}
    except params.ParamsError as error:
        return {"data": {}, "error": f"hubserving_params: {error}"}


def hubserving_settings_error(
    environment: dict[str, Any], instance: dict[str, Any], tokens: list[str], behind_edge: bool
) -> str:
    """What is wrong with what the container is given, by its own rules, as a sentence; or ''.

    Args:
        environment: variables of the container.
        instance: its ``bind``.
        tokens: bearer tokens.
        behind_edge: whether an edge will be before it.
    """
    for name, value in environment.items():
        if not isinstance(value, str):
            return f"hubserving_environment.{name} is not text: write its value in quotes"
    for number, token in enumerate(tokens, 1):
        # One a line of a file, and one word of a header.
        if not re.fullmatch(r"[!-~]+", token) or token.startswith("#"):
            return (
                f"hubserving_tokens: a token (number {number}) has a blank or other than ASCII in "
                "it, or begins with #: use letters and digits, such as openssl rand -hex 32 prints"
            )
    try:
        ipaddress.ip_address(re.sub(r"^\[(.*)\]$", r"\1", instance["bind"]))
    except ValueError:
        return (
            f"hubserving_bind is {instance['bind']}, which is no IP address: give one of the "
            "host's, 127.0.0.1 for the host alone, or 0.0.0.0 for all"
        )
    try:
        read = settings.Settings.from_environment(environment)
        if not behind_edge:
            read.check_access()
    except settings.SettingsError as error:
        return re.sub(r"PPOCR_[A-Z_]+", lambda name: f"hubserving{name[0][5:].lower()}", str(error))
    return ""


def hubserving_published(instance: Mapping[str, Any]) -> list[str]:
    """The ports of an instance without an edge, as Docker publishes them: the container has one."""
    ports = [instance["port"], *([instance["pdserving_port"]] if instance["pdserving"] else [])]
    return [f"{instance['bind']}:{port}:{instance['port']}" for port in ports]


def hubserving_pdserving(
    instances: Iterable[Mapping[str, Any]], on: Any, port: int
) -> list[dict[str, Any]]:
    """The instances that have a port for clients of deploy/pdserving, with that as their ``port``.

    Args:
        instances: entries of ``hubserving_instances``.
        on: hubserving_pdserving, for entries that leave it out.
        port: hubserving_pdserving_port, likewise.
    """
    return [
        {**instance, "port": int(instance.get("pdserving_port", port))}
        for instance in instances
        if boolean(instance.get("pdserving", on))
    ]


def hubserving_pdserving_error(
    instance: Mapping[str, Any], server: str, modules: Iterable[str], network: str
) -> str:
    """Why an instance cannot serve clients of deploy/pdserving, as a sentence; or ''.

    Args:
        instance: its ``pdserving``.
        server: that runs in its container.
        modules: it serves.
        network: of its container.
    """
    if not boolean(instance["pdserving"]):
        return ""
    wrong = ""
    if server != "gunicorn":
        wrong = "plain hub serving has no such path: set hubserving_server: gunicorn"
    elif pdserving.MODULE not in modules:
        wrong = f"{pdserving.MODULE} reads for it: add that to hubserving_modules"
    elif network == "host":
        wrong = (
            "with hubserving_network: host the container has one port: leave that setting out, so "
            "that a second one can be published"
        )
    return f"hubserving_pdserving is true, and {wrong}, or set it to false" if wrong else ""


def hubserving_memory(
    instance: dict[str, Any],
    environment: dict[str, str],
    cards: Any,
    recognizers: Iterable[str] = (),
) -> dict[str, str]:
    """The memory limit of an instance, checked against what its settings take.

    Args:
        instance: its ``memory_limit`` (empty to make one), ``server`` and ``workers``.
        environment: variables of the container.
        cards: the GPUs it has, as CUDA_VISIBLE_DEVICES lists them; empty on a CPU.
        recognizers: names of those in the image.

    Returns:
        ``limit``, and ``error`` and ``note``, each a sentence or empty.
    """
    names = cards if isinstance(cards, (list, tuple)) else str(cards).split(",") if cards else []
    try:
        allowed = settings.Settings.from_environment(environment)
        limit = resources.size(instance["memory_limit"] or "0")
    except settings.SettingsError:  # hubserving_settings_error tells which
        return {"limit": "", "error": "", "note": ""}
    except ValueError as error:
        return {"limit": "", "error": f"hubserving_memory_limit: {error}", "note": ""}
    on_gpu = bool(names)
    workers = len(names) * allowed.workers_per_gpu if on_gpu else allowed.workers
    others = len({*recognizers} - {models.DEFAULT_RECOGNIZER})
    text = instance["memory_limit"] or resources.limit_for(allowed, workers, on_gpu, others)
    if environment.get("PPOCR_SERVER") != "gunicorn":  # PaddleHub's own knows none of these
        return {"limit": text, "error": "", "note": ""}
    wrong = resources.contradiction(allowed, on_gpu, others)
    short, note = resources.shortage(allowed, workers, on_gpu, limit, recognizers=others)
    return {"limit": text, "error": wrong or short, "note": note}


def hubserving_status_row(container: dict[str, Any], host: str, engine: str) -> dict[str, Any]:
    """One instance in short, from ``docker inspect`` (``{}`` where there is no container).

    Times are the control node's local time with its offset from UTC, for hosts in any zone.
    """
    if not container:
        return {"host": host, "state": "absent", "engine": engine}
    state, settings, labels = container["State"], container["Config"], _labels(container)
    return {
        "host": host,
        "container": container["Name"].lstrip("/"),
        "state": _state_words(state),
        "health": _health(state),
        "restarts": container.get("RestartCount", 0),
        "oom": bool(state.get("OOMKilled")),
        "image": settings["Image"],
        "content": labels.get("org.ppocr.content", "")[:12],
        "version": labels.get("org.opencontainers.image.version", ""),
        "device": labels.get("org.ppocr.device", ""),
        "engine": engine,
        "since": _local(state.get("FinishedAt" if _has_ended(state) else "StartedAt", "")),
        **_last_look(state),
    }


def _has_ended(state: dict[str, Any]) -> bool:
    return state["Status"] in ("exited", "dead")


def _state_words(state: dict[str, Any]) -> str:
    """The container's state; where it has ended, whether an operator or a fault ended it.

    The engine keeps no record of who ended it. The service ends with 0, and a command that SIGTERM
    ends with 143, only when they are told to stop.
    """
    if not _has_ended(state):
        return str(state["Status"])
    code = state.get("ExitCode", 0)
    if state.get("Error"):
        return f"failed to start (exit status {code})"
    if state.get("OOMKilled"):
        return f"crashed (out of memory, exit status {code})"
    if code == 137:  # by docker stop after its timeout, or by anybody else
        return "killed (exit status 137)"
    return "stopped by an operator" if code in (0, 143) else f"crashed (exit status {code})"


def _health(state: dict[str, Any]) -> str:
    """What Docker holds of it; '-' where nothing runs: the engine keeps what it found before."""
    return "-" if _has_ended(state) else (state.get("Health") or {}).get("Status", "none")


def _local(text: str) -> str:
    """A time as the engine writes it, in local time with its offset; '' for none."""
    if not text or text.startswith("0001-"):  # the engine's word for never
        return ""
    return _moment(text).astimezone().isoformat(sep=" ", timespec="seconds")


def _last_look(state: dict[str, Any]) -> dict[str, str]:
    """What the last healthcheck said: the devices the models run on, or why it is not ready."""
    if _has_ended(state):
        return {"runs on": "", "reason": state.get("Error", "")}
    looks = (state.get("Health") or {}).get("Log") or [{}]
    said = str(looks[-1].get("Output", "")).strip()
    try:
        devices = json.loads(said)["modules"].values()
    except (ValueError, KeyError, TypeError, AttributeError):
        _, found, reason = said.rpartition("not ready: ")
        return {"runs on": "", "reason": reason if found else ""}
    return {"runs on": ", ".join(sorted(set(devices))), "reason": ""}


def hubserving_gave_up(text: str) -> str:
    """What a container that gave up said of it, as a sentence; '' where it has not.

    Args:
        text: its ``.State`` from ``docker inspect``, as JSON; what is none has not given up.
    """
    try:
        state = json.loads(text)
        looks = (state.get("Health") or {}).get("Log") or []
    except (ValueError, AttributeError):
        return ""
    # The engine keeps what healthchecks said before the container was started last: that is over.
    if not looks or _moment(looks[-1]["Start"]) < _moment(state["StartedAt"]):
        return ""
    _, found, said = str(looks[-1].get("Output", "")).rpartition("not ready: gave up ")
    return f"It gave up {said.strip()}." if found else ""


def _moment(text: str) -> datetime.datetime:
    """A time as the engine writes it: nanoseconds, UTC or the host's time zone."""
    seconds, _, rest = text.partition(".")
    zone = rest.lstrip("0123456789") if rest else ""
    if not rest:
        seconds, zone = text[:19], text[19:]
    return datetime.datetime.fromisoformat(seconds + zone.replace("Z", "+00:00"))


def hubserving_table(rows: list[dict[str, Any]]) -> list[str]:
    """Rows as lines of a table with a header, columns as wide as their longest value."""
    columns = list(sorted(rows, key=len)[-1]) if rows else []
    cells = [columns] + [[str(row.get(column, "")) for column in columns] for row in rows]
    widths = [max(len(line[index]) for line in cells) for index in range(len(columns))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    ]


def hubserving_models(host: dict[str, Any]) -> list[dict[str, str]]:
    """The models of each container of a host, from its variables.

    Where there is none, a row says why. Images of former versions do not say what models they have.
    """
    answer = host.get("__hubserving_engine", {}).get("rc")
    none = {None: "not reachable", 0: "absent"}.get(answer, "Docker does not answer")
    containers = host.get("__hubserving_containers") or [{}]
    verdicts = {
        each["item"]["Name"]: each.get("stdout", "")
        for each in host.get("__hubserving_verdicts", {}).get("results", [])
    }
    return [
        {
            "host": host["inventory_hostname"],
            "container": container.get("Name", "").lstrip("/") or none,
            "models": _labels(container).get(
                "org.ppocr.models", "not recorded" if container else ""
            ),
            "precision auto is": _precision(verdicts.get(container.get("Name", ""), "")),
        }
        for container in containers
    ]


def _precision(text: str) -> str:
    """What an image's verdict on its models says, as a sentence; '' where there is none."""
    try:
        verdict = json.loads(text)
        return f"{verdict['precision']}: {verdict['why']}"
    except (ValueError, KeyError, TypeError):
        return ""


def _labels(container: dict[str, Any]) -> dict[str, str]:
    return (container.get("Config") or {}).get("Labels") or {}


def hubserving_rollback(
    lines: list[str], repository: str, version: str, suffix: str, running: list[str]
) -> dict[str, str]:
    """Choose the image to go back to.

    Args:
        lines: the host's images of the repository, each ``ID name:tag``.
        repository: their name without tag.
        version: the version to go to, which is the same on all hosts, or a tag; empty for the image
            that ran before.
        suffix: what ends the tags of this host's images. Where no such image is there, one without
            it is taken, but for a GPU's.
        running: IDs of the images our containers have.

    Returns:
        ``run``, what to run (a name where the image has one besides ``previous``, else its ID),
        ``words`` on it, and ``error``, empty where it can be done.
    """
    rows = (line.split(" ", 1) for line in lines if not line.endswith("<none>"))
    images = {name: found for found, name in rows}
    kept = f"{repository}:previous"
    names = {name: found for name, found in images.items() if name != kept}
    listed = [f"{name} (running)" if names[name] in running else name for name in sorted(names)]
    there = f"There are: {', '.join(listed) or 'none'}."
    remedy = "Name one of them with -e ppocr_version=..., or send one with playbooks/ship.yml."
    wanted = f"{repository}:{version}" if version else kept
    own = f"{wanted}{suffix}"
    # Former versions have Paddle in their one image for each device.
    device = variant.GPU_SUFFIX if suffix.startswith(variant.GPU_SUFFIX) else ""
    if version and not version.endswith((suffix, device) if device else suffix):
        wanted = own if own in images else f"{wanted}{device}"
    if not running:
        error = (
            "There is no container of the service to roll back: deploy with playbooks/deploy.yml."
        )
    elif wanted not in images:
        what = f"{wanted} is not on this host" if version else "No earlier image is remembered here"
        error = f"{what}; nothing was changed on any host. {there} {remedy}"
    else:
        same = [name for name in sorted(names) if names[name] == images[wanted]]
        run = wanted if version else (same or [images[wanted]])[0]
        already = "; it runs already" if images[wanted] in running else ""
        return {"run": run, "words": f"going to {run}{already}", "error": ""}
    return {"run": "", "words": "", "error": error}


def hubserving_own(containers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The containers the role made, of those with its label.

    An image committed from one has the label, too, and so has what somebody runs from that image,
    under another name.
    """

    def is_own(container: dict[str, Any]) -> bool:
        name = hubserving_instance_of(container)
        own = container["Name"].lstrip("/")
        if own.startswith(f"{name}_service."):  # a task; Swarm keeps some that have ended
            return bool(container["State"]["Running"])
        return own in {name, f"{name}-candidate", f"{name}-previous"}

    return [container for container in containers if is_own(container)]


def hubserving_instance_of(container: dict[str, Any]) -> str:
    """The instance that a container belongs to."""
    return str(container["Config"]["Labels"]["org.ppocr.instance"])


def hubserving_of_others(
    containers: list[dict[str, Any]], names: Iterable[str]
) -> list[dict[str, Any]]:
    """The containers, of those the role made, whose instances are not among ``names``."""
    wanted = set(names)
    return [
        container for container in containers if hubserving_instance_of(container) not in wanted
    ]


def hubserving_mounted(containers: list[dict[str, Any]], target: str) -> list[str]:
    """The folders of the host that containers mount at ``target``."""
    mounts = (mount for container in containers for mount in container.get("Mounts") or [])
    return sorted({m["Source"] for m in mounts if m["Destination"] == target and m.get("Source")})


def hubserving_images(lines: list[str], repository: str) -> list[str]:
    """What to remove of images with the project's labels.

    Args:
        lines: the host's, each ``ID name:tag``.
        repository: the name of the project's images without tag.

    Returns:
        Names, and then IDs of images without one.
    """
    rows = [line.split(" ", 1) for line in lines]
    names = [name for _, name in rows if name.rpartition(":")[0] == repository]
    named = {found for found, name in rows if not name.startswith("<none>")}
    loose = [found for found, name in rows if name.startswith("<none>") and found not in named]
    return [
        *dict.fromkeys(name for name in names if not name.endswith(":<none>")),
        *dict.fromkeys(loose),
    ]


def hubserving_unnamed(sources: list[str], project: str) -> bool:
    """Whether nobody named an inventory: the run is on the project's own, which is this machine."""
    # A worker has the command line of the run it belongs to.
    named = any(re.match(r"--inv|-[bkKCDJv]*i", argument) for argument in sys.argv[1:])
    own = Path(project, "inventory/local").resolve()
    return not named and [Path(source).resolve() for source in sources] == [own]


class FilterModule:
    """Filters of the role hubserving."""

    def filters(self) -> dict[str, object]:
        return {
            "hubserving_gave_up": hubserving_gave_up,
            "hubserving_lagging": hubserving_lagging,
            "hubserving_memory": hubserving_memory,
            "hubserving_pdserving": hubserving_pdserving,
            "hubserving_pdserving_error": hubserving_pdserving_error,
            "hubserving_published": hubserving_published,
            "hubserving_module_info": hubserving_module_info,
            "hubserving_check_config": hubserving_check_config,
            "hubserving_check_params": hubserving_check_params,
            "hubserving_settings_error": hubserving_settings_error,
            "hubserving_status_row": hubserving_status_row,
            "hubserving_models": hubserving_models,
            "hubserving_table": hubserving_table,
            "hubserving_rollback": hubserving_rollback,
            "hubserving_own": hubserving_own,
            "hubserving_instance_of": hubserving_instance_of,
            "hubserving_of_others": hubserving_of_others,
            "hubserving_mounted": hubserving_mounted,
            "hubserving_images": hubserving_images,
            "hubserving_unnamed": hubserving_unnamed,
        }
