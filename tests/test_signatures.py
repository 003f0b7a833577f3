"""Public classes and functions show their parameters to `inspect.signature`, and so to editors and notebooks."""

from __future__ import annotations

import functools
import importlib
import inspect
import pkgutil
import warnings

import pytest

import lamella
from lamella import optimizers

VARIADIC = {
    "backend_functions.result_type": "*dtypes",
    "callbacks.CallbackList": "**params",
    "notebook.block": "*parts",
    "ops.einsum": "*operands",
    "ops.meshgrid": "*x",
    "ops.rearrange": "**axes_lengths",
    "ops.switch": "*operands",
    "utils.Config": "**kwargs",
}
"""Callables that take any number of arguments of one kind, and the parameter that takes them."""


def modules():
    yield "", lamella
    for found in pkgutil.iter_modules(lamella.__path__):
        if not found.name.startswith("_"):
            yield found.name, importlib.import_module(f"lamella.{found.name}")
    yield "optimizers.schedules", optimizers.schedules


@functools.cache
def public():
    """Name and object of every public class and function, under its first name."""
    seen = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecated modules and names
        for module, held in modules():
            listed = getattr(held, "__all__", None)
            for name in listed or [n for n in dir(held) if not n.startswith("_")]:
                made = getattr(held, name, None)
                if not listed and not getattr(made, "__module__", "").startswith(held.__name__):
                    continue  # imported by a module that lists no names
                is_error = isinstance(made, type) and issubclass(made, BaseException)
                is_protocol = getattr(made, "_is_protocol", False)
                own = getattr(made, "__module__", "").partition(".")[0] == "lamella"
                if own and not is_error and not is_protocol and (inspect.isclass(made) or inspect.isfunction(made)):
                    seen.setdefault(id(made), (f"{module}.{name}".lstrip("."), made))
    return dict(seen.values())


OPTIMIZERS = [made for name in optimizers.TABLE if (made := optimizers.TABLE[name])]


def variadic(made):
    parameters = inspect.signature(made).parameters.values()
    return [p for p in parameters if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]


def test_public_callables_name_their_parameters():
    assert len(public()) > 800
    for name, made in public().items():
        found = [str(p).partition(":")[0] for p in variadic(made)]
        if name in VARIADIC:
            assert VARIADIC[name] in found, f"{name} is in VARIADIC without need"
            continue
        # `**kwargs` are the options of `Layer`, arguments of a function, or names that earlier versions used
        assert set(found) <= {"**kwargs"}, f"{name}{inspect.signature(made)} hides arguments"
        named = len(inspect.signature(made).parameters) - len(found)
        assert named or not found, f"{name} takes nothing but **kwargs"


def test_methods_of_public_classes_name_their_parameters():
    takes_any = {"set_fit_request", "set_params", "to_json"}
    for name, made in public().items():
        for attribute in dir(made) if isinstance(made, type) else ():
            method = inspect.getattr_static(made, attribute)
            if not attribute.startswith("_") and inspect.isfunction(method) and attribute not in takes_any:
                parameters = [p for p in inspect.signature(method).parameters.values() if p.name != "self"]
                hidden = [p for p in parameters if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
                assert not hidden or len(hidden) < len(parameters), f"{name}.{attribute}({', '.join(map(str, hidden))})"


@pytest.mark.parametrize("made", OPTIMIZERS, ids=lambda made: made.__name__)
def test_optimizers_name_the_options_of_the_base_in_its_order(made):
    shared = inspect.signature(optimizers.Optimizer).parameters
    common = list(optimizers.base.COMMON)
    parameters = inspect.signature(made).parameters
    assert next(iter(parameters)) == "learning_rate"
    assert [name for name in parameters if name in common[1:]] == common[1:]
    decayed = made.__name__ in ("AdamW", "Muon")
    for name in common:
        default = 0.004 if name == "weight_decay" and decayed else shared[name].default
        assert parameters[name].default == default, name
        assert parameters[name].annotation == shared[name].annotation, name
    assert list(common) == [name for name in shared if name not in ("learning_rate", "kwargs")]


@pytest.mark.parametrize("made", OPTIMIZERS, ids=lambda made: made.__name__)
def test_options_given_by_position_and_by_name_are_the_same(made):
    values = {
        "weight_decay": 0.1, "clipnorm": None, "clipvalue": 2.0, "global_clipnorm": None, "use_ema": True,
        "ema_momentum": 0.5, "ema_overwrite_frequency": 3, "loss_scale_factor": 4.0, "gradient_accumulation_steps": 5,
        "name": "some",
    }  # fmt: skip
    assert list(values) == list(optimizers.base.COMMON)
    by_name = made(0.25, **values)
    parameters = [p for p in inspect.signature(made).parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    by_position = made(0.25, *[values.get(p.name, p.default) for p in parameters[1:]])
    assert by_name.get_config() == by_position.get_config()
    assert by_name.learning_rate == 0.25
    for name, value in values.items():
        assert getattr(by_name, name) == value, name


@pytest.mark.parametrize("made", OPTIMIZERS, ids=lambda made: made.__name__)
def test_the_default_learning_rate_is_in_the_signature(made):
    shown = inspect.signature(made).parameters["learning_rate"].default
    assert shown == made.default_learning_rate == made().learning_rate == made(None).learning_rate


@pytest.mark.parametrize("made", OPTIMIZERS, ids=lambda made: made.__name__)
def test_earlier_spellings_still_work_and_unknown_ones_name_the_nearest(made):
    with pytest.warns(DeprecationWarning, match="learning_rate"):
        assert made(lr=0.5).learning_rate == 0.5
    with pytest.warns(DeprecationWarning, match="InverseTimeDecay"):
        assert made(learning_rate=0.5, decay=1.0).schedule is not None
    with pytest.raises(TypeError, match=f"{made.__name__} has no argument 'clipnrom': did you mean 'clipnorm'"):
        made(clipnrom=1.0)
