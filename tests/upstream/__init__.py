"""A small OpenAI-compatible server for tests: a model without weights that answers from what it is told, and faults.

    async with serving() as upstream:                     # in the process of a test
        upstream.base_url, upstream.asked, upstream.last
    python -m tests.upstream --port 8123                  # for a platform; prints `serving at URL` when it listens

It serves `POST …/chat/completions` under any path, Azure's among them, and `GET /v1/models`. `GET /asked` tells as JSON
what came in (`method`, `path`, `headers`, `body`, `hung_up`: the client left before the answer was whole, `connection`:
number of the connection), `DELETE /asked` forgets it. Send `OPENAI_BASE_URL`-like addresses as `http://127.0.0.1:PORT/v1`.

What it says depends on the conversation alone, so that the same question gets the same answer (see `model.py`):

* Sound in the last user message (wav or mp3): `I heard 1.5 seconds of wav.` and then the rest of the answer, if any.
* A last message with the role `tool`: `The function says: <content>`.
* Tools: calls the one that is forced, or, for `required`, the first, or, for `auto`, each whose name stands in the last
  user message (`get_weather` or `get weather`), with arguments that are valid for its schema. Never for `none`.
* `response_format` `json_schema`: an instance of the schema; `json_object`: `{"answer": …}`.
* Otherwise `You said: <text of the last user message>`; `Hello.` when there is none.
* `modalities` with audio: the text is the transcript, and a tone of 60 ms for each word of it, pcm16 at 24 kHz.
* `stop`, `max_tokens` and `max_completion_tokens` hold; a token is a word with the space before it.

The name of the model gives instructions, joined by `+`, an argument behind `:` (`style-slow:20+style-ollama`):

styles (the answer is the same):
  style-slow:MS          so many milliseconds before each token (20)
  style-bytes            each byte of the stream in a packet of its own
  style-crlf, style-cr   other ends of lines
  style-comments         comments before, between and behind
  style-json             a whole completion although a stream was asked for
  style-azure            a first chunk without choices, with `prompt_filter_results`
  style-ollama           calls whole, all with the index 0
  style-unnumbered       calls whole, with neither index nor id
  style-reasoning        thoughts before the answer
  style-counted          token counts in each chunk;  style-uncounted: none at all
  style-no-done          no `[DONE]` at the end
  style-no-options       400 for `stream_options`
  style-long:N           N words `word`, whatever was asked

faults:
  fault-hang-up          the connection is closed before a byte is sent
  fault-hang-up-once     the first time; the second time an answer. And so on
  fault-status:N[:S]     status N with an error of OpenAI's shape; S is `retry-after`, in seconds
  fault-once:N           status N the first time; the second time an answer. And so on
  fault-429              status 429 with `retry-after: 30`
  fault-401              status 401 whose message repeats the key
  fault-context          400 `context_length_exceeded`
  fault-slow:S           nothing at all for S seconds (60)
  fault-comments         comments and empty chunks, for ever, but no token
  fault-silent:N         nothing more after N tokens (3)
  fault-cut:N            the connection breaks after N tokens (3)
  fault-end:N            the response ends in order after N tokens (3), but the answer does not
  fault-error:N          an error event after N tokens (3)
  fault-malformed:N      JSON that is none after N tokens (0)
  fault-type:N           a chunk of the wrong shape after N tokens (0)
  fault-html             a page with status 200
  fault-empty            200 and nothing
  fault-huge             one line without an end
  fault-redirect         a redirect to somewhere else
"""

from tests.upstream.server import Asked, UpstreamServer, serving

__all__ = ["Asked", "UpstreamServer", "serving"]
