"""Put work on the bus from a program of your own, and get the answers: asynchronously or not.

producer      Producer, for asyncio
sync          SyncProducer, the same from threads
handle        Handle, a job that was submitted and is awaited
results       Results, a stream of outcomes shared by the consumers of a group
audio         sound into a job: inline when small, else in pieces into the server
patience      trying again while the server is away or the lane is full
"""

from antiphon.producer.handle import Handle
from antiphon.producer.producer import Producer
from antiphon.producer.results import Result, Results
from antiphon.producer.sync import SyncHandle, SyncProducer, SyncResult, SyncResults

__all__ = [
    "Handle",
    "Producer",
    "Result",
    "Results",
    "SyncHandle",
    "SyncProducer",
    "SyncResult",
    "SyncResults",
]
