"""Training with several inputs and outputs: losses, weights and metrics in every structure that `compile` takes."""

from __future__ import annotations

from .rows import StructureCase

_BOTH = ["price", "kind"]
_DICT = {"price": "price", "kind": "kind"}
_LOSSES = {"price": "mse", "kind": "sparse_categorical_crossentropy"}
_LIST = ["mse", "sparse_categorical_crossentropy"]
_THREE = ["price", "kind", "flag"]

STRUCTURES: tuple[StructureCase, ...] = (
    # one loss, list or dict of them
    StructureCase("one-for-all", ["price", "flag"], ["price", "flag"], "mse"),
    StructureCase("one-for-all-dict", {"price": "price", "flag": "flag"}, {"flag": "flag", "price": "price"}, "mse"),
    StructureCase("lists", _BOTH, _BOTH, _LIST, metrics=[["mae"], ["accuracy"]]),
    StructureCase("tuples", ("price", "kind"), ("price", "kind"), _LIST, [0.5, 2.0], ["mae", "accuracy"]),
    StructureCase("dicts-of-list", _BOTH, _BOTH, _LOSSES, {"price": 0.5, "kind": 2.0}, {"kind": ["accuracy"]}),
    StructureCase("dicts", _DICT, _DICT, _LOSSES, {"price": 0.5, "kind": 2.0}, {"price": "mae", "kind": ["accuracy"]},
                  inputs={"b": "b", "a": "a"}, x={"a": "a", "b": "b"}),
    StructureCase("loss-order", _DICT, _DICT, dict(reversed(_LOSSES.items())), metrics={"kind": ["accuracy"]}),
    StructureCase("keys", {"p": "price", "k": "kind"}, {"k": "kind", "p": "price"},
                  {"p": "mse", "k": "sparse_categorical_crossentropy"}, metrics={"k": ["accuracy"], "p": ["mae"]}),
    StructureCase("targets-by-name", _BOTH, _DICT, _LOSSES, metrics={"kind": ["accuracy"]}, x={"b": "b", "a": "a"}),
    # outputs without a loss
    StructureCase("none-in-list", _THREE, _THREE, ["mse", None, "binary_crossentropy"], metrics=[["mae"], None, []]),
    StructureCase("none-in-dict", _THREE, _THREE, {"price": "mse", "kind": None, "flag": "binary_crossentropy"}),
    StructureCase("targets-of-losses", _THREE, ["price", "flag"], ["mse", None, "binary_crossentropy"]),
    StructureCase("one-loss", {"price": "price", "kind": "kind"}, _DICT, {"kind": "sparse_categorical_crossentropy"},
                  metrics={"price": ["mae"], "kind": ["accuracy"]}),
    # a single output
    StructureCase("single-dict", "price", "price", {"price": "mse"}, metrics={"price": ["mae"]}),
    StructureCase("single-list", ["price"], "price", ["mse"], [0.5], ["mae", "mse"]),
    StructureCase("single-output-dict", {"price": "price"}, {"price": "price"}, {"price": "mse"}, {"price": 0.5},
                  {"price": ["mae"]}),
    # names that meet
    StructureCase("duplicates", _BOTH, _BOTH, _LIST, metrics={"price": ["mae", "mae", "mse"], "kind": ["accuracy"]},
                  weighted_metrics={"price": ["mae", "mae"], "kind": ["accuracy"]}, sample_weight="row"),
    # nested outputs
    StructureCase("nested-lists", [["price", "kind"], "flag"], [["price", "kind"], "flag"],
                  [_LIST, "binary_crossentropy"], metrics=[[["mae"], ["accuracy"]], ["accuracy"]]),
    StructureCase("nested-dict", {"head": {"p": "price", "k": "kind"}, "tail": "flag"},
                  {"head": {"p": "price", "k": "kind"}, "tail": "flag"},
                  {"head": {"p": "mse", "k": "sparse_categorical_crossentropy"}, "tail": "binary_crossentropy"},
                  metrics={"head": {"p": ["mae"], "k": ["accuracy"]}, "tail": ["accuracy"]}),
    StructureCase("lists-in-dict", {"head": ["price", "kind"], "tail": "flag"},
                  {"head": ["price", "kind"], "tail": "flag"}, {"head": _LIST, "tail": "binary_crossentropy"}),
    # sample weights
    StructureCase("weights-for-all", _BOTH, _BOTH, _LIST, weighted_metrics={"kind": ["accuracy"], "price": ["mae"]},
                  sample_weight="row"),
    StructureCase("weights-in-list", _BOTH, _BOTH, _LIST, weighted_metrics={"kind": ["accuracy"], "price": ["mae"]},
                  sample_weight=_BOTH),
    StructureCase("weights-in-dict", _DICT, _DICT, _LOSSES, weighted_metrics={"kind": ["accuracy"], "price": ["mae"]},
                  sample_weight={"price": "price", "kind": "kind"}),
    StructureCase("class-weight", "kind", "kind", "sparse_categorical_crossentropy", class_weight={0: 2.0, 2: 0.5},
                  weighted_metrics=["accuracy"]),
    # masks: the steps of one output, and none in the other
    StructureCase("masks", ["each", "whole"], ["each", "whole"], ["mse", "mae"], inputs="sequence"),
    StructureCase("masks-weights", {"each": "each", "whole": "whole"}, {"each": "each", "whole": "whole"}, "mse",
                  inputs="sequence", sample_weight={"each": "each", "whole": "whole"}),
)  # fmt: skip
