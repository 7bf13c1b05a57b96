"""Every layer, for an engine that takes no archive without some."""

from __future__ import annotations

from .job import Job
from .state import HostState
from .strategy import Delivery, Step, Strategy, planned, send_and_load


class WholeImage(Strategy):
    """Send every layer, whatever the host has."""

    name = "whole"

    def plan(self, state: HostState, job: Job) -> list[Step]:
        return planned(state, job, list(dict.fromkeys(job.image.diff_ids)))

    def run(self, delivery: Delivery) -> str | None:
        job = delivery.job
        layers = list(dict.fromkeys(job.image.diff_ids))
        job.supply.ensure(layers)
        shipment = delivery.shipment()
        shipment.whole = True
        found = send_and_load(delivery, shipment, layers)
        delivery.result.mode = self.name
        return found
