"""The state machine of a live session: happenings in, server events and commands out. No I/O and no clock."""
