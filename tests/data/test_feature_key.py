from __future__ import annotations

from dataclasses import fields, replace

import pytest

from tests.data.features import KEY, SETTINGS
from videoclf.data import feature_key
from videoclf.data.feature_key import FeatureKey, FeatureSettings

CHANGED = {
    "decoder": "opencv", "decoder_version": "av 19", "picking": "fast", "video_stream": 0, "fps": 8.5, "max_frames": 63,
    "order": "shuffled", "preprocess": '{"height": 1}', "backbone": "{}",
    "weights_sha256": "ac" * 32, "engine": "torch 3", "device": "cuda", "precision": "bfloat16", "view": "mirrored",
}  # fmt: skip


@pytest.mark.parametrize("name", [field.name for field in fields(FeatureSettings)])
def test_every_setting_is_part_of_the_key(name: str) -> None:
    changed: FeatureSettings = replace(SETTINGS, **{name: CHANGED[name]})  # type: ignore[arg-type]
    assert replace(KEY, settings=changed).digest != KEY.digest


def test_content_and_name_are_part_of_the_key() -> None:
    digests = {KEY.digest, replace(KEY, content_sha256="00" * 32).digest, replace(KEY, name="a.avi").digest}
    assert len(digests) == 3


def test_the_format_version_is_part_of_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feature_key, "FORMAT_VERSION", 99)
    assert FeatureKey(KEY.content_sha256, replace(SETTINGS)).digest != KEY.digest


def test_equal_settings_give_equal_keys() -> None:
    assert FeatureKey(KEY.content_sha256, replace(SETTINGS)).digest == KEY.digest
