"""Read the job in a delivery, whoever wrote it."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from antiphon.bus.wire import Envelope, open_envelope, salvage_id
from antiphon.schemas import Job, Kind

if TYPE_CHECKING:
    from antiphon.bus.deliveries import Delivery

JobT = TypeVar("JobT", bound=Job)


def open_job(delivery: Delivery, kind: Kind, schema: type[JobT]) -> tuple[Envelope, JobT]:
    """Return what the entry says and the job in it, under the id that every attempt will find.

    Raises `ValueError`, of which `pydantic.ValidationError` is one.
    """
    envelope = open_envelope(delivery.fields)
    job = schema.model_validate_json(envelope.data)
    if job.kind != kind:
        raise ValueError(f"a job of kind {job.kind!r} is on the lane {kind!r}")
    if "id" not in job.model_fields_set:
        # Every attempt must find the same id, so it cannot be a random one.
        job = job.model_copy(update={"id": envelope.id or salvage_id({}, delivery.place)})
    return envelope, job
