"""The manifest of weights is complete and cannot lead out of its folders."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from antiphon.errors import NotFound
from antiphon.models import Catalogue, Manifest

pytestmark = pytest.mark.unit

SHA256 = "0" * 64


def test_every_file_can_be_had_from_a_registry_package() -> None:
    for weights in Manifest.load().sets.values():
        assert all(file.members for file in weights.files.values())


def test_every_set_carries_its_licence() -> None:
    for weights in Manifest.load().sets.values():
        assert weights.licence
        assert "LICENSE" in weights.files


def test_the_samples_have_a_text_for_every_clip_in_nine_languages() -> None:
    files = set(Manifest.load().weights("speech-samples").files) - {"LICENSE"}
    clips = {f.removesuffix(".wav") for f in files if f.endswith(".wav")}
    assert clips == {f.removesuffix(".txt") for f in files if f.endswith(".txt")}
    assert len({clip.split("/")[0] for clip in clips}) == 9


def test_what_is_always_needed_goes_beside_the_models() -> None:
    assert not set(Manifest.load().always()) & set(Catalogue.load().weights())


def test_an_unknown_set_is_told_with_the_known_ones() -> None:
    with pytest.raises(NotFound, match="whisper-base"):
        Manifest.load().weights("whisper-huge")


def test_another_set_of_files_has_another_digest() -> None:
    def digest(path: str, sha256: str) -> str:
        files = {path: {"sha256": sha256, "size": 1}}
        return (
            Manifest.model_validate({"sets": {"s": {"licence": "MIT", "origin": "-", "files": files}}}).sets["s"].digest
        )

    assert len({digest("a", SHA256), digest("b", SHA256), digest("a", "1" * 64)}) == 3


@pytest.mark.parametrize("path", ["/etc/passwd", "../up", "a/../../b", "", "a\\..\\b"])
def test_no_file_leaves_its_folder(path: str) -> None:
    files = {path: {"sha256": SHA256, "size": 1}}
    with pytest.raises(ValidationError):
        Manifest.model_validate({"sets": {"s": {"licence": "MIT", "origin": "-", "files": files}}})


def test_a_member_of_an_archive_that_is_not_listed_is_refused() -> None:
    files = {"a": {"sha256": SHA256, "size": 1, "members": [{"archive": "x", "path": "a"}]}}
    with pytest.raises(ValidationError, match="no archive 'x'"):
        Manifest.model_validate({"sets": {"s": {"licence": "MIT", "origin": "-", "files": files}}})
