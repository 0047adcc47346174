"""Clients that others have written, each driven by a script that is run by an interpreter of its own.

A script takes its orders from the environment: `BASE_URL`, `API_KEY`, `MODEL`, and `SOUND`, a file of PCM at 24 kHz.
What it saw it prints as one JSON object.
"""
