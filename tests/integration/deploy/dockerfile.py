"""The stages of a Dockerfile: enough of its language for ours."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_INSTRUCTION = re.compile(r"([A-Z]+)\s+(.*)", re.DOTALL)


@dataclass(frozen=True)
class Stage:
    """One `FROM`, and what follows it."""

    name: str
    base: str
    instructions: tuple[tuple[str, str], ...]

    def values(self, keyword: str) -> list[str]:
        """Return what follows a keyword, each time it stands here."""
        return [value for word, value in self.instructions if word == keyword]


@dataclass(frozen=True)
class Dockerfile:
    """All stages by name."""

    stages: dict[str, Stage]

    def line(self, target: str) -> Iterator[Stage]:
        """Yield a stage, what it stands on, and so on."""
        name = target
        while name in self.stages:
            yield self.stages[name]
            name = self.stages[name].base

    def last(self, target: str, keyword: str) -> str:
        """Return the value of a keyword that holds for a target."""
        for stage in self.line(target):
            if values := stage.values(keyword):
                return values[-1]
        raise AssertionError(f"{target} has no {keyword}")

    def command(self, target: str, keyword: str) -> list[str]:
        """Return a command in its exec form."""
        words: Any = json.loads(self.last(target, keyword))
        assert isinstance(words, list), f"{target}: {keyword} is not in its exec form"
        return words

    def copied_from(self, target: str) -> set[str]:
        """Return the stages that a target copies files from."""
        copies = [copy for stage in self.line(target) for copy in stage.values("COPY")]
        return {found[1] for copy in copies if (found := re.search(r"--from=(\S+)", copy))}

    def finals(self) -> set[str]:
        """Return the stages that bring a program to start."""
        runnable = {name for name in self.stages if any(s.name == "runtime" for s in self.line(name))}
        return runnable - {"runtime"}


def read_dockerfile(path: Path) -> Dockerfile:
    """Read a file whose stages all have names."""
    stages: dict[str, Stage] = {}
    lines = [line for line in path.read_text().splitlines() if not line.lstrip().startswith("#")]
    whole = re.sub(r"\\\n", " ", "\n".join(lines))
    name, base, instructions = "", "", list[tuple[str, str]]()
    for line in [*whole.splitlines(), "FROM end AS end"]:
        if not (found := _INSTRUCTION.fullmatch(line.strip())):
            assert not line.strip(), f"not understood: {line}"
            continue
        keyword, value = found[1], found[2]
        if keyword != "FROM":
            instructions.append((keyword, value))
            continue
        if name:
            stages[name] = Stage(name, base, tuple(instructions))
        instructions = []
        base, _, name = value.partition(" AS ")
    return Dockerfile(stages)
