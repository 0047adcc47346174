"""Start the public door: `python -m services.ingest`."""

from antiphon.runtime import run
from services.ingest.app import build
from services.ingest.settings import IngestSettings

run(build(IngestSettings.from_environment()))
