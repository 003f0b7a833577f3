"""`audio_dataset_from_directory`: WAV files of every width, other rates, and what is refused."""

from __future__ import annotations

import io
import wave

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import lamella
from lamella import layers
from lamella.errors import ArgumentError, DataError
from lamella.utils import audio_dataset_from_directory
from lamella.utils.audio_files import read_wav, resampled

VALUES = np.array([0.0, 0.5, -0.5, -1.0, 0.25, 127 / 128])


def wav(samples, width=2, rate=8000, channels=1):
    """The bytes of a WAV file of values from -1 to 1."""
    whole = np.round(np.asarray(samples) * 2.0 ** (8 * width - 1)).astype("<i8").reshape(-1)
    if width == 1:
        whole += 128
    raw = np.frombuffer(whole.tobytes(), np.uint8).reshape(-1, 8)[:, :width].tobytes()
    written = io.BytesIO()
    with wave.open(written, "wb") as file:
        file.setparams((channels, width, rate, 0, "NONE", None))
        file.writeframes(raw)
    return written.getvalue()


@pytest.fixture
def folder(tmp_path):
    for place, data in {
        "high/a.wav": wav([0.5, -0.5]),
        "high/b.wav": wav([0.25, 0.25, 0.25]),
        "low/c.WAV": wav([-1.0], width=1),
        "low/notes.txt": b"no sound",
    }.items():
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (tmp_path / place).write_bytes(data)
    return tmp_path


@pytest.mark.parametrize("width", [1, 2, 3, 4])
@pytest.mark.parametrize("channels", [1, 2])
def test_samples_of_every_width(tmp_path, width, channels):
    path = tmp_path / "a.wav"
    path.write_bytes(wav(VALUES, width, 16000, channels))
    sound, rate = read_wav(str(path))
    assert rate == 16000 and sound.dtype == np.float32
    np.testing.assert_array_equal(sound, VALUES.reshape(-1, channels))


def test_sounds_are_filled_up_or_cut(folder, capsys):
    dataset = audio_dataset_from_directory(folder, shuffle=False)
    assert capsys.readouterr().out == "Found 3 files belonging to 2 classes.\n" and dataset.class_names == [
        "high",
        "low",
    ]
    ((x, y),) = dataset
    assert x.dtype == np.float32 and x[..., 0].tolist() == [[0.5, -0.5, 0], [0.25, 0.25, 0.25], [-1, 0, 0]]
    assert y.tolist() == [0, 0, 1]
    quiet = {"shuffle": False, "verbose": False}
    ((x, y),) = audio_dataset_from_directory(folder, label_mode="categorical", output_sequence_length=2, **quiet)
    assert x.shape == (3, 2, 1) and y.tolist() == [[1, 0], [1, 0], [0, 1]]
    single = list(audio_dataset_from_directory(folder, labels=None, batch_size=None, **quiet))
    assert [sound.shape for sound in single] == [(2, 1), (3, 1), (1, 1)]
    parts = audio_dataset_from_directory(folder, validation_split=0.4, subset="both", seed=1, verbose=False)
    assert (
        sorted(parts[0].file_paths + parts[1].file_paths) == sorted(dataset.file_paths)
        and len(parts[1].file_paths) == 1
    )


def test_a_model_learns_from_sounds(folder, backend):
    dataset = audio_dataset_from_directory(
        folder, label_mode="binary", batch_size=2, output_sequence_length=8, seed=1, verbose=False
    )
    model = lamella.Sequential([layers.Conv1D(2, 3), layers.GlobalAveragePooling1D(), layers.Dense(1, "sigmoid")])
    model.compile("sgd", "binary_crossentropy")
    assert np.isfinite(model.fit(dataset, epochs=2, verbose=0).history["loss"]).all()


@pytest.mark.parametrize(("rate", "wanted"), [(8000, 16000), (16000, 8000), (44100, 16000), (8000, 11025), (7, 5)])
def test_a_tone_is_the_same_tone_at_another_rate(rate, wanted):
    frequency = 0.2 * min(rate, wanted)  # below half of both rates
    times = np.arange(2000) / rate
    sound = np.stack([np.sin(2 * np.pi * frequency * times), np.ones(2000)], 1).astype("float32")
    found = resampled(sound, rate, wanted)
    assert found.shape == (-(-2000 * wanted // rate), 2) and found.dtype == np.float32
    expected = np.sin(2 * np.pi * frequency * np.arange(len(found)) / wanted)
    inner = slice(len(found) // 10, -(len(found) // 10))
    np.testing.assert_allclose(found[inner, 0], expected[inner], atol=2e-4)
    np.testing.assert_allclose(found[:, 1], 1, atol=1e-6)


def test_what_is_too_high_for_a_lower_rate_is_taken_out():
    times = np.arange(4000) / 16000
    high = np.sin(2 * np.pi * 7000 * times).astype("float32")[:, None]
    assert np.abs(resampled(high, 16000, 8000)[200:-200]).max() < 1e-3
    assert resampled(high, 16000, 16000) is high and resampled(high[:0], 16000, 8000).shape == (0, 1)


def test_files_are_resampled(folder):
    ((x, _),) = audio_dataset_from_directory(folder, class_names=["high"], sampling_rate=16000, verbose=False, seed=1)
    assert x.shape == (2, 6, 1)


@pytest.mark.parametrize("rate", [1, 62, 4_096_001, 2**30])
def test_a_rate_that_would_take_hours_is_refused(folder, rate):
    (folder / "high" / "a.wav").write_bytes(wav(np.zeros(200), rate=rate))
    dataset = audio_dataset_from_directory(folder, sampling_rate=16000, shuffle=False, verbose=False)
    with pytest.raises(DataError, match=rf"a\.wav' has {rate} samples per second, and sampling_rate=16000"):
        dataset[0]


@pytest.mark.parametrize(("rate", "samples"), [(63, 50794), (4_096_000, 1)])
def test_the_greatest_ratios_are_resampled(folder, rate, samples):
    (folder / "high" / "a.wav").write_bytes(wav(np.full(200, 0.5), rate=rate))
    files = audio_dataset_from_directory(
        folder / "high", labels=None, batch_size=None, sampling_rate=16000, verbose=False
    )
    sound = max(files, key=lambda x: x.mean())
    assert sound.shape == (samples, 1)
    np.testing.assert_allclose(sound, 0.5, rtol=1e-5)


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"ragged": True}, ArgumentError, "leave it out"),
        ({"sampling_rate": 0}, ArgumentError, "sampling_rate must be"),
        ({"output_sequence_length": 1.5}, ArgumentError, "output_sequence_length must be"),
        ({"directory": "high", "labels": [1]}, DataError, "1 labels for the 2 WAV files"),
        ({"directory": "nowhere"}, ArgumentError, "is not a folder"),
    ],
)
def test_options_that_mean_nothing_are_refused(folder, monkeypatch, options, error, match):
    monkeypatch.chdir(folder)
    with pytest.raises(error, match=match):
        audio_dataset_from_directory(**{"directory": ".", "verbose": False, **options})


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (b"", "is not a WAV file"),
        (b"RIFF" + bytes(40), "is not a WAV file"),
        (wav(VALUES)[:-2], "bytes of samples"),
        (wav(VALUES).replace(b"\x01\x00\x01\x00", b"\x03\x00\x01\x00", 1), "unknown format: 3"),
        (wav(VALUES, channels=2), r"b.wav' has 2 channels, and .*a.wav' in the same batch 1"),
    ],
)
def test_a_broken_file_is_named(folder, data, match):
    (folder / "high" / "b.wav").write_bytes(data)
    dataset = audio_dataset_from_directory(folder, shuffle=False, verbose=False)
    with pytest.raises(DataError, match=match) as caught:
        list(dataset)
    assert "b.wav" in str(caught.value)


@settings(deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(st.integers(0, 55), st.integers(0, 255)), max_size=6), st.integers(0, 56))
def test_every_mutated_file_is_read_or_refused(tmp_path_factory, changes, length):
    path = tmp_path_factory.getbasetemp() / "mutated.wav"
    data = bytearray(wav(VALUES))
    for place, value in changes:
        data[place] = value
    path.write_bytes(data[:length])
    try:
        sound, rate = read_wav(str(path))
    except DataError:
        return
    assert sound.ndim == 2 and np.isfinite(sound).all() and rate > 0
