"""Several processes as one run, by `jax.distributed`."""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from types import TracebackType

import jax
import numpy as np

from lamella import host_random, processes
from lamella.errors import BackendError

_LOCAL = "127.0.0.1:8476"


def connect(address: str | None, count: int | None, index: int | None, *, seconds: int, heartbeat_seconds: int) -> None:
    """Join by `jax.distributed.initialize`, and exit this process when it fails, so that the others exit as well.

    The coordinator listens at the host of its address only: 127.0.0.1 cannot be reached from the network.

    Raises:
        BackendError: JAX has computed something already, or the others were not there in time.
        DataError: the processes have different versions.
    """
    if not jax.distributed.is_initialized():  # the script may have done it
        _join_jax(address, count, index, seconds, heartbeat_seconds)
    processes.join(jax.process_index(), jax.process_count(), _exchange)
    _end_with_the_others()
    version = str(sys.modules["lamella"].__version__)  # backends do not import the package as a whole
    processes.agree({"the version of lamella": version, "the version of JAX": jax.__version__})
    host_random.begin_with(processes.told(host_random.next_seed())[0])


def _join_jax(address: str | None, count: int | None, index: int | None, seconds: int, heartbeat_seconds: int) -> None:
    address = address or os.environ.get("JAX_COORDINATOR_ADDRESS") or (_LOCAL if count is not None else None)
    if address is not None and index:
        _wait_for(address, seconds)
    # it would catch SIGTERM for a preemption notice that is unused here, and the process would continue
    jax.config.update("jax_enable_preemption_service", False)
    # JAX ends the process itself, with a trace of C++, a little later
    given_up = threading.Timer(seconds, _give_up, [address, count, seconds])
    given_up.daemon = True
    given_up.start()
    try:
        jax.distributed.initialize(
            address,
            count,
            index,
            initialization_timeout=seconds + 10,
            heartbeat_timeout_seconds=heartbeat_seconds,
            coordinator_bind_address=os.environ.get("JAX_COORDINATOR_BIND_ADDRESS", address),
        )
    except (RuntimeError, ValueError) as error:
        raise BackendError(
            f"JAX cannot join the processes at the coordinator {address}: {' '.join(str(error).split())}"
        ) from error
    finally:
        given_up.cancel()


def _give_up(address: str | None, count: int | None, seconds: int) -> None:
    known = "all" if count is None else f"all {count}"
    sys.stderr.write(
        f"lamella: not {known} processes came to the coordinator at {address or 'the address that the cluster names'} within "
        f"{seconds} s, so this one ends; start the others, or give `initialize` a longer initialization_timeout.\n"
    )
    sys.stderr.flush()
    os._exit(1)


def _wait_for(address: str, seconds: int) -> None:
    """Return when something listens at the coordinator's address.

    Raises:
        BackendError: nothing did in time.
    """
    host, _, port = address.rpartition(":")
    end = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=max(end - time.monotonic(), 0.1)).close()
            return
        except OSError as error:
            if time.monotonic() > end:
                raise BackendError(
                    f"the coordinator at {address} did not answer within {seconds} s ({error}): start process 0 there, or "
                    "give another address."
                ) from None
            time.sleep(0.1)


def _exchange(payload: bytes) -> list[bytes]:
    from jax.experimental import multihost_utils

    sizes = multihost_utils.process_allgather(np.array([len(payload)], np.int32)).reshape(-1)
    padded = np.zeros(int(sizes.max()), np.uint8)
    padded[: len(payload)] = np.frombuffer(payload, np.uint8)
    return [row[:size].tobytes() for row, size in zip(multihost_utils.process_allgather(padded), sizes, strict=True)]


def _end_with_the_others() -> None:
    """Exit the process at once after an uncaught exception: the others would wait for it, and now exit as well."""
    before = sys.excepthook

    def end(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        before(kind, error, trace)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(1)  # without the barrier in which JAX waits for the others

    sys.excepthook = end


__all__ = ["connect"]
