"""The valid values of every field of a configuration: a check per name, which returns the value or raises.

The checks bound types and sizes; the layer checks the meaning of a value.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from lamella.errors import FormatError
from lamella.ir.spec import DTYPES
from lamella.names import LABEL, PATH_PART, is_label, is_path_part, shown

Check = Callable[[Any, str], Any]

LARGEST_INTEGER = 2**31 - 1
_POLICIES = (*DTYPES, "mixed_bfloat16", "mixed_float16")


def wrong(value: Any, place: str, expected: str) -> FormatError:
    """Return the error for an unexpected value at a place."""
    return FormatError(f"{place} is {expected}, got {shown(value)}.")


def optional(check: Check) -> Check:
    """`check`, or None."""
    return lambda value, place: None if value is None else check(value, place)


def either(expected: str, *checks: Check) -> Check:
    """The first of `checks` that takes the value."""

    def checked(value: Any, place: str) -> Any:
        for check in checks:
            try:
                return check(value, place)
            except FormatError:
                continue
        raise wrong(value, place, expected)

    return checked


def flag(value: Any, place: str) -> bool:
    """True or False."""
    if not isinstance(value, bool):
        raise wrong(value, place, "true or false")
    return value


def option(value: Any, place: str) -> bool:
    """True or False of a layer, which scripts for Keras 2 could give as 1 and 0."""
    return flag(bool(value) if value in (0, 1) and isinstance(value, int) else value, place)


def integer(value: Any, place: str) -> int:
    """An integer of 32 bits."""
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > LARGEST_INTEGER:
        raise wrong(value, place, f"an integer up to {LARGEST_INTEGER:,}")
    return value


def seed(value: Any, place: str) -> int:
    """An integer of 64 bits, with a sign or without."""
    if isinstance(value, bool) or not isinstance(value, int) or not -(2**63) <= value < 2**64:
        raise wrong(value, place, "an integer of 64 bits")
    return value


def number(value: Any, place: str) -> float | int:
    """A finite number, also as Keras 2 described a scalar of NumPy's."""
    if isinstance(value, dict):
        held = value.get("config") if value.get("class_name") == "__numpy__" else value
        value = held.get("value", value) if isinstance(held, dict) and {"dtype", "type"} & set(held) else value
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise wrong(value, place, "a finite number")
    return value


def text(value: Any, place: str) -> str:
    """A short string that can be written again."""
    if not is_label(value):
        raise wrong(value, place, LABEL)
    return value


def name(value: Any, place: str) -> str:
    """The name of a layer: no path."""
    if not is_path_part(value):
        raise wrong(value, place, PATH_PART)
    return value


def listed(check: Check, longest: int = 64) -> Check:
    """A list of at most `longest` entries."""

    def checked(value: Any, place: str) -> list[Any]:
        if not isinstance(value, list | tuple) or len(value) > longest:
            raise wrong(value, place, f"a list of at most {longest} entries")
        return [check(item, f"{place}[{i}]") for i, item in enumerate(value)]

    return checked


def numbers(value: Any, place: str) -> Any:
    """A number, or lists of numbers of one length, nested at most four deep."""

    def nested(item: Any, depth: int) -> Any:
        if isinstance(item, list) and depth:
            return [nested(entry, depth - 1) for entry in item]
        return number(item, place)

    found = nested(value, 4)
    if not _rectangular(found):
        raise wrong(value, place, "a number or an array of numbers")
    return found


def _rectangular(value: Any) -> bool:
    def shape(item: Any) -> tuple[int, ...] | None:
        if not isinstance(item, list):
            return ()
        inner = {shape(entry) for entry in item}
        if len(inner) > 1 or None in inner:
            return None
        return (len(item), *(inner.pop() if inner else ()))  # type: ignore[misc]

    return shape(value) is not None


def policy(value: Any, place: str) -> str:
    """The name of a dtype policy, also where it is described by a dict."""
    if isinstance(value, dict):
        if value.get("class_name") not in ("DTypePolicy", "Policy") or not isinstance(value.get("config"), dict):
            raise wrong(value, place, "a dtype policy that lamella has")
        value = value["config"].get("name")
    if value not in _POLICIES:
        raise wrong(value, place, f"one of the dtype policies {', '.join(_POLICIES)}")
    return value


_ints = either("an integer or a list of integers", integer, listed(integer))
_dimensions = either("an integer or a list of integers and null", integer, listed(optional(integer)))
_widths = either(
    "an integer, a list of integers, or a list of pairs", integer, listed(integer), listed(listed(integer))
)

FIELDS: dict[str, Check] = {
    **dict.fromkeys(
        (
            "use_bias", "center", "scale", "keepdims", "mask_zero", "unit_forget_bias", "reset_after", "return_sequences",
            "return_state", "go_backwards", "stateful", "unroll", "zero_output_for_mask", "renorm", "rms_scaling",
            "invert", "synchronized", "antialias", "crop_to_aspect_ratio", "pad_to_aspect_ratio", "trainable",
            "normalize", "use_scale", "use_gate",
        ),
        option,
    ),
    **dict.fromkeys(
        (
            "units", "filters", "groups", "depth_multiplier", "height", "width", "input_dim", "output_dim", "n",
            "num_tokens", "num_heads", "key_dim", "head_dim", "num_key_value_heads", "num_query_heads",
            "power_iterations",
        ),
        integer,
    ),
    **dict.fromkeys(("value_dim", "num_bins", "sliding_window"), optional(integer)),
    "seed": optional(seed),
    **dict.fromkeys(
        ("alpha", "epsilon", "fill_value", "l1", "l2", "mask_value", "momentum", "negative_slope", "rate", "stddev",
         "dropout", "recurrent_dropout", "renorm_momentum", "threshold"),
        number,
    ),
    "max_value": optional(number),
    **dict.fromkeys(("kernel_size", "strides", "pool_size", "dilation_rate", "size"), optional(_ints)),
    **dict.fromkeys(("axis", "axes", "shared_axes", "attention_axes", "output_padding"), optional(_ints)),
    **dict.fromkeys(("dims", "target_shape"), listed(integer)),
    **dict.fromkeys(("output_shape", "output_size", "noise_shape"), optional(_dimensions)),
    "cropping": _widths,
    "bin_boundaries": optional(listed(number, longest=100_000)),
    **dict.fromkeys(("mean", "variance", "offset", "factor", "height_factor", "width_factor"), optional(numbers)),
    "value_range": listed(number),
    "mode": text,
    **dict.fromkeys(("padding", "interpolation", "fill_mode", "output_mode", "equation", "score_mode"), text),
    **dict.fromkeys(("data_format", "merge_mode", "bias_axes"), optional(text)),
    "name": optional(name),
    "dtype": optional(policy),
    "use_cudnn": either("true, false or 'auto'", flag, text),
    "flash_attention": optional(flag),
    "renorm_clipping": optional(lambda value, place: _clipping(value, place)),
}  # fmt: skip
"""The check of every plain field, by name; objects and layers are checked in `checking`."""

OF_CLASS: dict[tuple[str, str], Check] = {
    ("Rescaling", "scale"): numbers,
    ("Rescaling", "offset"): numbers,
    **{(f"ZeroPadding{n}D", "padding"): _widths for n in (1, 2, 3)},
    ("Concatenate", "axis"): integer,
}
"""Fields that mean something else in one class than elsewhere."""

NEUTRAL: dict[str, tuple[Any, ...]] = {
    "quantization_config": (None,),
    "lora_rank": (None,),
    "lora_alpha": (None,),
    "gptq_unpacked_column_size": (None,),
    "sparse": (False,),
    "ragged": (False,),
    "optional": (False,),
    "time_major": (False,),
    "autocast": (True,),
    "groups": (1,),
    "noise_shape": (None,),
}
"""Fields of Keras that lamella does not support, and their values without effect: others are rejected."""

MEANINGLESS = frozenset(
    ("implementation", "input_length", "batch_input_shape", "virtual_batch_size", "fused", "jit_compile",
     "is_legacy_optimizer")
)  # fmt: skip
"""Fields of Keras 2 that select an implementation, or that are read elsewhere: ignored."""


def _clipping(value: Any, place: str) -> Mapping[str, Any]:
    if not isinstance(value, dict) or not set(value) <= {"rmin", "rmax", "dmax"}:
        raise wrong(value, place, "an object of rmin, rmax and dmax")
    return {key: number(item, place) for key, item in value.items()}


def batch_shape(value: Any, place: str) -> tuple[int | None, ...]:
    """The shape of a batch: null where a dimension is free, else positive."""
    dims = tuple(listed(optional(integer), longest=32)(value, place))
    if not dims or any(d is not None and d < 1 for d in dims):
        raise wrong(value, place, "a shape of positive integers and null")
    return dims
