"""Sends every layer, for engines that reject partial archives."""

from __future__ import annotations

from .job import Job
from .state import HostState
from .strategy import Delivery, Step, Strategy, planned, send_and_load


class WholeImage(Strategy):
    """Send every layer, whatever the host already has."""

    name = "whole"

    def plan(self, state: HostState, job: Job) -> list[Step]:
        return planned(state, job, job.image.layers)

    def run(self, delivery: Delivery) -> str | None:
        job = delivery.job
        layers = job.image.layers
        job.supply.ensure(layers)
        shipment = delivery.shipment()
        shipment.whole = True
        found = send_and_load(delivery, shipment, layers)
        delivery.result.mode = self.name
        return found
