"""Keras's layers that lamella does not have, and what to say about each."""

from __future__ import annotations

_TEXT = "works on text or looks words up, which lamella leaves to the code that prepares the data"
_SPECTROGRAM = "makes spectrograms, for which lamella has no Fourier transform"
_IMAGE = (
    "is an image layer that lamella does not have; apply such changes where the data is prepared, or write a `Layer`"
)
_FOREIGN = "wraps another framework's function, which no other backend could run; write a `Layer` in `lamella.ops`"

ABSENT: dict[str, str] = {
    **dict.fromkeys(("TextVectorization", "StringLookup", "IntegerLookup", "Hashing", "HashedCrossing"), _TEXT),
    **dict.fromkeys(("MelSpectrogram", "STFTSpectrogram"), _SPECTROGRAM),
    **dict.fromkeys(
        (
            "AugMix", "AutoContrast", "ContrastLimitedAdaptiveHistogramEqualization", "CutMix", "Equalization",
            "MaxNumBoundingBoxes", "MixUp", "RandAugment", "RandomColorDegeneration", "RandomColorJitter",
            "RandomElasticTransform", "RandomErasing", "RandomGaussianBlur", "RandomGrayscale", "RandomHue",
            "RandomInvert", "RandomPerspective", "RandomPosterization", "RandomSaturation", "RandomSharpness",
            "RandomShear", "Solarization",
        ),
        _IMAGE,
    ),
    **dict.fromkeys(("JaxLayer", "FlaxLayer", "TorchModuleWrapper", "TFSMLayer"), _FOREIGN),
    "Pipeline": "is a chain of preprocessing layers; a `Sequential` is one, too",
    "ReversibleEmbedding": "needs a second argument in its call, which a Sequential cannot give; write a `Layer`",
    # gone from Keras itself
    "ThresholdedReLU": "is gone from Keras; write ReLU(threshold=theta)",
    "TimeDistributedDense": "is gone from Keras; Dense works on the last axis of any shape",
    "Merge": "is gone from Keras; join inputs inside the `call` of a `Layer` with `lamella.ops`",
    "CuDNNLSTM": "is gone from Keras; write LSTM",
    "CuDNNGRU": "is gone from Keras; write GRU",
    **dict.fromkeys(
        ("Highway", "LocallyConnected1D", "LocallyConnected2D", "MaxoutDense", "ParametricSoftplus", "SReLU"),
        "is gone from Keras, and a few lines as a `Layer`",
    ),
}  # fmt: skip
"""For each name what it is, to follow the name in a sentence."""


def refusal(name: str) -> ImportError | None:
    """Why there is no layer of this name, where Keras has, or had, one: `from lamella.layers import` shows the error."""
    return ImportError(f"lamella.layers has no {name}: it {ABSENT[name]}.") if name in ABSENT else None
