"""Filters of the role hubserving: what is to be served, checked by the container's own rules."""

from __future__ import annotations

import ipaddress
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ansible.module_utils.parsing.convert_bool import boolean

# The rules are written once, in the package that runs in the image.
from ppocr_contract import config, models, params, pdserving, resources, settings
from ppocr_control.instances import EVERYWHERE, published


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
    """The names of hosts on which the new container failed, while it passed its tests here.

    Ansible runs a task on all hosts before the next one, so one that is behind has failed: on the
    instance, or before it came to that.

    Args:
        hosts: the variables of the hosts that change together.
        step: how far this one is: its ``instance`` (of ``instances``), the ``way`` it is replaced
            (hosts with another way are elsewhere in the tasks), and whether it is ``proven``.
    """
    found = []
    for host in hosts:
        its = host.get("__hubserving_step") or {"instances": [step["instance"]], "instance": ""}
        if its["instance"] == step["instance"]:
            behind = its["way"] in ("", step["way"]) and not its["proven"]
        else:
            behind = step["instance"] in its["instances"]
        if behind:
            found.append(str(host["inventory_hostname"]))
    return found


def hubserving_check_params(values: dict[str, Any]) -> dict[str, Any]:
    """Check ``hubserving_params``: ``data`` with values in their types, and ``error`` or empty."""
    try:
        return {"data": params.check(dict(values)), "error": ""}
    except params.ParamsError as error:
        return {"data": {}, "error": f"hubserving_params: {error}"}


def hubserving_settings_error(
    environment: dict[str, Any],
    instance: dict[str, Any],
    tokens: list[str],
    behind_edge: bool,
    network: str = "",
) -> str:
    """What is wrong with what the container is given, by its own rules, as a sentence; or ''.

    Args:
        environment: variables of the container.
        instance: its ``bind``.
        tokens: bearer tokens.
        behind_edge: whether an edge will be before it.
        network: of its container.
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
    if network == "host" and instance["bind"] not in EVERYWHERE:
        return (
            f"hubserving_bind is {instance['bind']}, and with hubserving_network: host the "
            "container listens on all addresses of the host: leave one of the two out"
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
    further = [instance["pdserving_port"]] if boolean(instance["pdserving"]) else []
    ports = [instance["port"], *further]
    return [published(instance["bind"], port, instance["port"]) for port in ports]


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
    modules: Iterable[str] = (),
) -> dict[str, str]:
    """The memory limit of an instance, checked against what its settings take.

    Args:
        instance: its ``memory_limit`` (empty to make one), ``server`` and ``workers``.
        environment: variables of the container.
        cards: the GPUs it has, as CUDA_VISIBLE_DEVICES lists them; empty on a CPU.
        recognizers: names of those in the image.
        modules: it serves.

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
    beside = resources.loaded_beside(others, modules)
    text = instance["memory_limit"] or resources.limit_for(allowed, workers, on_gpu, beside)
    if environment.get("PPOCR_SERVER") != "gunicorn":  # PaddleHub's own knows none of these
        return {"limit": text, "error": "", "note": ""}
    wrong = resources.contradiction(allowed, on_gpu, beside)
    short, note = resources.shortage(allowed, workers, on_gpu, limit, beside=beside)
    return {"limit": text, "error": wrong or short, "note": note}


def hubserving_unnamed(sources: list[str], project: str) -> bool:
    """Whether no inventory was named: the run is on the project's own, which is this machine."""
    # A worker has the command line of the run it belongs to.
    named = any(re.match(r"--inv|-[bkKCDJv]*i", argument) for argument in sys.argv[1:])
    own = Path(project, "inventory/local").resolve()
    return not named and [Path(source).resolve() for source in sources] == [own]


class FilterModule:
    """Filters on what is to be served."""

    def filters(self) -> dict[str, object]:
        return {
            "hubserving_module_info": hubserving_module_info,
            "hubserving_check_config": hubserving_check_config,
            "hubserving_lagging": hubserving_lagging,
            "hubserving_check_params": hubserving_check_params,
            "hubserving_settings_error": hubserving_settings_error,
            "hubserving_published": hubserving_published,
            "hubserving_pdserving": hubserving_pdserving,
            "hubserving_pdserving_error": hubserving_pdserving_error,
            "hubserving_memory": hubserving_memory,
            "hubserving_unnamed": hubserving_unnamed,
        }
