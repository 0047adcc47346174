"""Azure AI Speech: batch transcription, fast transcription and its webhooks.

routes_*        the paths, by what they are about
exchange        what the routes share
address         the URLs under which a client sees the API
transcriptions  batches on the bus
definition      what a batch is asked for
fast            what a fast transcription is asked for, and its answer
documents       transcriptions, files, results and reports as JSON
phrases         a transcript as phrases with their words
chances         how sure the recogniser was of a word
models          base models and locales
hooks           webhook registrations
links           links that open without a key for a while
filters, pages  parts of lists
times, text     ticks, durations, timestamps; text without punctuation

All but the routes, `exchange` and `transcriptions` are functions of values.
"""
