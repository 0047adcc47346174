"""How large a platform has to be: lanes, slots and engines simulated with measured service times."""

from antiphon.planning.arrivals import Stage, arrival_times, ramp
from antiphon.planning.figures import Spread, percentile
from antiphon.planning.forecast import Forecast, forecast
from antiphon.planning.installation import Installation
from antiphon.planning.measured import Measured, read_measured, reference
from antiphon.planning.memory import redis_bytes
from antiphon.planning.sizing import Sized, goals_of, limit_of, processors_of, size
from antiphon.planning.traffic import Load, load_of, read_load

__all__ = [
    "Forecast",
    "Installation",
    "Load",
    "Measured",
    "Sized",
    "Spread",
    "Stage",
    "arrival_times",
    "forecast",
    "goals_of",
    "limit_of",
    "load_of",
    "percentile",
    "processors_of",
    "ramp",
    "read_load",
    "read_measured",
    "redis_bytes",
    "reference",
    "size",
]
