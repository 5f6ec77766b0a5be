"""One training on many processes: who this one is, how they start, wait for each other, agree and end."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
from accelerate import Accelerator, InitProcessGroupKwargs
from accelerate.state import AcceleratorState
from accelerate.utils import gather_object
from torch import distributed, nn

from training.config import Config
from training.errors import ConfigError, DataError

MEETING, PATIENCE = timedelta(minutes=10), timedelta(days=7)
"""How long a process waits for the others to come, and within a step; and for the main one, which decodes the whole
dataset meanwhile. Where another process ended, no one waits so long."""
GRACE = 10.0
"""Seconds in which the launcher ends the others of a process that failed."""
LOST = ("Connection closed by peer", "Connection reset by peer", "Broken pipe", "NCCL communicator was aborted")
"""What gloo and NCCL say of a process that ended."""
RANKS = ("RANK", "PMI_RANK", "OMPI_COMM_WORLD_RANK", "MV2_COMM_WORLD_RANK")
"""Where launchers write a process's number."""
SIZES = ("WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")
"""And how many they started."""


def number() -> int:
    """This process's number, from 0, the main one; known from the launcher before processes have met."""
    if distributed.is_initialized():
        return distributed.get_rank()
    return next((int(os.environ[name]) for name in RANKS if name in os.environ), 0)


def count() -> int:
    """How many processes train together; 1 before they have met."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def start(config: Config, processes: int | None = None) -> Accelerator:
    """Meet the other processes, if a launcher started any; a second call gives the same.

    Args:
        config: for device, precision and the size of a batch.
        processes: how many must have been started; None for any number.

    Raises:
        ConfigError: precision or batches that cannot be had, another number of processes than was asked for, or
            processes that a launcher started but that do not meet.
    """
    meeting = InitProcessGroupKwargs(timeout=MEETING)
    _forget_precision(config.precision)
    try:
        accelerator = Accelerator(
            mixed_precision=config.precision,  # "no" too: the launcher's own option is not stored with the run
            cpu=config.device == "cpu",
            dynamo_backend="no",
            kwargs_handlers=[meeting],
        )
    except ValueError as error:
        raise ConfigError(f"precision {config.precision} cannot be had on this machine: {error}") from None
    if config.precision == "fp16" and accelerator.device.type == "cpu":  # it would be ignored without a word
        raise ConfigError("precision fp16 cannot be had on this machine: it needs an accelerator; bf16 does not")
    found = accelerator.num_processes
    if processes is not None and processes != found:
        raise ConfigError(
            f"--processes {processes}: expected as many, the launcher started {found}; "
            f"`torchrun --nproc-per-node {processes} -m training.fit …` starts them"
        )
    if found == 1:
        _check_alone()
    if config.batch_size < found:
        raise ConfigError(f"batch_size must be at least the number of processes, {found}, not {config.batch_size}")
    return accelerator


def _forget_precision(wanted: str) -> None:
    """Let a process train in another precision than it trained in before, which Accelerate keeps for all its life."""
    if AcceleratorState._shared_state and AcceleratorState().mixed_precision != wanted:
        AcceleratorState._reset_state()


def _check_alone() -> None:
    """Refuse to train alone where a launcher started others, which would each train alone and write the same folder.

    Raises:
        ConfigError: it did, or it prepared a meeting of several but started one.
    """
    started = max((int(os.environ[name]) for name in SIZES if name in os.environ), default=1)
    if started > 1:
        raise ConfigError(
            f"the launcher started {started} processes that do not train together; "
            f"`torchrun --nproc-per-node {started} -m training.fit …` starts such that do"
        )
    launched = "ACCELERATE_MIXED_PRECISION" in os.environ and "MASTER_PORT" in os.environ
    if launched and not any(name in os.environ for name in (*RANKS, *SIZES)):
        raise ConfigError(
            "accelerate launch was asked for several processes and started one, as it does with --cpu; "
            "`torchrun --nproc-per-node N -m training.fit …` starts them, as does "
            "`accelerate launch --multi_gpu --num_processes N -m training.fit …`, with --device cpu on CPUs too"
        )


@contextmanager
def main_first() -> Iterator[None]:
    """The main process does what is inside, then the others: what it left on disk is there for them."""
    if count() == 1:
        yield
        return
    waiting = distributed.new_group(timeout=PATIENCE, backend="gloo")
    if number() != 0:
        distributed.barrier(group=waiting)
    yield
    if number() == 0:
        distributed.barrier(group=waiting)


def check_same(fingerprint: str) -> None:
    """Refuse to train where processes do not see the same data.

    Raises:
        DataError: they do not.
    """
    if count() > 1:
        found = gather_object([fingerprint])
        if len(set(found)) > 1:
            raise DataError(
                f"expected the same data in all {count()} processes, found {len(set(found))} different ones"
            )


@torch.no_grad()
def agree(*modules: nn.Module) -> None:
    """Give every process the main one's parameters and buffers: what each computed by itself may differ by rounding."""
    if count() > 1:
        for module in modules:
            for tensor in (*module.parameters(), *module.buffers()):
                same = tensor.contiguous()
                distributed.broadcast(same, src=0)
                tensor.copy_(same)


def linger(always: bool = False) -> None:
    """Before a process other than the main one (or any, if `always`) says what went wrong.

    If the main one failed too, of the same or as its cause, the launcher ends this one meanwhile: things are said once.
    """
    if always or number() != 0:
        time.sleep(GRACE)


def lost(error: Exception) -> bool:
    """Whether an error says no more than that another process is not there any more."""
    return count() > 1 and isinstance(error, RuntimeError) and any(sign in str(error) for sign in LOST)


def end() -> None:
    """Part from the other processes, all of them at the end of their work."""
    if distributed.is_initialized():
        distributed.barrier()
        distributed.destroy_process_group()
