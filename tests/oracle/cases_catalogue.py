"""The catalogue: layers beyond those of `cases_layers.py`, each with a spread of its options."""

from __future__ import annotations

from .cases_images import IMAGES
from .cases_windows import CONVOLUTION, DEPTHWISE, FIRST, POOLING, TRANSPOSED, row, rows, stack
from .rows import ELEMENTWISE, EXACT, LayerCase

RESHAPING = (
    *rows(
        "permute", "Permute",
        ("2-1", {"dims": (2, 1)}, (2, 3, 4)),
        ("3-1-2", {"dims": (3, 1, 2)}, (2, 3, 4, 2)),
        ("1", {"dims": (1,)}, (2, 3)),
    ),
    row("permute-int32", "Permute", {"dims": (2, 1)}, (2, 3, 2), input_dtype="int32"),
    *rows("repeat-vector", "RepeatVector", ("3", {"n": 3}, (2, 4)), ("1", {"n": 1}, (2, 4))),
    *rows(
        "cropping1d", "Cropping1D",
        ("default", {}, (2, 5, 3)),
        ("2", {"cropping": 2}, (2, 6, 2)),
        ("0-2", {"cropping": (0, 2)}, (2, 5, 2)),
        ("3-0", {"cropping": (3, 0)}, (2, 5, 2)),
    ),
    *rows(
        "cropping2d", "Cropping2D",
        ("default", {}, (2, 4, 5, 2)),
        ("1", {"cropping": 1}, (2, 4, 5, 2)),
        ("1-2", {"cropping": (1, 2)}, (2, 4, 6, 2)),
        ("pairs", {"cropping": ((1, 0), (0, 2))}, (2, 4, 5, 2)),
        ("channels-first", {"cropping": ((1, 2), (1, 1)), **FIRST}, (2, 2, 5, 4)),
    ),
    *rows(
        "cropping3d", "Cropping3D",
        ("default", {}, (1, 4, 3, 5, 2)),
        ("1-0-2", {"cropping": (1, 0, 2)}, (1, 4, 3, 5, 2)),
        ("pairs", {"cropping": ((1, 0), (0, 2), (1, 1))}, (1, 4, 3, 5, 2)),
        ("channels-first", {"cropping": 1, **FIRST}, (1, 2, 4, 3, 5)),
    ),
    *rows(
        "zero-padding1d", "ZeroPadding1D",
        ("default", {}, (2, 4, 2)),
        ("2", {"padding": 2}, (2, 4, 2)),
        ("0-3", {"padding": (0, 3)}, (2, 4, 2)),
        ("channels-first", {"padding": (2, 1), **FIRST}, (2, 2, 4)),
    ),
    *rows(
        "zero-padding2d", "ZeroPadding2D",
        ("default", {}, (2, 3, 4, 2)),
        ("2", {"padding": 2}, (2, 3, 4, 2)),
        ("1-2", {"padding": (1, 2)}, (2, 3, 4, 2)),
        ("pairs", {"padding": ((0, 1), (2, 0))}, (2, 3, 4, 2)),
        ("channels-first", {"padding": ((1, 0), (2, 1)), **FIRST}, (2, 2, 3, 4)),
    ),
    *rows(
        "zero-padding3d", "ZeroPadding3D",
        ("default", {}, (1, 2, 3, 2, 2)),
        ("1-0-2", {"padding": (1, 0, 2)}, (1, 2, 3, 2, 2)),
        ("pairs", {"padding": ((0, 1), (2, 0), (1, 1))}, (1, 2, 3, 2, 2)),
        ("channels-first", {"padding": 1, **FIRST}, (1, 2, 2, 3, 2)),
    ),
    *rows("up-sampling1d", "UpSampling1D", ("default", {}, (2, 4, 2)), ("3", {"size": 3}, (2, 4, 2))),
    *rows(
        "up-sampling2d", "UpSampling2D",
        ("default", {}, (2, 3, 4, 2)),
        ("2x3", {"size": (2, 3)}, (2, 3, 4, 2)),
        ("channels-first", {"size": 2, **FIRST}, (2, 2, 3, 4)),
        *(
            (f"{method}{suffix}", {"interpolation": method, **kwargs}, shape)
            for method in ("bilinear", "bicubic", "lanczos3", "lanczos5")
            for suffix, kwargs, shape in (
                ("", {}, (2, 4, 3, 2)),
                ("-3x1-channels-first", {"size": (3, 1), **FIRST}, (1, 2, 6, 5)),
            )
        ),
    ),
    *rows(
        "up-sampling3d", "UpSampling3D",
        ("default", {}, (1, 2, 3, 2, 2)),
        ("2x1x3", {"size": (2, 1, 3)}, (1, 2, 3, 2, 2)),
        ("channels-first", {"size": (1, 2, 2), **FIRST}, (1, 2, 2, 3, 2)),
    ),
)  # fmt: skip

CORE = (
    row("identity", "Identity", {}, (2, 3)),
    row("identity-int32", "Identity", {}, (2, 3), input_dtype="int32"),
    *rows(
        "einsum-dense", "EinsumDense",
        ("dense", {"equation": "ab,bc->ac", "output_shape": 4, "bias_axes": "c"}, (5, 3)),
        ("no-bias", {"equation": "ab,bc->ac", "output_shape": (4,)}, (5, 3)),
        ("rank-3", {"equation": "abc,cd->abd", "output_shape": (None, 4), "bias_axes": "d"}, (2, 5, 3)),
        ("heads", {"equation": "abc,cde->abde", "output_shape": (None, 2, 4), "bias_axes": "de"}, (2, 5, 3)),
        ("heads-bias-d", {"equation": "abc,cde->abde", "output_shape": (None, 2, 4), "bias_axes": "d"}, (2, 5, 3)),
        ("heads-merged", {"equation": "abcd,cde->abe", "output_shape": (None, 4), "bias_axes": "e"}, (2, 3, 2, 4)),
        ("along-time", {"equation": "abc,bd->adc", "output_shape": (4, 3), "bias_axes": "dc"}, (2, 5, 3)),
        ("leading-dots", {"equation": "...x,xy->...y", "output_shape": 4, "bias_axes": "y"}, (2, 3, 2, 3)),
        ("trailing-dots", {"equation": "ab...,bc->ac...", "output_shape": 4, "bias_axes": "c"}, (2, 3, 2, 3)),
        ("relu", {"equation": "ab,bc->ac", "output_shape": 4, "bias_axes": "c", "activation": "relu"}, (5, 3)),
    ),
    row("embedding", "Embedding", {"input_dim": 6, "output_dim": 3}, (3, 4), input_dtype="int32",
         x_values=(0, 1, 2, 5, 3, 3, 3, 0, 4, 1, 5, 2), tolerance=1e-7, reason=EXACT),
    row("embedding-rank-1", "Embedding", {"input_dim": 4, "output_dim": 2}, (5,), input_dtype="int32",
         x_values=(0, 3, 1, 3, 2), tolerance=1e-7, reason=EXACT),
    row("embedding-rank-3", "Embedding", {"input_dim": 4, "output_dim": 2}, (2, 2, 3), input_dtype="int32",
         x_values=(0, 3, 1, 3, 2, 2, 1, 1, 0, 0, 3, 2), tolerance=1e-7, reason=EXACT),
    row("embedding-mask-zero", "Embedding", {"input_dim": 4, "output_dim": 2, "mask_zero": True}, (2, 3),
         input_dtype="int32", x_values=(0, 3, 1, 2, 0, 0), tolerance=1e-7, reason=EXACT),
    stack("stack-embedding-mask-lstm",
           (("Embedding", {"input_dim": 4, "output_dim": 3, "mask_zero": True}), ("LSTM", {"units": 2})), (3, 5),
           input_dtype="int32", x_values=(1, 2, 3, 0, 0, 3, 0, 1, 2, 0, 2, 2, 1, 3, 1)),
    stack("stack-embedding-spatial-dropout1d-conv1d",
           (("Embedding", {"input_dim": 4, "output_dim": 3}), ("SpatialDropout1D", {"rate": 0.3}),
            ("Conv1D", {"filters": 2, "kernel_size": 3, "padding": "causal"}), ("GlobalMaxPooling1D", {})), (3, 5),
           input_dtype="int32", training="random", x_values=(1, 2, 3, 0, 0, 3, 0, 1, 2, 0, 2, 2, 1, 3, 1)),
    row("activity-regularization", "ActivityRegularization", {"l1": 0.1, "l2": 0.2}, (3, 4)),
)  # fmt: skip

REGULARIZATION = tuple(
    row(f"{id}{suffix}", name, kwargs, shape, training=training)
    for suffix, training, rate in (("", "random", 0.3), ("-rate-0", "same", 0.0))
    for id, name, kwargs, shape in (
        ("spatial-dropout1d", "SpatialDropout1D", {"rate": rate}, (3, 4, 2)),
        ("spatial-dropout2d", "SpatialDropout2D", {"rate": rate}, (2, 3, 4, 2)),
        ("spatial-dropout2d-channels-first", "SpatialDropout2D", {"rate": rate, **FIRST}, (2, 2, 3, 4)),
        ("spatial-dropout3d", "SpatialDropout3D", {"rate": rate}, (2, 3, 2, 2, 2)),
        ("spatial-dropout3d-channels-first", "SpatialDropout3D", {"rate": rate, **FIRST}, (2, 2, 3, 2, 2)),
        ("alpha-dropout", "AlphaDropout", {"rate": rate}, (4, 5)),
        ("alpha-dropout-noise-shape", "AlphaDropout", {"rate": rate, "noise_shape": (4, 1, 3)}, (4, 5, 3)),
        ("gaussian-dropout", "GaussianDropout", {"rate": rate}, (4, 5)),
        ("gaussian-noise", "GaussianNoise", {"stddev": rate}, (4, 5)),
    )
)

ACTIVATION = (
    *rows("leaky-relu", "LeakyReLU", ("default", {}, (4, 6)), ("slope", {"negative_slope": 0.05}, (4, 6))),
    *rows("elu", "ELU", ("default", {}, (4, 6)), ("alpha", {"alpha": 0.4}, (4, 6)), tolerance=2e-6, reason=ELEMENTWISE),
    *rows(
        "p-relu", "PReLU",
        ("rank-2", {}, (4, 3)),
        ("rank-4", {}, (2, 3, 4, 2)),
        ("shared-axes", {"shared_axes": [1, 2]}, (2, 3, 4, 2)),
        ("shared-axis", {"shared_axes": 1}, (2, 3, 4)),
        ("initializer", {"alpha_initializer": "ones"}, (4, 3)),
    ),
    *rows("softmax", "Softmax", ("axes", {"axis": (1, 2)}, (2, 3, 4)), ("axis-tuple", {"axis": (-1,)}, (2, 3))),
    row("softmax-mask", "Softmax", {}, (4, 6), mask="holes"),
    *(
        row(f"kink-{name.lower()}", name, kwargs, (1, 3), x_values=(-1.0, 0.0, 1.0), tolerance=2e-7, reason=EXACT)
        for name, kwargs in (("LeakyReLU", {"negative_slope": 0.25}), ("ELU", {"alpha": 0.5}), ("PReLU", {}))
    ),
)  # fmt: skip

NORMALIZATION = (
    *rows(
        "layer-normalization", "LayerNormalization",
        ("rank-2", {}, (4, 6)),
        ("rank-3", {}, (2, 4, 5)),
        ("axis-1", {"axis": 1}, (3, 4, 2)),
        ("axes", {"axis": (1, 2)}, (3, 4, 2)),
        ("axes-unsorted", {"axis": [3, 1]}, (2, 3, 2, 4)),
        ("axes-negative", {"axis": (-2, -1)}, (2, 3, 4)),
        ("epsilon", {"epsilon": 0.1}, (4, 6)),
        ("no-center", {"center": False}, (4, 6)),
        ("no-scale", {"scale": False}, (4, 6)),
        ("no-center-no-scale", {"center": False, "scale": False}, (4, 6)),
    ),
    *rows(
        "group-normalization", "GroupNormalization",
        ("rank-4", {"groups": 2}, (2, 3, 4, 4)),
        ("rank-3", {"groups": 3}, (2, 5, 6)),
        ("rank-2", {"groups": 2}, (4, 6)),
        ("one-group", {"groups": 1}, (2, 3, 4)),
        ("instance", {"groups": -1}, (2, 3, 4, 2)),
        ("default-groups", {}, (2, 3, 32)),
        ("axis-1", {"groups": 2, "axis": 1}, (2, 4, 3, 2)),
        ("axis-minus-2", {"groups": 2, "axis": -2}, (2, 3, 4, 2)),
        ("epsilon", {"groups": 2, "epsilon": 0.1}, (2, 3, 4)),
        ("no-center", {"groups": 2, "center": False}, (2, 3, 4)),
        ("no-scale", {"groups": 2, "scale": False}, (2, 3, 4)),
    ),
    *rows(
        "rms-normalization", "RMSNormalization",
        ("rank-2", {}, (4, 6)),
        ("rank-3", {}, (2, 4, 5)),
        ("axes", {"axis": (1, 2)}, (2, 4, 3)),
        ("epsilon", {"epsilon": 0.1}, (4, 6)),
    ),
    *rows(
        "unit-normalization", "UnitNormalization",
        ("rank-2", {}, (4, 6)),
        ("axis-1", {"axis": 1}, (2, 4, 5)),
        ("axes", {"axis": (1, 2)}, (2, 4, 5)),
    ),
    *(
        row(f"spectral-normalization-{id}", "SpectralNormalization", kwargs, shape, training="differs",
             wraps=(name, options))
        for id, kwargs, shape, name, options in (
            ("dense", {}, (5, 3), "Dense", {"units": 4}),
            ("dense-3-iterations", {"power_iterations": 3}, (5, 3), "Dense", {"units": 4, "activation": "relu"}),
            ("conv2d", {}, (2, 4, 4, 2), "Conv2D", {"filters": 3, "kernel_size": 2}),
        )
    ),
    *rows(
        "batch-normalization", "BatchNormalization",
        ("renorm", {"renorm": True}, (8, 4)),
        ("renorm-clipping", {"renorm": True, "renorm_clipping": {"rmin": 0.8, "rmax": 1.1, "dmax": 0.2}}, (8, 4)),
        ("renorm-no-scale", {"renorm": True, "scale": False, "renorm_momentum": 0.5}, (3, 4, 2)),
        ("renorm-no-center", {"renorm": True, "center": False, "axis": 1}, (3, 2, 4)),
        training="differs",
    ),
    row("batch-normalization-mask", "BatchNormalization", {}, (4, 6, 3), training="differs", mask="holes"),
)  # fmt: skip

PREPROCESSING = (
    *rows(
        "rescaling", "Rescaling",
        ("scale", {"scale": 0.5}, (3, 4)),
        ("offset", {"scale": 2.0, "offset": -1.0}, (3, 4)),
        ("lists", {"scale": [0.5, 2.0], "offset": [0.1, 0.2]}, (3, 4, 2)),
    ),
    row("rescaling-int32", "Rescaling", {"scale": 1 / 255}, (3, 4), input_dtype="int32"),
    *rows(
        "normalization", "Normalization",
        ("given", {"mean": 1.0, "variance": 4.0}, (4, 3)),
        ("given-list", {"mean": [1.0, 2.0, 3.0], "variance": [4.0, 1.0, 0.25]}, (4, 3)),
        ("given-invert", {"mean": 1.0, "variance": 4.0, "invert": True}, (4, 3)),
        ("given-no-axis", {"axis": None, "mean": 1.0, "variance": 4.0}, (4, 3)),
        ("given-zero-variance", {"mean": 1.0, "variance": 0.0}, (4, 3)),
    ),
    *(
        row(f"normalization-adapt-{id}", "Normalization", kwargs, shape, adapt=data)
        for id, kwargs, shape, data in (
            ("default", {}, (4, 3), (20, 3)),
            ("rank-4", {}, (2, 3, 4, 2), (5, 3, 4, 2)),
            ("no-axis", {"axis": None}, (4, 3), (20, 3)),
            ("axis-1", {"axis": 1}, (2, 3, 4), (10, 3, 4)),
            ("axes", {"axis": (1, 2)}, (2, 3, 4), (10, 3, 4)),
            ("invert", {"invert": True}, (4, 3), (20, 3)),
        )
    ),
    *rows(
        "discretization", "Discretization",
        ("int", {"bin_boundaries": [-1.0, 0.0, 0.5]}, (4, 5)),
        ("one-hot", {"bin_boundaries": [-1.0, 0.0], "output_mode": "one_hot"}, (4, 2)),
        ("one-hot-column", {"bin_boundaries": [-1.0, 0.0], "output_mode": "one_hot"}, (4, 1)),
        ("multi-hot", {"bin_boundaries": [-1.0, 0.0, 1.0], "output_mode": "multi_hot"}, (4, 3)),
        ("count", {"bin_boundaries": [-1.0, 0.0, 1.0], "output_mode": "count"}, (4, 5)),
    ),
    row("discretization-edges", "Discretization", {"bin_boundaries": [-1.0, 0.0, 0.5]}, (1, 5),
         x_values=(-1.0, 0.0, 0.5, -2.0, 3.0), tolerance=1e-7, reason=EXACT),
    row("discretization-int32", "Discretization", {"bin_boundaries": [-1.0, 0.0, 2.0]}, (4, 5), input_dtype="int32"),
    *(
        row(f"discretization-adapt-{id}", "Discretization", kwargs, (4, 5), adapt=data)
        for id, kwargs, data in (
            ("4", {"num_bins": 4}, (30,)),
            ("3-rank-2", {"num_bins": 3, "output_mode": "one_hot"}, (20, 11)),
            ("5-epsilon", {"num_bins": 5, "epsilon": 0.1}, (100, 3)),
        )
    ),
    *(
        row(f"category-encoding-{id}", "CategoryEncoding", {"num_tokens": 4, **kwargs}, shape, input_dtype="int32",
             x_values=values, tolerance=1e-7, reason=EXACT)
        for id, kwargs, shape, values in (
            ("multi-hot", {}, (2, 3), (0, 3, 1, 2, 2, 0)),
            ("count", {"output_mode": "count"}, (2, 3), (0, 3, 3, 2, 2, 2)),
            ("one-hot", {"output_mode": "one_hot"}, (3,), (0, 3, 1)),
            ("one-hot-column", {"output_mode": "one_hot"}, (3, 1), (2, 3, 1)),
            ("one-hot-rank-2", {"output_mode": "one_hot"}, (2, 2), (2, 3, 1, 0)),
        )
    ),
    *rows(
        "resizing", "Resizing",
        *(
            (f"{method}{suffix}", {"height": height, "width": width, "interpolation": method, **kwargs}, shape)
            for method in ("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5")
            for suffix, height, width, kwargs, shape in (
                ("", 5, 7, {}, (2, 3, 4, 2)),
                ("-smaller", 3, 2, {}, (1, 7, 5, 2)),
            )
        ),
        ("antialias", {"height": 3, "width": 2, "antialias": True}, (2, 7, 6, 2)),
        ("bicubic-antialias", {"height": 3, "width": 4, "antialias": True, "interpolation": "bicubic"}, (1, 7, 9, 2)),
        ("crop", {"height": 4, "width": 4, "crop_to_aspect_ratio": True}, (2, 3, 6, 2)),
        ("pad", {"height": 4, "width": 4, "pad_to_aspect_ratio": True}, (2, 3, 6, 2)),
        ("pad-value", {"height": 4, "width": 6, "pad_to_aspect_ratio": True, "fill_value": 2.0, "fill_mode": "constant"},
         (1, 6, 3, 2)),
        ("channels-first", {"height": 5, "width": 3, **FIRST}, (2, 2, 4, 4)),
        ("one-image", {"height": 5, "width": 3}, (4, 4, 2)),
    ),
    row("resizing-int32", "Resizing", {"height": 5, "width": 7}, (2, 3, 4, 2), input_dtype="int32"),
    *rows(
        "center-crop", "CenterCrop",
        ("3x2", {"height": 3, "width": 2}, (2, 6, 5, 2)),
        ("channels-first", {"height": 3, "width": 2, **FIRST}, (2, 2, 6, 5)),
        ("too-small", {"height": 4, "width": 6}, (2, 6, 5, 2)),
        ("one-image", {"height": 3, "width": 3}, (5, 4, 2)),
    ),
)  # fmt: skip

CATALOGUE: tuple[LayerCase, ...] = (
    *CONVOLUTION,
    *TRANSPOSED,
    *DEPTHWISE,
    *POOLING,
    *RESHAPING,
    *CORE,
    *REGULARIZATION,
    *ACTIVATION,
    *NORMALIZATION,
    *PREPROCESSING,
    *IMAGES,
)
