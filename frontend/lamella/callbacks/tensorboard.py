"""Logs, weights and the model's summary for TensorBoard."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np

from lamella import processes
from lamella.training.history import Callback, Logs


class TensorBoard(Callback):
    """Write event files for TensorBoard (`pip install 'lamella[tensorboard]'`).

    Names are those of Keras: `epoch_loss` and so on in `train` and `validation`, `epoch_learning_rate`, `batch_loss`
    and so on by step, `evaluation_loss_vs_iterations`, and `<weight>/histogram`.

    Args:
        log_dir: the folder.
        histogram_freq: the number of epochs between histograms of the weights; 0 for none.
        write_graph: whether to write the model's summary, as text. (The graph of a model is its program;
            `print(model.program())`.)
        write_images: whether to write the weights as images, too, with the histograms.
        write_steps_per_second: whether to write the steps per second, by epoch and by batch.
        update_freq: "epoch", or the number of batches ("batch": 1) after which loss and metrics are written as well.
        profile_batch: 0: there is no profiler.
        embeddings_freq: 0: embeddings are not written.
        embeddings_metadata: None.

    Raises:
        ImportError: tensorboardX is not installed.
        ValueError: an option is invalid or not supported.

    Example:
        >>> from lamella.callbacks import TensorBoard
        >>> from lamella import Sequential, layers
        >>> model = Sequential([layers.Input((1,)), layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> board = TensorBoard("logs", histogram_freq=1)  # doctest: +SKIP
        >>> history = model.fit([[1.0]], [[2.0]], verbose=0, callbacks=[board])  # doctest: +SKIP
    """

    def __init__(
        self,
        log_dir: str | os.PathLike[str] = "logs",
        histogram_freq: int = 0,
        write_graph: bool = True,
        write_images: bool = False,
        write_steps_per_second: bool = False,
        update_freq: str | int = "epoch",
        profile_batch: int = 0,
        embeddings_freq: int = 0,
        embeddings_metadata: Any = None,
    ) -> None:
        super().__init__()
        if profile_batch:
            raise ValueError(
                f"TensorBoard: profile_batch={profile_batch!r} is not supported; on JAX, call "
                "jax.profiler.trace(folder) around `fit`."
            )
        if embeddings_freq or embeddings_metadata is not None:
            raise ValueError("TensorBoard: embeddings for the projector are not supported; leave embeddings_... out.")
        whole = isinstance(update_freq, int) and not isinstance(update_freq, bool) and update_freq > 0
        if update_freq not in ("epoch", "batch") and not whole:
            raise ValueError(
                f"TensorBoard: update_freq must be 'epoch', 'batch' or a positive integer, got {update_freq!r}."
            )
        _writer_class()
        self.log_dir = os.fspath(log_dir)
        self.histogram_freq, self.write_graph, self.write_images = histogram_freq, write_graph, write_images
        self.write_steps_per_second = write_steps_per_second
        self.update_freq = 1 if update_freq == "batch" else update_freq
        self._writers: dict[str, Any] = {}
        self._batches = 0
        self._began = self._batch_began = 0.0
        self._steps_before = 0

    def watches(self, hook: str) -> bool:
        """Batch hooks have an effect only if something is written by batch, or a subclass overrides them."""
        if getattr(type(self), hook) is getattr(TensorBoard, hook) and hook not in vars(self):
            if hook == "on_train_batch_begin":
                return self.write_steps_per_second
            if hook == "on_train_batch_end":
                return self.update_freq != "epoch" or self.write_steps_per_second
        return super().watches(hook)

    def _writer(self, kind: str) -> Any:
        if kind not in self._writers:
            self._writers[kind] = _Silent() if processes.index() else _writer_class()(str(Path(self.log_dir) / kind))
        return self._writers[kind]

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Write the summary."""
        self._batches = 0
        if self.write_graph:
            lines: list[str] = []
            self.model.summary(print_fn=lines.append)
            text = "\n".join(lines).replace("\n", "\n    ")
            self._writer("train").add_text("model", "    " + text, 0)  # indented, so that Markdown keeps the table

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Start the timer of the epoch."""
        if self.write_steps_per_second:
            self._steps_before, self._began = self._steps(), time.perf_counter()

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Start the timer of the batch."""
        self._batch_began = time.perf_counter()
        super().on_train_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Write the current loss and metrics, every `update_freq` batches."""
        self._batches += 1
        if self.write_steps_per_second:
            seconds = max(time.perf_counter() - self._batch_began, 1e-9)
            self._writer("train").add_scalar("batch_steps_per_second", 1.0 / seconds, self._batches)
        if self.update_freq != "epoch" and self._batches % int(self.update_freq) == 0:
            for name, value in (logs or {}).items():
                self._writer("train").add_scalar(f"batch_{name}", value, self._batches)
        super().on_train_batch_end(batch, logs)

    def on_test_end(self, logs: Logs | None = None) -> None:
        """Write loss and metrics of an evaluation by optimizer step."""
        writer = self._writer("validation")
        for name, value in (logs or {}).items():
            writer.add_scalar(f"evaluation_{name}_vs_iterations", value, self._steps())
        writer.flush()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Write loss and metrics, and histograms every `histogram_freq` epochs."""
        values = dict(logs or {})
        rate = getattr(self.model.optimizer, "learning_rate", None)
        if rate is not None:
            values["learning_rate"] = float(rate)
        if self.write_steps_per_second:
            seconds = max(time.perf_counter() - self._began, 1e-9)
            values["steps_per_second"] = (self._steps() - self._steps_before) / seconds
        for name, value in values.items():
            kind = "validation" if name.startswith("val_") else "train"
            self._writer(kind).add_scalar(f"epoch_{name.removeprefix('val_')}", value, epoch)
        if self.histogram_freq and epoch % self.histogram_freq == 0:
            self._write_weights(epoch)
        for writer in self._writers.values():
            writer.flush()

    def _write_weights(self, epoch: int) -> None:
        writer = self._writer("train")
        for path, variable in self.model.named_weights():
            array = variable.numpy()
            writer.add_histogram(f"{path}/histogram", array, epoch)
            picture = _picture(array) if self.write_images else None
            if picture is not None:
                writer.add_images(f"{path}/image", picture, epoch, dataformats="NHWC")

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Close the files."""
        for writer in self._writers.values():
            writer.close()
        self._writers = {}

    def _steps(self) -> int:
        return self.model._require_compiled().state.steps

    def get_state(self) -> dict[str, Any]:
        """The number of batches written."""
        return {"batches": self._batches}

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from a checkpoint."""
        self._batches = state["batches"]


class _Silent:
    """The writer of every process but the first, which writes nothing."""

    def __getattr__(self, name: str) -> Any:
        return lambda *values, **kwargs: None


def _writer_class() -> Any:
    try:
        from tensorboardX import SummaryWriter
    except ImportError as error:
        raise ImportError(
            f"TensorBoard needs tensorboardX ({error}): install it with `pip install tensorboardX`."
        ) from None
    return SummaryWriter


def _picture(weight: np.ndarray) -> np.ndarray | None:
    """A weight as images `(count, height, width, channels)` between 0 and 1, in Keras's layout, or None."""
    array = np.squeeze(weight).astype(np.float64)
    if array.ndim == 1:
        array = array.reshape(1, -1, 1, 1)
    elif array.ndim == 2:
        array = (array.T if array.shape[0] > array.shape[1] else array)[None, :, :, None]
    elif array.ndim == 3:
        array = array.transpose(2, 0, 1)[..., None]
    if array.ndim != 4 or array.shape[-1] not in (1, 3, 4):
        return None
    low, high = array.min(), array.max()
    return (array - low) / (high - low) if high > low else np.zeros_like(array)
