"""Text to speech: takes `synthesize` jobs off the bus and writes encoded audio to their output streams."""
