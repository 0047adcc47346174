"""Every metric of the platform. Like loggers, they belong to the process and are named in one place.

Names and labels are an interface: dashboards and alerts ask for them. No label holds what a caller may choose freely.
"""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

_QUICK_S = (0.002, 0.005, 0.01, 0.02, 0.035, 0.05, 0.075, 0.1, 0.15, 0.25, 0.4, 0.65, 1.0, 2.0, 5.0, 10.0, 30.0)
_LONG_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0)
_RATIOS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5, 2.0, 4.0)
_BATCHES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)

# -- the work of a lane, told by each worker -------------------------------------------------------------------------

JOBS = Counter("antiphon_jobs", "Jobs that have ended here for good.", ("lane", "status"))
"""`status`: succeeded, failed, cancelled, expired."""
ATTEMPTS = Counter("antiphon_job_attempts", "Attempts at jobs that have ended here.", ("lane", "end"))
"""`end`: settled, retried, postponed, handed_back, lost, malformed."""
JOB_SECONDS = Histogram("antiphon_job_seconds", "Time an attempt took.", ("lane",), buckets=_LONG_S)
JOB_WAIT_SECONDS = Histogram(
    "antiphon_job_wait_seconds",
    "Time from a job's entry on its lane to its taking.",
    ("lane", "priority"),
    buckets=_LONG_S,
)
JOBS_IN_FLIGHT = Gauge("antiphon_jobs_in_flight", "Jobs that this worker holds.", ("lane",))
JOB_SLOTS = Gauge("antiphon_job_slots", "Jobs that this worker can hold.", ("lane",))
LEASES_LOST = Counter("antiphon_leases_lost", "Jobs that a peer took over while this worker held them.", ("lane",))
JOBS_TAKEN_OVER = Counter("antiphon_jobs_taken_over", "Jobs taken over from peers that died or handed back.", ("lane",))
DEAD_LETTERS = Counter("antiphon_dead_letters", "Jobs that this worker has given up.", ("lane",))
STORE_AWAY_SECONDS = Gauge("antiphon_store_away_seconds", "Time since the job store last answered; 0 while it does.")

# -- the state of all lanes, told by the door when it is asked -------------------------------------------------------

LANE_WAITING = Gauge("antiphon_lane_waiting", "Jobs that nobody has taken yet.", ("lane", "priority"))
LANE_PENDING = Gauge("antiphon_lane_pending", "Jobs in the hands of workers, dead ones among them.", ("lane",))
LANE_DELAYED = Gauge("antiphon_lane_delayed", "Jobs that wait for another attempt.", ("lane",))
LANE_DEAD = Gauge("antiphon_lane_dead", "Dead letters kept.", ("lane",))
LANE_OLDEST_SECONDS = Gauge("antiphon_lane_oldest_seconds", "Age of the oldest job that nobody has taken.", ("lane",))
LANE_WORKERS = Gauge("antiphon_lane_workers", "Living workers.", ("lane",))
LANE_SLOTS = Gauge("antiphon_lane_slots", "Jobs that the living workers can hold together.", ("lane",))
LANE_BUSY = Gauge("antiphon_lane_busy", "Jobs that the living workers hold.", ("lane",))
STORE_BYTES = Gauge("antiphon_store_bytes", "Memory of the job store.", ("kind",))
"""`kind`: used, limit (0: none)."""

# -- engines -----------------------------------------------------------------------------------------------------------

STAGE_SECONDS = Histogram("antiphon_stage_seconds", "Time in one stage of a job.", ("lane", "stage"), buckets=_LONG_S)
FIRST_OUTPUT_SECONDS = Histogram(
    "antiphon_first_output_seconds", "Time from taking a streamed job to its first output.", ("lane",), buckets=_QUICK_S
)
AUDIO_SECONDS = Counter("antiphon_audio_seconds", "Audio heard or spoken.", ("lane", "model"))
REAL_TIME_FACTOR = Histogram(
    "antiphon_real_time_factor", "Time an attempt took for each second of audio.", ("lane", "model"), buckets=_RATIOS
)
BATCH_SIZE = Histogram("antiphon_batch_size", "Jobs that one step of an engine served.", ("lane",), buckets=_BATCHES)
TOKENS = Counter("antiphon_tokens", "Tokens of language models.", ("model", "type"))
"""`type`: input, cached, output."""
TIME_TO_FIRST_TOKEN = Histogram(
    "gen_ai_server_time_to_first_token_seconds", "Time to a language model's first token.", ("gen_ai_request_model",),
    buckets=_QUICK_S,
)  # fmt: skip
TIME_PER_OUTPUT_TOKEN = Histogram(
    "gen_ai_server_time_per_output_token_seconds", "Time for each token after the first.", ("gen_ai_request_model",),
    buckets=_QUICK_S,
)  # fmt: skip
UPSTREAM_SECONDS = Histogram(
    "antiphon_upstream_seconds", "Time until an upstream's answer began.", ("status",), buckets=_LONG_S
)
"""`status`: that of HTTP, or `unreachable`."""

# -- the door ----------------------------------------------------------------------------------------------------------

REQUEST_SECONDS = Histogram(
    "http_server_request_duration_seconds", "Time of a request, to the last byte of its answer.",
    ("http_request_method", "http_route", "http_response_status_code"), buckets=_LONG_S,
)  # fmt: skip
FIRST_BYTE_SECONDS = Histogram(
    "antiphon_first_byte_seconds",
    "Time from a request's last byte to the answer's first.",
    ("route",),
    buckets=_QUICK_S,
)
REFUSALS = Counter("antiphon_refusals", "Requests refused.", ("status", "code"))
SOCKETS = Gauge("antiphon_sockets", "Live sessions whose sockets are here.")
REQUESTS_RUNNING = Gauge("antiphon_requests_running", "Requests that are being answered.")

# -- live sessions -----------------------------------------------------------------------------------------------------

SESSIONS = Gauge("antiphon_sessions", "Live sessions that this worker holds.", ("type",))
SESSIONS_TAKEN_OVER = Counter("antiphon_sessions_taken_over", "Live sessions that were begun by another worker.")
TURNS = Counter("antiphon_turns", "Responses of live sessions that have ended.", ("status",))
"""`status`: completed, cancelled, incomplete, failed."""
TURN_SECONDS = Histogram("antiphon_turn_seconds", "Time in one stage of a turn.", ("stage",), buckets=_QUICK_S)
"""`stage`: hear (end of speech to its words), think (to the first token), speak (to the first sound of the first
sentence), answer (end of speech to the first sound)."""

# -- webhooks ----------------------------------------------------------------------------------------------------------

WEBHOOKS = Counter("antiphon_webhooks", "Attempts to deliver a webhook.", ("outcome",))
"""`outcome`: delivered, refused (the receiver's status), unreachable, forbidden (egress rules)."""
WEBHOOK_SECONDS = Histogram("antiphon_webhook_seconds", "Time until a receiver answered.", buckets=_QUICK_S)

# -- keys --------------------------------------------------------------------------------------------------------------

LIMITED = Counter("antiphon_limited", "Requests refused by a key's own limits.", ("limit",))
"""`limit`: requests, audio_seconds, concurrency, model."""
