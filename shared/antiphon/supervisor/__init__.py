"""Start the server and the services as processes of one machine, keep them running, and end them in order.

`platform.Platform` is the whole; `state.StateFolder` is what it leaves on disk, cheap to import for a client.
"""

from __future__ import annotations
