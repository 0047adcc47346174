"""Jobs while somebody waits for them: bounded in time, cancelled when nobody waits any more, cleaned up after."""

from antiphon.calling.aftercare import Aftercare
from antiphon.calling.running import Desk, RunningJob, result_of, running

__all__ = ["Aftercare", "Desk", "RunningJob", "result_of", "running"]
