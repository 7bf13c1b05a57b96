"""Bring an image to a host over Ansible's own connection, with its logins, jump hosts and sudo.

step: look says what the host lacks; step: deliver sends it. In a relay's group, step: compare says
what of that a host can rebuild from its own files; on the relay, step: open_relay brings it what
the group lacks and lets it serve them; step: close_relay ends that. The work is done by
src/ppocr_control/shipping.
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
from ppocr_control.shipping.job import Job, Supply
from ppocr_control.shipping.registry import Pushed
from ppocr_control.shipping.state import probe
from ppocr_control.shipping.strategies import strategies
from ppocr_control.shipping.strategy import needed
from ppocr_control.ssh.framing import Frame
from ppocr_control.ssh.transport import Answer, write_at

# One call of the connection carries this much; a lost call costs no more than that.
_CALL_BYTES = 16 << 20


class _Log:
    """Where progress goes: the run's output, one line every 10 seconds."""

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
    """ppocr_control's transport over an action's connection."""

    def __init__(self, action: ActionModule, name: str) -> None:
        self._action, self.name = action, name

    def run(self, script: str) -> Answer:
        frame = Frame()
        said = self._call("sh -s", frame.script(script).encode())
        answer = frame.answer(said.out, said.err)
        if answer is None and frame.begun:
            raise LinkLost(f"{self.name}: the connection broke ({said.err.strip()[-300:]})")
        return answer or said

    def put(self, blocks: Iterator[bytes], path: str, offset: int) -> None:
        held = bytearray()
        for block in blocks:
            held += block
            if len(held) >= _CALL_BYTES:
                offset = self._write(held, path, offset)
                held = bytearray()
        if held:
            self._write(held, path, offset)

    def _write(self, data: bytearray, path: str, offset: int) -> int:
        self._call(write_at(path, offset), bytes(data)).checked(f"writing {path}")
        return offset + len(data)

    def _call(self, command: str, data: bytes) -> Answer:
        try:
            said = self._action._low_level_execute_command(command, in_data=data, sudoable=True)
        except AnsibleConnectionFailure as error:
            raise LinkLost(f"{self.name}: {error}") from error
        return Answer(said["rc"], said["stdout"], said["stderr"])


class ActionModule(ActionBase):
    """``ppocr_image_ship``."""

    TRANSFERS_FILES = False
    _supports_check_mode = False

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        host = AnsibleHost(self, str((task_vars or {}).get("inventory_hostname", "host")))
        args = self._task.args
        store = LayerStore(Path(args["store"]).expanduser())
        config = store.config(args["image_id"])
        if config is None:
            raise AnsibleActionFail(f"{store.folder} does not describe {args['image_id']}")
        try:
            step = getattr(self, f"_{args['step']}")
            return {**result, **step(host, Image(config), store)}
        except Error as error:
            return {**result, "failed": True, "msg": f"{error}", "status": error.status}

    def _job(self, host: AnsibleHost, image: Image, store: LayerStore, doing: str) -> Job:
        args = self._task.args
        progress = Progress(doing, _Log(host.name))  # type: ignore[arg-type]
        codec = args.get("codec", "gzip")
        supply = Supply(image, store, lambda: open_source(args["source"]), progress, codec)
        mode, names = args.get("mode", "auto"), args.get("names", [])
        return Job(image, names, supply, lambda _: str(args["staging"]), progress, mode)

    def _look(self, host: AnsibleHost, image: Image, store: LayerStore) -> dict[str, Any]:
        args = self._task.args
        state = probe(host, args["staging"])
        return {
            "changed": False,
            "engine": state.version,
            "layers": needed(state, image, args["mode"]),
            "relay": args["relay"],
        }

    def _compare(self, host: AnsibleHost, image: Image, store: LayerStore) -> dict[str, Any]:
        args = self._task.args
        job = self._job(host, image, store, "comparing")
        lack = relay.lack(job, host, probe(host, args["staging"]))
        return {
            "changed": False,
            "lack": asdict(replace(lack, held=sorted(lack.held))),
            "relay": args["relay"],
        }

    def _open_relay(self, host: AnsibleHost, image: Image, store: LayerStore) -> dict[str, Any]:
        args = self._task.args
        job = self._job(host, image, store, "sending")
        others = [relay.Lack(**want) for want in args["wants"]]
        own = relay.Lack(**args["own"]) if args["own"] else None
        choice = relay.Choice(host.name, args["address"], args["port"])
        layers, for_itself = relay.shared(image, job.supply.blobs, others, own)
        session = relay.Relay(job, host).open(choice, layers, for_itself)
        return {"changed": False, "session": session.as_dict()}

    def _close_relay(self, host: AnsibleHost, image: Image, store: LayerStore) -> dict[str, Any]:
        relay.Relay(self._job(host, image, store, "sending"), host).close()
        return {"changed": False}

    def _deliver(self, host: AnsibleHost, image: Image, store: LayerStore) -> dict[str, Any]:
        args = self._task.args
        job = self._job(host, image, store, "sending")
        pushed = Pushed(args["reference"], args["sizes"]) if args.get("reference") else None
        session = relay.Session(**args["session"]) if args.get("session") else None
        ways = strategies(job, pushed, session, args.get("relay_address", ""))
        done = deliver(job, host, ways)
        return {"changed": done.changed, "shipment": done.as_dict(), "msg": done.summary()}
