"""The same job on other queues. Each module is run by the Python of an environment of its own, from this folder."""
