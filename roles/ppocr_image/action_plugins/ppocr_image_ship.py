"""Bring an image to a host over Ansible's own connection, with its logins, jump hosts and sudo.

step: look says what the host lacks; step: deliver sends it. The work is done by scripts/ppocrlib.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "scripts"))

from ppocrlib import shipping
from ppocrlib.hostimage import probe
from ppocrlib.imagearchive import Image
from ppocrlib.layersource import open_source
from ppocrlib.layerstore import LayerStore
from ppocrlib.outcome import LinkLost, Refused, Trouble
from ppocrlib.progress import Progress
from ppocrlib.transport import Answer, write_at

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
    """ppocrlib's transport over an action's connection."""

    def __init__(self, action: ActionModule, name: str) -> None:
        self._action, self.name = action, name

    def run(self, script: str) -> Answer:
        return self._call("sh -s", script.encode())

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
            step = self._look if args["step"] == "look" else self._deliver
            return {**result, **step(host, Image(config), store)}
        except Trouble as error:
            return {**result, "failed": True, "msg": f"{error}", "status": error.status}

    def _look(self, host: AnsibleHost, image: Image, store: LayerStore) -> dict[str, Any]:
        state = probe(host, self._task.args["staging"])
        layers = shipping.needed(state, image, self._task.args["mode"])
        return {"changed": False, "engine": state.version, "layers": layers}

    def _deliver(self, host: AnsibleHost, image: Image, store: LayerStore) -> dict[str, Any]:
        args = self._task.args
        progress = Progress("sending", _Log(host.name))  # type: ignore[arg-type]
        if reference := args.get("reference"):
            return self._fetch(host, image, store, reference, progress)
        return self._send(host, image, store, args["mode"], args["codec"], progress)

    def _fetch(
        self, host: AnsibleHost, image: Image, store: LayerStore, reference: str, progress: Progress
    ) -> dict[str, Any]:
        args = self._task.args
        state = probe(host, args["staging"])
        try:
            return _told(shipping.fetch(host, image, args["names"], reference, state))
        except (Refused, LinkLost):
            raise
        except Trouble as error:
            if args["mode"] == "registry":
                raise
            progress.say(f"{error}; sending the layers instead")
        with open_source(args["source"]) as source:
            codec = shipping.prepare([state], source, store, "delta", progress)
        return self._send(host, image, store, "delta", codec, progress)

    def _send(
        self, host: AnsibleHost, image: Image, store: LayerStore, mode: str, codec: str,
        progress: Progress,
    ) -> dict[str, Any]:  # fmt: skip
        args = self._task.args
        rest = (args["names"], store, codec, args["staging"])
        try:
            done = shipping.deliver(host, image, *rest, mode, progress)
        except shipping.NeedsWhole as error:
            progress.say(f"{error}; sending the whole image instead")
            with open_source(args["source"]) as source:
                shipping.fill(source, store, image.diff_ids, codec, progress)
            done = shipping.deliver(host, image, *rest, "whole", progress)
            done.notes.append("sent whole because the partial archive was not accepted")
        return _told(done)


def _told(done: shipping.Result) -> dict[str, Any]:
    return {"changed": done.changed, "shipment": done.as_dict(), "msg": done.words()}
