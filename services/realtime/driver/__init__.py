"""Drives the state machine of a session: moves bytes between the bus, the ears, the jobs and the machine."""
