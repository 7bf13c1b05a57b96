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

from ppocr_control.errors import LinkLost, Refused, Trouble
from ppocr_control.layers.image_archive import Image
from ppocr_control.layers.source import open_source
from ppocr_control.layers.store import LayerStore
from ppocr_control.progress import Progress
from ppocr_control.shipping import delivery, registry, relay
from ppocr_control.shipping.host_image import probe
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
        except Trouble as error:
            return {**result, "failed": True, "msg": f"{error}", "status": error.status}

    def _look(self, host: AnsibleHost, image: Image, store: LayerStore) -> dict[str, Any]:
        state = probe(host, self._task.args["staging"])
        mode = self._task.args["mode"]
        return {
            "changed": False,
            "engine": state.version,
            "layers": delivery.needed(state, image, mode),
            "relay": self._task.args["relay"],
        }

    def _compare(self, host: AnsibleHost, image: Image, store: LayerStore) -> dict[str, Any]:
        args = self._task.args
        lack = delivery.lacks(
            host, image, args["names"], store, args["codec"], args["staging"], args["mode"],
            Progress("comparing", _Log(host.name)),  # type: ignore[arg-type]
        )  # fmt: skip
        said = asdict(replace(lack, held=sorted(lack.held)))
        return {"changed": False, "lack": said, "relay": args["relay"]}

    def _relay(self, host: AnsibleHost, image: Image, store: LayerStore) -> relay.Relay:
        progress = Progress("sending", _Log(host.name))  # type: ignore[arg-type]
        return relay.Relay(host, image, store, self._task.args["staging"], progress)

    def _open_relay(self, host: AnsibleHost, image: Image, store: LayerStore) -> dict[str, Any]:
        args = self._task.args
        blobs = delivery.usable(store, image, args["codec"])
        others = [relay.Lack(**want) for want in args["wants"]]
        own = relay.Lack(**args["own"]) if args["own"] else None
        choice = relay.Choice(host.name, args["address"], args["port"])
        session = self._relay(host, image, store).open(
            choice, blobs, *relay.shared(image, blobs, others, own)
        )
        return {"changed": False, "session": session.as_dict()}

    def _close_relay(self, host: AnsibleHost, image: Image, store: LayerStore) -> dict[str, Any]:
        self._relay(host, image, store).close()
        return {"changed": False}

    def _deliver(self, host: AnsibleHost, image: Image, store: LayerStore) -> dict[str, Any]:
        args = self._task.args
        progress = Progress("sending", _Log(host.name))  # type: ignore[arg-type]
        if reference := args.get("reference"):
            pushed = registry.Pushed(reference, args["sizes"])
            return self._fetch(host, image, store, pushed, progress)
        return self._send(host, image, store, args["mode"], args["codec"], progress)

    def _fetch(
        self, host: AnsibleHost, image: Image, store: LayerStore, pushed: registry.Pushed,
        progress: Progress,
    ) -> dict[str, Any]:  # fmt: skip
        args = self._task.args
        state = probe(host, args["staging"])
        try:
            return _told(delivery.fetch(host, image, args["names"], pushed, state))
        except (Refused, LinkLost):
            raise
        except Trouble as error:
            if args["mode"] == "registry":
                raise
            progress.say(f"{error}; sending the layers instead")
        with open_source(args["source"]) as source:
            codec = delivery.prepare([state], source, store, "delta", progress)
        return self._send(host, image, store, "delta", codec, progress)

    def _send(
        self, host: AnsibleHost, image: Image, store: LayerStore, mode: str, codec: str,
        progress: Progress,
    ) -> dict[str, Any]:  # fmt: skip
        args = self._task.args
        rest = (args["names"], store, codec, args["staging"])
        try:
            if args.get("session"):
                session = relay.Session(**args["session"])
                done = delivery.deliver_relayed(
                    session, args["relay_address"], host, image, *rest, mode, progress
                )
            else:
                done = delivery.deliver(host, image, *rest, mode, progress)
        except delivery.NeedsWhole as error:
            progress.say(f"{error}; sending the whole image instead")
            with open_source(args["source"]) as source:
                delivery.fill(source, store, image.diff_ids, codec, progress)
            done = delivery.deliver(host, image, *rest, "whole", progress)
            done.notes.append("sent whole because the partial archive was not accepted")
        return _told(done)


def _told(done: delivery.Result) -> dict[str, Any]:
    return {"changed": done.changed, "shipment": done.as_dict(), "msg": done.words()}
