"""The transcriber: takes the jobs of the lane `transcribe`."""
