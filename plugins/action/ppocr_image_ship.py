"""Send an image to a host over Ansible's connection, with its logins, jump hosts and sudo.

step: label returns a label of an image the host has by that name; step: look the layers the host
lacks; step: deliver sends them. In a relay's group, step:
compare returns which of them a host can rebuild from its own files; step: open_relay sends the
relay the layers its group lacks and lets it serve them; step: close_relay ends that. The work is
done by src/ppocr_control/shipping.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ppocr_control.errors import Error, LinkLost
from ppocr_control.layers.image_archive import Image
from ppocr_control.layers.source import open_source
from ppocr_control.layers.store import LayerStore
from ppocr_control.progress import Progress
from ppocr_control.shipping import relay
from ppocr_control.shipping.delivery import deliver
from ppocr_control.shipping.engines import engine
from ppocr_control.shipping.job import Job, Supply
from ppocr_control.shipping.registry import Pushed
from ppocr_control.shipping.state import HostState, probe
from ppocr_control.shipping.strategies import strategies_for
from ppocr_control.shipping.strategy import needed
from ppocr_control.ssh.framing import Frame
from ppocr_control.ssh.transport import Answer, write_at

# Bytes sent per call of the connection; a lost call costs no more than that.
_CALL_BYTES = 16 << 20


class _Log:
    """Writes progress to the output of the run, one line every 10 seconds."""

    def __init__(self, host: str) -> None:
        self._host = host

    def isatty(self) -> bool:
        return False

    def write(self, text: str) -> int:
        if text.strip():
            Display().display(f"{self._host}: {text.strip()}")
        return len(text)

    def flush(self) -> None:
        pass


class AnsibleHost:
    """A transport of ppocr_control over an action's connection."""

    def __init__(self, action: ActionModule, name: str) -> None:
        self._action, self.name = action, name

    def run(self, script: str) -> Answer:
        frame = Frame()
        call = self._call("sh -s", frame.script(script).encode())
        answer = frame.answer(call.out, call.err)
        if answer is None and frame.begun:
            raise LinkLost(f"{self.name}: the connection broke ({call.err.strip()[-300:]})")
        return answer or call

    def put(self, blocks: Iterator[bytes], path: str, offset: int) -> None:
        buffer = bytearray()
        for block in blocks:
            buffer += block
            if len(buffer) >= _CALL_BYTES:
                offset = self._write(buffer, path, offset)
                buffer = bytearray()
        if buffer:
            self._write(buffer, path, offset)

    def _write(self, data: bytearray, path: str, offset: int) -> int:
        self._call(write_at(path, offset), bytes(data)).checked(f"writing {path}")
        return offset + len(data)

    def _call(self, command: str, data: bytes) -> Answer:
        try:
            result = self._action._low_level_execute_command(command, in_data=data, sudoable=True)
        except AnsibleConnectionFailure as error:
            raise LinkLost(f"{self.name}: {error}") from error
        return Answer(result["rc"], result["stdout"], result["stderr"])


class ActionModule(ActionBase):
    """``ppocr_image_ship``."""

    TRANSFERS_FILES = False
    _supports_check_mode = False

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        host = AnsibleHost(self, str((task_vars or {}).get("inventory_hostname", "host")))
        try:
            return {**result, **self._run(host)}
        except Error as error:
            return {**result, "failed": True, "msg": f"{error}", "status": error.status}

    def _run(self, host: AnsibleHost) -> dict[str, Any]:
        args = self._task.args
        if args["step"] == "label":
            return self._label(host)
        store = LayerStore(Path(args["store"]).expanduser())
        config = store.config(args["image_id"])
        if config is None:
            raise AnsibleActionFail(f"{store.folder} does not describe {args['image_id']}")
        step = getattr(self, f"_{args['step']}")
        done: dict[str, Any] = step(host, Image(config), store)
        return done

    def _probe(self, host: AnsibleHost) -> HostState:
        args = self._task.args
        return probe(host, args["staging"], engine=engine(args["ctr"]))

    def _label(self, host: AnsibleHost) -> dict[str, Any]:
        name, label = self._task.args["name"], self._task.args["label"]
        held = (image["labels"] for image in self._probe(host).images if name in image["tags"])
        return {"changed": False, "label": (next(held, None) or {}).get(label, "")}

    def _job(self, host: AnsibleHost, image: Image, store: LayerStore, verb: str) -> Job:
        args = self._task.args
        progress = Progress(verb, _Log(host.name))  # type: ignore[arg-type]
        codec = args.get("codec", "gzip")
        supply = Supply(image, store, lambda: open_source(args["source"]), progress, codec)
        mode, names = args.get("mode", "auto"), args.get("names", [])
        return Job(
            image, names, supply, lambda _: str(args["staging"]), progress, mode,
            engine=engine(args["ctr"]),
        )  # fmt: skip

    def _look(self, host: AnsibleHost, image: Image, store: LayerStore) -> dict[str, Any]:
        args = self._task.args
        state = self._probe(host)
        return {
            "changed": False,
            "engine": state.version,
            "layers": needed(state, image, args["mode"]),
            "relay": args["relay"],
        }

    def _compare(self, host: AnsibleHost, image: Image, store: LayerStore) -> dict[str, Any]:
        args = self._task.args
        job = self._job(host, image, store, "comparing")
        missing = relay.missing_layers(job, host, self._probe(host))
        return {
            "changed": False,
            "lack": asdict(replace(missing, present=sorted(missing.present))),
            "relay": args["relay"],
        }

    def _open_relay(self, host: AnsibleHost, image: Image, store: LayerStore) -> dict[str, Any]:
        args = self._task.args
        job = self._job(host, image, store, "sending")
        others = [relay.MissingLayers(**missing) for missing in args["wants"]]
        of_relay = relay.MissingLayers(**args["own"]) if args["own"] else None
        relay_host = relay.RelayHost(host.name, args["address"], args["port"])
        layers, for_itself = relay.shared(image, job.supply.blobs, others, of_relay)
        session = relay.Relay(job, host).open(relay_host, layers, for_itself)
        return {"changed": False, "session": session.as_dict()}

    def _close_relay(self, host: AnsibleHost, image: Image, store: LayerStore) -> dict[str, Any]:
        relay.Relay(self._job(host, image, store, "sending"), host).close()
        return {"changed": False}

    def _deliver(self, host: AnsibleHost, image: Image, store: LayerStore) -> dict[str, Any]:
        args = self._task.args
        job = self._job(host, image, store, "sending")
        pushed = Pushed(args["reference"], args["sizes"]) if args.get("reference") else None
        session = relay.Session(**args["session"]) if args.get("session") else None
        strategies = strategies_for(job, pushed, session, args.get("relay_address", ""))
        done = deliver(job, host, strategies)
        return {"changed": done.changed, "shipment": done.as_dict(), "msg": done.summary()}
