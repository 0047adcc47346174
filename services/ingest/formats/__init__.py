"""Answers in the shape of the API: transcripts, subtitles, usage. Functions of values."""
