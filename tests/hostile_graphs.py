"""Descriptions of graphs that were made to hurt whoever opens them."""

from __future__ import annotations

import json
from typing import Any

from hostile_files import layer

Config = dict[str, Any]


def value(name: str, number: Any = 0, place: Any = 0) -> Config:
    return {"class_name": "__keras_tensor__", "config": {"keras_history": [name, number, place]}}


def call(*args: Any, **kwargs: Any) -> Config:
    return {"args": list(args), "kwargs": kwargs}


def entry(name: str, kind: str, config: Config, *calls: Any, module: str = "keras.layers") -> Config:
    return {**layer(kind, {"name": name, **config}, module), "name": name, "inbound_nodes": list(calls)}


def given(name: str = "i", shape: Any = (None, 4)) -> Config:
    return entry(name, "InputLayer", {"batch_shape": list(shape), "dtype": "float32"})


def dense(name: str, *calls: Any, units: int = 4) -> Config:
    return entry(name, "Dense", {"units": units}, *calls)


def operation(name: str, kind: str, config: Config, *calls: Any, module: str = "keras.src.ops.numpy") -> Config:
    return entry(name, kind, config, *calls, module=module)


def graph(*layers: Config, inputs: Any = ("i", 0, 0), outputs: Any = ("d", 0, 0), **more: Any) -> Config:
    ends = {"input_layers": _listed(inputs), "output_layers": _listed(outputs)}
    config = {"name": "g", "trainable": True, "layers": list(layers), **ends}
    return {**layer("Functional", config, "keras.src.models.functional", "Functional"), **more}


def _listed(ends: Any) -> Any:
    return list(ends) if isinstance(ends, tuple) else ends


def deep(depth: int) -> Any:
    found: Any = value("i")
    for _ in range(depth):
        found = [found]
    return found


SOUND = graph(given(), dense("d", call(value("i"))))


def broken() -> dict[str, Any]:
    """Graphs that are wrong, by what is wrong with them."""
    i = given()
    one = dense("d", call(value("i")))
    return {
        "a layer fed by its own output": graph(i, dense("d", call(value("d")))),
        "a layer fed by its second output": graph(i, dense("d", call(value("d", 1)), call(value("i")))),
        "a cycle": graph(i, dense("a", call(value("d"))), dense("d", call(value("a")))),
        "a cycle of many": graph(i, *[dense(f"a{n}", call(value(f"a{(n + 1) % 999}"))) for n in range(999)], one),
        "a layer that is not there": graph(i, dense("d", call(value("nobody")))),
        "an output that is not there": graph(i, one, outputs=("nobody", 0, 0)),
        "an input that is not there": graph(i, one, inputs=("nobody", 0, 0)),
        "a wrong number of a call": graph(i, dense("a", call(value("i"))), dense("d", call(value("a", 5)))),
        "a negative number of a call": graph(i, dense("d", call(value("i", -1)))),
        "a large number of a call": graph(i, dense("d", call(value("i", 2**63)))),
        "a fraction for the number of a call": graph(i, dense("d", call(value("i", 0.5)))),
        "a wrong place": graph(i, dense("d", call(value("i", 0, 1)))),
        "a wrong place of an output": graph(i, one, outputs=("d", 0, 1)),
        "a wrong number of an output": graph(i, one, outputs=("d", 1, 0)),
        "a layer that is never called": graph(i, one, dense("e")),
        "an input that is called": graph(entry("i", "InputLayer", {"batch_shape": [None, 4]}, call(value("i"))), one),
        "an input that reaches nothing": graph(i, given("j"), one, inputs=[["i", 0, 0], ["j", 0, 0]]),
        "an output of another input": graph(i, given("j"), dense("d", call(value("j")))),
        "two layers of one name": graph(i, one, dense("d", call(value("i")))),
        "an input twice": graph(i, one, inputs=[["i", 0, 0], ["i", 0, 0]]),
        "no layers": graph(),
        "layers that are none": graph(i, one) | {"config": {**SOUND["config"], "layers": [1, 2]}},
        "calls that are none": graph(i, {**one, "inbound_nodes": 7}),
        "a call that is none": graph(i, dense("d", 7)),
        "an empty call of Keras 2": graph(i, dense("d", [])),
        "a short call of Keras 2": graph(i, dense("d", [["i", 0]])),
        "a call without arguments": graph(i, dense("d", {"args": [], "kwargs": {}})),
        "a call without an input": graph(i, dense("d", call(None))),
        "a call with numbers": graph(i, dense("d", call([[1.0, 2.0, 3.0, 4.0]]))),
        "arguments that are not a list": graph(i, dense("d", {"args": value("i"), "kwargs": {}})),
        "a keyword that is not a name": graph(i, dense("d", call(value("i"), **{"a b": 1}))),
        "an unknown keyword": graph(i, dense("d", call(value("i"), nothing=1))),
        "a class among the arguments": graph(i, dense("d", call(layer("Popen", {"args": ["true"]}, "subprocess")))),
        "a lambda among the arguments": graph(i, dense("d", call({"class_name": "__lambda__", "config": {"value": "x"}}))),
        "deep arguments": graph(i, dense("d", call(deep(60)))),
        "ends that are not a structure": graph(i, one, outputs=7),
        "ends that are deep": graph(i, one, outputs=[[[[[[]]]]]]),
        "no ends": graph(i, one, outputs=[]),
        "shapes that do not fit": graph(i, given("j", (None, 3)), entry("d", "Add", {}, call([value("i"), value("j")]))),
        "a share of another layer": graph(
            i, {**dense("a", call(value("i"))), "shared_object_id": 1},
            {**entry("d", "InputLayer", {"batch_shape": [None, 4]}, call(value("a"))), "shared_object_id": 1},
        ),
        "a large number of a share": graph(i, {**one, "shared_object_id": 10**40}),
        "a model without ends": layer("Functional", {"name": "g", "layers": [i, one]}),
        "an unknown field": graph(i, one) | {"config": {**SOUND["config"], "code": "x"}},
    }  # fmt: skip


def operations() -> dict[str, Any]:
    """Graphs whose operations are wrong, or ask for more than a file may."""
    i, many = given(), 10**9

    def with_(kind: str, config: Config, *args: Any, module: str = "keras.src.ops.numpy", **kwargs: Any) -> Config:
        return graph(i, operation("o", kind, config, call(*args, **kwargs), module=module), outputs=("o", 0, 0))

    dim = {"class_name": "__dim__", "config": ["i", 0]}
    big = {"class_name": "__dim__", "config": ["*", ["i", 0], ["*", many, many]]}
    nested: Any = ["i", 0]
    for _ in range(35):
        nested = ["*", nested, ["+", ["i", 0], 1]]
    return {
        "an operation that is not there": with_("Nothing", {}, value("i")),
        "a function that is not an operation": with_("ConvertToNumpy", {}, value("i")),
        "a function that takes functions": with_("WhileLoop", {}, value("i")),
        "a module": with_("Branches", {}, value("i")),
        "a private name": with_("_Add", {}, value("i"), 1.0),
        "an operation of another module": with_("Popen", {}, value("i"), module="keras.src.ops.numpy.os"),
        "without an input": with_("Add", {}, 1.0, 2.0),
        "of itself": graph(i, operation("o", "Add", {}, call(value("o"), value("i"))), outputs=("o", 0, 0)),
        "arguments that are missing": with_("Add", {}, value("i")),
        "an unknown argument": with_("Add", {"nothing": 1}, value("i"), 1.0),
        "a wrong dtype": with_("Cast", {"dtype": "os"}, value("i"), module="keras.src.ops.core"),
        "repeats": with_("Repeat", {"repeats": [many] * 4, "axis": 1}, value("i")),
        "padding": with_("Pad", {"pad_width": [[0, 0], [many, many]], "mode": "reflect"}, value("i")),
        "a long tile": graph(
            i, *[operation(f"o{n}", "Tile", {"repeats": [1, 2**31 - 1]}, call(value("i" if not n else f"o{n - 1}")))
                 for n in range(4)],
            dense("d", call(value("o3"))),
        ),
        "a triangle": graph(
            given("i", (None, 2**30)), operation("o", "Reshape", {"newshape": [2**15, 2**15]}, call(value("i"))),
            operation("p", "Tril", {}, call(value("o"))), outputs=("p", 0, 0),
        ),
        "one hot": with_("OneHot", {"num_classes": many}, value("i"), module="keras.src.ops.nn"),
        "a slice": with_("GetItem", {}, value("i"), [{"class_name": "__slice__", "config": {"start": "x"}}]),
        "an array": with_(
            "Add", {}, value("i"), {"class_name": "__numpy__", "config": {"value": [[1], [1, 2]], "dtype": "int32"}}
        ),
        "an array of objects": with_(
            "Add", {}, value("i"), {"class_name": "__numpy__", "config": {"value": ["x"], "dtype": "object"}}
        ),
        "an array whose dtype is a list": with_(
            "Add", {}, value("i"), {"class_name": "__numpy__", "config": {"value": [1], "dtype": [0]}}
        ),
        "an op that is not there": with_("nothing", {}, value("i"), module="lamella.ops"),
        "an op with a program": with_("scan", {"body": 1}, value("i"), module="lamella.ops"),
        "an op without attributes": with_("transpose", {}, value("i"), module="lamella.ops"),
        "an op with a wrong attribute": with_("transpose", {"permutation": "ab"}, value("i"), module="lamella.ops"),
        "an op with a wrong shape": with_("reshape", {"shape": [dim, -4]}, value("i"), module="lamella.ops"),
        "an op with a fraction": with_("reshape", {"shape": [dim, 2.0, 2.0]}, value("i"), module="lamella.ops"),
        "an op that is large": with_("iota", {"shape": [many, many], "dtype": "int32", "axis": 0}, module="lamella.ops"),
        "a constant": with_("constant", {"value": 1, "dtype": "float32"}, module="lamella.ops"),
        "a size of nobody": with_(
            "broadcast", {"shape": [{"class_name": "__dim__", "config": ["j", 0]}, 4], "axes": [1]}, 1.0, module="lamella.ops"
        ),
        "a size of no axis": with_(
            "reshape", {"shape": [{"class_name": "__dim__", "config": ["i", 9]}, 4]}, value("i"), module="lamella.ops"
        ),
        "a size of many parts": with_(
            "reshape", {"shape": [{"class_name": "__dim__", "config": nested}]}, value("i"), module="lamella.ops"
        ),
        "a large size": with_("reshape", {"shape": [big]}, value("i"), module="lamella.ops"),
    }  # fmt: skip


def large(calls: int = 9_000) -> dict[str, bytes]:
    """Graphs that are large, in a file of little size."""
    i = given()
    edges = [value("i")] * 30_000
    chain = [dense(f"a{n}", call(value("i" if not n else f"a{n - 1}"))) for n in range(calls)]
    doubled: Any = None
    inner = SOUND
    for n in range(40):
        nested = {**inner, "name": "m", "inbound_nodes": [call(value("i")), call(value("m"))]}
        nested["config"] = {**inner["config"], "name": "m"}
        inner = graph(i, nested, outputs=("m", 2, 0))
        doubled = inner if n == 15 else doubled
    return {
        "many edges": json.dumps(graph(i, entry("d", "Add", {}, call(edges)))).encode(),
        "a million edges": json.dumps(graph(i, entry("d", "Add", {}, call([["i", 0, 0]] * 1_000_000)))).encode(),
        "many calls": json.dumps(
            graph(i, dense("d", *[call(value("i"))] * calls), outputs=("d", calls - 1, 0))
        ).encode(),
        "models in models, each twice": json.dumps(doubled).encode(),
        "a long chain backwards": json.dumps(
            graph(i, *reversed(chain), dense("d", call(value(f"a{calls - 1}"))))
        ).encode(),
    }
