"""`translate` jobs."""

from __future__ import annotations

from antiphon.bus import Work
from antiphon.recognition.recognition import Recognition
from antiphon.schemas import Transcript, TranslateJob


class Translate:
    """Handles `translate` jobs."""

    def __init__(self, recognition: Recognition) -> None:
        self._recognition = recognition

    async def __call__(self, job: TranslateJob, work: Work) -> Transcript:
        """Return what is said in the job's audio, in English. Raises `AntiphonError`."""
        return await self._recognition.transcript(job, work)
