"""Speech to text. Nothing is imported until a module is asked for; none of them knows the bus.

engine         Recognizer, the protocol of an engine: windows in, segments out
whisper        Recognizer over CTranslate2
scheduler      which window is next when several jobs have one: pure
driver         runs a recognizer in threads, in the scheduler's order
state          RecognitionState: what is recognised so far, and where to go on
transcription  steps through a recording, window by window
silence        where nobody speaks, and where a recording can be cut
languages      codes and names of languages
attempt        what recognition sees of a job's attempt: the bus's `Work` fits
discarding     what becomes of a recording when its job has ended
recognition    `transcribe` and `translate` jobs to transcripts
"""
