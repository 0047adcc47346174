"""Write the documents: `python -m antiphon.documents [FOLDER]`, into `docs` unless told otherwise."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from antiphon.documents.asyncapi import document
from antiphon.documents.schemas import PUBLIC, schema_of

if TYPE_CHECKING:
    from collections.abc import Iterator


def files() -> Iterator[tuple[Path, str]]:
    """Yield the path of each document below the folder, and its text."""
    for message in PUBLIC:
        yield Path("schemas") / f"{message.__name__}.json", _text(schema_of(message))
    yield Path("asyncapi.json"), _text(document())


def main(folder: Path) -> None:
    """Write all of them; what is in `schemas` besides is of messages that are gone, and deleted."""
    written = set()
    for name, text in files():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        written.add(path)
    for path in (folder / "schemas").glob("*.json"):
        if path not in written:
            path.unlink()


def _text(value: dict[str, Any]) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    main(Path(*sys.argv[1:2] or ["docs"]))
