"""The layers a host lacks, in an archive without the others: what most hosts get."""

from __future__ import annotations

from .job import Job
from .state import HostState
from .strategy import Delivery, Step, Strategy, missing, needed, planned, send_and_load


class PartialArchive(Strategy):
    """Send the layers the host lacks; its engine has the others."""

    name = "delta"
    instead = "sending the whole image instead"
    reason = "sent whole because the partial archive was not accepted"

    def plan(self, state: HostState, job: Job) -> list[Step]:
        return planned(state, job, missing(state, job.image, job.supply.blobs))

    def run(self, delivery: Delivery) -> str | None:
        job, state = delivery.job, delivery.state
        job.supply.ensure(needed(state, job.image))
        shipment = delivery.shipment()
        found = send_and_load(delivery, shipment, missing(state, job.image, shipment.blobs))
        delivery.result.mode = self.name
        return found
