"""Names resolve, overrides merge, mistakes are named."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.errors import InvalidValue, ModelForbidden, ModelNotFound
from antiphon.models import Catalogue, Manifest
from antiphon.schemas import Kind

pytestmark = pytest.mark.unit

PACKAGED = Catalogue.load()
OPENAI_VOICES = [
    "alloy",
    "ash",
    "ballad",
    "coral",
    "echo",
    "fable",
    "onyx",
    "nova",
    "sage",
    "shimmer",
    "verse",
    "marin",
    "cedar",
]
SPEECH_TO_TEXT = [
    "whisper-1",
    "whisper",
    "gpt-transcribe",
    "gpt-4o-transcribe",
    "gpt-4o-transcribe-2025-03-20",
    "gpt-4o-mini-transcribe",
    "gpt-4o-mini-transcribe-2025-03-20",
    "gpt-4o-mini-transcribe-2025-12-15",
    "gpt-4o-transcribe-diarize",
    "gpt-4o-transcribe-diarize-2025-10-15",
    "whisper-base",
    "gpt-realtime-whisper",
    "gpt-live-transcribe",
]
TEXT_TO_SPEECH = [
    "tts-1",
    "tts-1-hd",
    "tts",
    "tts-hd",
    "gpt-4o-mini-tts",
    "gpt-4o-mini-tts-2025-03-20",
    "gpt-4o-mini-tts-2025-12-15",
    "kokoro",
    "hibari",
]
CHAT_WITH_AUDIO = [
    "gpt-audio",
    "gpt-audio-2025-08-28",
    "gpt-audio-1.5",
    "gpt-audio-mini",
    "gpt-audio-mini-2025-10-06",
    "gpt-audio-mini-2025-12-15",
    "gpt-4o-audio-preview",
    "gpt-4o-audio-preview-2024-10-01",
    "gpt-4o-audio-preview-2024-12-17",
    "gpt-4o-audio-preview-2025-06-03",
    "gpt-4o-mini-audio-preview",
    "gpt-4o-mini-audio-preview-2024-12-17",
    "qwen2.5-coder-1.5b",
    "qwen2.5-coder-0.5b",
]
REALTIME = [
    "gpt-realtime",
    "gpt-realtime-2025-08-28",
    "gpt-realtime-mini",
    "gpt-realtime-mini-2025-10-06",
    "gpt-realtime-mini-2025-12-15",
    "gpt-realtime-1.5",
    "gpt-realtime-2",
    "gpt-realtime-2-2026-05-06",
    "gpt-realtime-2.1",
    "gpt-realtime-2.1-2026-07-07",
    "gpt-realtime-2.1-mini",
    "gpt-realtime-2.1-mini-2026-07-07",
    "gpt-4o-realtime-preview",
    "gpt-4o-realtime-preview-2024-10-01",
    "gpt-4o-realtime-preview-2024-12-17",
    "gpt-4o-realtime-preview-2025-06-03",
    "gpt-4o-mini-realtime-preview",
    "gpt-4o-mini-realtime-preview-2024-12-17",
]


def catalogue_with(folder: Path, text: str) -> Catalogue:
    path = folder / "override.toml"
    path.write_text(text)
    return Catalogue.load(path)


@pytest.mark.parametrize(
    ("name", "kind"),
    [(n, "transcribe") for n in SPEECH_TO_TEXT]
    + [(n, "synthesize") for n in TEXT_TO_SPEECH]
    + [(n, "respond") for n in CHAT_WITH_AUDIO + REALTIME]
    + [(n, "translate") for n in ("whisper-1", "whisper", "whisper-base", "gpt-realtime-translate")],
)
def test_every_name_that_clients_send_is_served(name: str, kind: Kind) -> None:
    assert PACKAGED.resolve(name, kind).public.id == name


@pytest.mark.parametrize("public", PACKAGED.public(), ids=lambda public: public.id)
def test_every_public_name_resolves_to_a_model_that_does_its_kinds(public: object) -> None:
    entry = next(p for p in PACKAGED.public() if p is public)
    for kind in entry.kinds:
        model = PACKAGED.resolve(entry.id, kind)
        assert kind in model.kinds
        assert model.public is entry


def test_all_weights_that_models_name_can_be_pulled() -> None:
    assert set(PACKAGED.weights()) <= set(Manifest.load().sets)


def test_the_thirteen_voices_are_thirteen_different_voices() -> None:
    voices = PACKAGED.resolve("tts-1", "synthesize").options["voices"]
    assert len({voices[name] for name in OPENAI_VOICES}) == 13


def test_a_voice_that_the_model_has_under_its_own_name_is_that_voice() -> None:
    voices = PACKAGED.resolve("tts-1", "synthesize").options["voices"]
    assert [voices[n] for n in ("alloy", "echo", "fable", "nova", "onyx")] == [
        "af_alloy",
        "am_echo",
        "bm_fable",
        "af_nova",
        "am_onyx",
    ]


def test_every_voice_of_the_catalogue_has_its_file_in_the_weights() -> None:
    files = Manifest.load().weights("kokoro").files
    voices = PACKAGED.resolve("kokoro", "synthesize").options["voices"]
    assert {f"voices/{voice}.bin" for voice in voices.values()} == {f for f in files if f.startswith("voices/")}


def test_the_low_latency_model_accepts_every_voice_name() -> None:
    voices = PACKAGED.resolve("hibari", "synthesize").options["voices"]
    assert set(OPENAI_VOICES) <= set(voices)


def test_strict_facts_of_the_hosted_models_are_kept() -> None:
    by_name = {public.id: public for public in PACKAGED.public()}
    assert by_name["whisper-1"].formats == ("json", "text", "srt", "vtt", "verbose_json")
    assert by_name["gpt-4o-transcribe"].formats == ("json", "text")
    assert by_name["gpt-4o-transcribe-diarize"].formats == ("json", "text", "diarized_json")
    assert by_name["whisper-1"].shutdown_date == "2027-02-26"
    assert by_name["whisper"].shutdown_date == "2026-12-15"
    assert by_name["gpt-transcribe"].shutdown_date is None
    assert by_name["gpt-audio"].formats == ("wav", "aac", "mp3", "flac", "opus", "pcm16")
    assert by_name["gpt-4o-audio-preview"].shutdown_date == "2026-05-07"
    assert by_name["gpt-realtime"].shutdown_date == "2027-01-20"
    assert by_name["gpt-4o-realtime-preview"].shutdown_date == "2026-05-07"
    assert by_name["gpt-realtime-2.1"].shutdown_date is None
    silent = {name for name, public in by_name.items() if not public.streams}
    assert silent == {"whisper-1", "whisper", "tts-1", "tts-1-hd", "tts", "tts-hd"}
    assert by_name["whisper-1"].usage == "duration"
    assert by_name["gpt-4o-transcribe"].usage == "tokens"


def test_an_unknown_name_is_told_in_the_words_of_the_api() -> None:
    with pytest.raises(
        ModelNotFound, match=r"^The model `whisper-9` does not exist or you do not have access to it\.$"
    ):
        PACKAGED.resolve("whisper-9", "transcribe")


def test_a_name_does_not_do_another_kind_of_work() -> None:
    with pytest.raises(ModelNotFound, match="`tts-1`"):
        PACKAGED.resolve("tts-1", "transcribe")


def test_nothing_of_a_catalogue_can_be_changed() -> None:
    model = PACKAGED.resolve("tts-1", "synthesize")
    with pytest.raises(FrozenInstanceError):
        model.engine = "another"  # type: ignore[misc]
    with pytest.raises(TypeError):
        model.options["voices"]["alloy"] = "another"


def test_one_line_makes_a_deployment(tmp_path: Path) -> None:
    catalogue = catalogue_with(tmp_path, '[deployments]\n"my whisper" = "whisper-1"\n')
    model = catalogue.resolve("my whisper", "translate")
    assert (model.name, model.public.id, model.public.base) == ("whisper-base", "my whisper", "whisper-1")
    assert model.public.streams is False
    assert catalogue.public()[-1].id == "my whisper"


@given(name=st.text(min_size=1), target=st.sampled_from([public.id for public in PACKAGED.public()]))
def test_a_deployment_of_any_name_is_served_like_its_target(
    tmp_path_factory: pytest.TempPathFactory, name: str, target: str
) -> None:
    quoted = "".join(f"\\U{ord(c):08X}" for c in name)
    folder = tmp_path_factory.mktemp("override")
    catalogue = catalogue_with(folder, f'[deployments]\n"{quoted}" = "{target}"\n')
    for kind in next(p for p in PACKAGED.public() if p.id == target).kinds:
        assert catalogue.resolve(name, kind).name == PACKAGED.resolve(target, kind).name


def test_a_deployment_hides_the_name_it_repeats(tmp_path: Path) -> None:
    catalogue = catalogue_with(tmp_path, '[deployments]\n"tts-1" = "hibari"\n')
    assert catalogue.resolve("tts-1", "synthesize").engine == "hibari"
    assert [p.id for p in catalogue.public()].count("tts-1") == 1


def test_a_local_folder_serves_as_weights_for_all_names(tmp_path: Path) -> None:
    catalogue = catalogue_with(
        tmp_path,
        """
        [defaults]
        transcribe = "large"
        [models.large]
        engine = "faster-whisper"
        kinds = ["transcribe", "translate"]
        folder = "weights/large"
        """,
    )
    model = catalogue.resolve("gpt-4o-transcribe", "transcribe")
    assert (model.name, model.weights, model.folder) == ("large", None, tmp_path / "weights/large")
    assert catalogue.resolve("whisper-1", "translate").name == "whisper-base"
    assert catalogue.resolve("large", "translate").name == "large"


def test_an_override_changes_one_option_and_leaves_the_others(tmp_path: Path) -> None:
    catalogue = catalogue_with(tmp_path, "[models.whisper-base.options]\nbeam_size = 1\n")
    assert catalogue.resolve("whisper-1", "transcribe").options == {"compute_type": "int8", "beam_size": 1}


def test_the_weights_of_an_optional_model_are_not_needed() -> None:
    assert PACKAGED.resolve("qwen2.5-coder-0.5b", "respond").optional
    assert "qwen2.5-coder-1.5b" in PACKAGED.weights()
    assert "qwen2.5-coder-0.5b" not in PACKAGED.weights()


@pytest.mark.parametrize(
    "text",
    [
        '[defaults]\nrespond = "qwen2.5-coder-0.5b"\n',
        '[names.small]\nkinds = ["respond"]\nmodel = "qwen2.5-coder-0.5b"\n',
        '[models."qwen2.5-coder-0.5b"]\noptional = false\n',
    ],
    ids=["a default", "a name", "its own table"],
)
def test_a_model_that_others_lead_to_is_not_optional(tmp_path: Path, text: str) -> None:
    catalogue = catalogue_with(tmp_path, text)
    assert not catalogue.resolve("qwen2.5-coder-0.5b", "respond").optional
    assert "qwen2.5-coder-0.5b" in catalogue.weights()


def test_a_model_elsewhere_needs_no_weights(tmp_path: Path) -> None:
    catalogue = catalogue_with(
        tmp_path,
        """
        [defaults]
        respond = "mine"
        [models.mine]
        engine = "upstream"
        kinds = ["respond"]
        options = { base_url = "http://127.0.0.1:8001/v1", headers = { x = "y" } }
        """,
    )
    model = catalogue.resolve("gpt-audio", "respond")
    assert (model.name, model.weights, model.folder, model.optional) == ("mine", None, None, False)
    assert model.options["headers"] == {"x": "y"}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("[models\nx = 1", "line 1"),
        ("[models.x]\nengine = 3\nkinds = ['transcribe']", "models.x.engine"),
        ("[models.x]\nengine = 'e'\nkinds = ['sing']", "models.x.kinds.0"),
        ("[models.x]\nengine = 'e'\nkinds = ['transcribe']\nweight = 'w'", "models.x.weight"),
        ("[names.whisper-1]\nstreams = 'perhaps'", "names.whisper-1.streams"),
        ("[names.whisper-1]\nmodel = 'missing'", "names.whisper-1.model: there is no model 'missing'"),
        ("[names.whisper-1]\nmodel = 'kokoro'", "names.whisper-1.model: model 'kokoro' does not transcribe"),
        ("[defaults]\nsynthesize = 'whisper-base'", "defaults.synthesize: model 'whisper-base' does not synthesize"),
        ("[defaults]\nsing = 'kokoro'", "defaults.sing"),
        ("[deployments]\nmine = 'missing'", "deployments.mine: there is no model or name 'missing'"),
        ("[names.new]\nkinds = ['realtime']", "names.new: names no model, and there is no default for realtime"),
        ("names = 3", "names"),
        ("[colours]\nred = 1", "colours"),
    ],
)
def test_a_mistake_is_told_in_one_line_with_file_and_key(tmp_path: Path, text: str, names: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        catalogue_with(tmp_path, text)
    assert "\n" not in caught.value.message
    assert str(tmp_path / "override.toml") in caught.value.message
    assert names in caught.value.message


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match=r"nowhere\.toml: No such file"):
        Catalogue.load(tmp_path / "nowhere.toml")


def test_a_language_model_names_who_hears_and_speaks_for_it(tmp_path: Path) -> None:
    file = tmp_path / "models.toml"
    file.write_text(
        """
        [models.my-llm]
        engine = "upstream"
        kinds = ["respond"]
        heard_by = "whisper-base"
        spoken_by = "hibari"
        """
    )
    model = Catalogue.load(file).resolve("my-llm", "respond")
    assert (model.heard_by, model.spoken_by) == ("whisper-base", "hibari")
    file.write_text(file.read_text().replace("hibari", "whisper-base"))
    with pytest.raises(InvalidValue, match=r"models.my-llm.spoken_by: model 'whisper-base' does not synthesize"):
        Catalogue.load(file)


def test_a_narrowed_catalogue_has_what_fits_a_pattern_and_nothing_else() -> None:
    narrowed = PACKAGED.only(("whisper-1", "gpt-4o-*"))
    names = [model.id for model in narrowed.public()]
    assert "whisper-1" in names
    assert all(name == "whisper-1" or name.startswith("gpt-4o-") for name in names)
    assert narrowed.resolve("gpt-4o-transcribe", "transcribe") == PACKAGED.resolve("gpt-4o-transcribe", "transcribe")
    with pytest.raises(ModelForbidden) as refusal:
        narrowed.resolve("tts-1", "synthesize")
    assert (refusal.value.http_status, refusal.value.code, refusal.value.param) == (403, "model_not_found", "model")
    with pytest.raises(ModelForbidden):
        narrowed.resolve("tts-1", "transcribe")
    with pytest.raises(ModelNotFound):
        narrowed.resolve("no-such-model", "transcribe")
    assert PACKAGED.only(()) is PACKAGED
    assert PACKAGED.resolve("tts-1", "synthesize")


def test_a_deployment_fits_by_its_own_name_or_by_what_it_stands_for(tmp_path: Path) -> None:
    override = tmp_path / "models.toml"
    override.write_text('[deployments]\nours = "whisper-1"\n')
    catalogue = Catalogue.load(override)
    for pattern in ("ours", "whisper-1", "o*"):
        assert catalogue.only((pattern,)).resolve("ours", "transcribe").public.base == "whisper-1"
    with pytest.raises(ModelForbidden):
        catalogue.only(("ours",)).resolve("whisper-1", "transcribe")
