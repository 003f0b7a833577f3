"""Callbacks for `fit`."""

from lamella.training.history import Callback as Callback
from lamella.training.history import History as History
from lamella.training.history import LambdaCallback as LambdaCallback
