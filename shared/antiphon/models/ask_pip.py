"""Ask pip's own finder where wheels are: `python -m antiphon.models.ask_pip [--platform P] name==version…`.

Prints a JSON object: per spec its `url` and `sha256`, or an `error`. It runs in a process of its own because pip is a
program, not a library. The public way, a dry run with a report, fetches every wheel as a whole before it says where it
was (all versions up to 23 do, and later ones for indexes without separate metadata), so that is only the second choice.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from typing import Any


def main(arguments: list[str]) -> None:
    """Print where the wheels of the specs are."""
    specs = [word for word in arguments if "==" in word]
    options = [word for word in arguments if "==" not in word]
    json.dump(_find(specs, options), sys.stdout)


def _find(specs: list[str], options: list[str]) -> dict[str, Any]:
    specifier_set = import_module("pip._vendor.packaging.specifiers").SpecifierSet
    make_target = import_module("pip._internal.cli.cmdoptions").make_target_python
    command = import_module("pip._internal.commands").create_command("download")
    parsed, _ = command.parse_args(["--no-deps", "--only-binary", ":all:", "--no-input", "--retries", "2", *options])
    found: dict[str, Any] = {}
    with command.main_context():
        finder = command._build_package_finder(
            options=parsed, session=command.get_default_session(parsed), target_python=make_target(parsed)
        )
        for spec in specs:
            name, _, version = spec.partition("==")
            best = finder.find_best_candidate(name, specifier_set(f"=={version}")).best_candidate
            if best is None:
                found[spec] = {"error": "the package index has no such wheel, or cannot be reached"}
            else:
                sha256 = best.link.hash if best.link.hash_name == "sha256" else None
                found[spec] = {"url": best.link.url_without_fragment, "sha256": sha256}
    return found


if __name__ == "__main__":
    main(sys.argv[1:])
