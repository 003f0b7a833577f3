"""Joining several processes into one training run."""

from __future__ import annotations

import os

from lamella import processes
from lamella.backend_api import load_backend
from lamella.errors import ArgumentError

_PREFIXES = ("LAMELLA_DISTRIBUTION_", "KERAS_DISTRIBUTION_")


def initialize(
    job_addresses: str | None = None,
    num_processes: int | None = None,
    process_id: int | None = None,
    *,
    initialization_timeout: int = 60,
    heartbeat_timeout_seconds: int = 20,
) -> None:
    """Join the processes that train together; to be called before anything is computed.

    Each process runs the same script. Process 0 is the coordinator, which listens at its address. Missing arguments are
    taken from the environment variables `KERAS_DISTRIBUTION_JOB_ADDRESSES`, `KERAS_DISTRIBUTION_NUM_PROCESSES` and
    `KERAS_DISTRIBUTION_PROCESS_ID` (or with `LAMELLA_` instead of `KERAS_`), otherwise from JAX's own, and from the
    environments of clusters that JAX supports. The coordinator does not authenticate: every process that can reach the
    address may join. Use it on one machine (127.0.0.1) or in a trusted network.

    Args:
        job_addresses: the coordinator's address, "host:port"; of several separated by commas, the first.
        num_processes: the number of processes.
        process_id: the number of this process, from 0.
        initialization_timeout: the time to wait for the other processes, in seconds.
        heartbeat_timeout_seconds: the time without a sign of life after which a process is considered dead, and the
            others are ended.

    Raises:
        ArgumentError: a number or the address is invalid, or the processes have joined already.
        BackendError: the backend supports one process only, or the other processes did not join in time.

    Example:
        >>> import lamella
        >>> lamella.distribution.initialize("127.0.0.1:8476", num_processes=2, process_id=2)
        Traceback (most recent call last):
        ...
        lamella.errors.ArgumentError: distribution.initialize: process_id must be from 0 to 1, got 2.
    """
    if processes.count() > 1:
        raise ArgumentError("distribution.initialize was called before; the processes have joined already.")
    given = job_addresses or _variable("JOB_ADDRESSES")
    count = _number("num_processes", num_processes, "NUM_PROCESSES")
    number = _number("process_id", process_id, "PROCESS_ID")
    address = None if given is None else given.split(",")[0].strip()
    if address is not None and not address.rpartition(":")[2].isdigit():
        raise ArgumentError(f"distribution.initialize takes an address 'host:port', got {address!r}.")
    if count is not None and number is not None and not 0 <= number < count:
        raise ArgumentError(f"distribution.initialize: process_id must be from 0 to {count - 1}, got {number}.")
    load_backend().connect(
        address, count, number, seconds=initialization_timeout, heartbeat_seconds=heartbeat_timeout_seconds
    )


def _variable(name: str) -> str | None:
    return next((os.environ[prefix + name] for prefix in _PREFIXES if prefix + name in os.environ), None)


def _number(word: str, given: int | None, name: str) -> int | None:
    value = _variable(name) if given is None else given
    if value is None:
        return None
    try:
        return int(value)
    except (TypeError, ValueError):
        raise ArgumentError(f"distribution.initialize: {word} must be an integer, got {value!r}.") from None
