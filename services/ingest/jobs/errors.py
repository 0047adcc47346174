"""What can be wrong with a job that is asked about later."""

from __future__ import annotations

from antiphon.errors import InvalidRequest, NotFound


class JobNotFound(NotFound):
    """There is no such job, or it is somebody else's: nobody learns which."""

    code = "job_not_found"

    def __init__(self, job_id: str) -> None:
        super().__init__(f"No job found with id '{job_id[:128]}'.", param="id")


class JobNotFinished(InvalidRequest):
    """The content of a job was asked for before its end."""

    code = "job_not_finished"
    http_status = 409


class IdempotencyKeyReused(InvalidRequest):
    """The idempotency key stands for another request."""

    code = "idempotency_key_reused"
    http_status = 422

    def __init__(self) -> None:
        super().__init__("This idempotency key was used for another request.", param="Idempotency-Key")
