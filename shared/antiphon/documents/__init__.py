"""The bus in machine-readable form, generated from the schemas: `python -m antiphon.documents` writes it into `docs/`.

schemas    JSON Schema of each public message
asyncapi   AsyncAPI 3.0: channels, messages with their headers, operations
examples   one of each message; they are part of the AsyncAPI document
"""
