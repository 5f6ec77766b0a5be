"""One step of training: forward, loss, backward and update, in parts and over processes."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import torch
from accelerate import Accelerator
from torch import Tensor

from training import distributed
from training.batch import Batch, Output
from training.batch_norm import globalise
from training.compiling import compile_encoders
from training.config import Config
from training.gathering import rows
from training.gradients import Pulls, pulls
from training.loading import division_of
from training.method import Method
from training.model import Classifier
from training.summing import Summing


@dataclass(frozen=True)
class Parts:
    """What is trained."""

    model: Classifier
    method: Method


class Stepping:
    """Trains a classifier on one batch at a time.

    Each process encodes its own samples; the features of all are then gathered, and every process computes the loss of
    the whole batch with the same random numbers. So a method is written for one process, whatever it compares within a
    batch or remembers. Gradients of the encoders are summed over the processes wherever they are asked for, those of
    the fusion and of the method are whole already.

    Args:
        parts: the classifier and the method; batch normalisations become those of the whole batch.
        accelerator: where to.
        config: how a batch is divided, and the largest gradient.
    """

    def __init__(self, parts: Parts, accelerator: Accelerator, config: Config) -> None:
        self.model, self.method = parts.model, parts.method
        self.accelerator = accelerator
        self.config = config
        self.division = division_of(config)
        self.summing: Summing | None = None
        if self.division.processes > 1:
            globalise(self.model.encoders, accelerator.device)
            self.summing = Summing(self.model.encoders.parameters())
        self._encode = (
            compile_encoders(self.model.encoders, accelerator.device) if config.compile else self.model.encode
        )
        # `Method.backward` asks for nothing but `grad`; a method's own may look at gradients on the way.
        self._plain = type(self.method).backward is Method.backward

    def step(self, batch: Batch, optimizer: torch.optim.Optimizer, look: bool) -> tuple[dict[str, Tensor], Pulls]:
        """Update on a batch; returns each term of the loss, and if asked to `look`, the pulls of its first part.

        Args:
            batch: with this process's inputs, and what is known of all samples.
            optimizer: of all parameters that the loop trains.
            look: whether to measure how strongly the loss pulls.
        """
        found, sums = Pulls(), dict[str, Tensor]()
        optimizer.zero_grad()
        for part, own in self._parts(len(batch.labels)):
            piece = batch.part(slice(part.start, part.stop), own) if self.config.accumulate > 1 else batch
            terms: dict[str, Tensor] = self.method(self.forward(piece), piece)
            if look and part.start == 0:
                found = pulls(terms, self.model)
            if len(part) < len(batch.labels):
                terms = {name: term * (len(part) / len(batch.labels)) for name, term in terms.items()}
            with self.summing.deferred() if self.summing is not None and self._plain else nullcontext():
                self.method.backward(terms, self.accelerator)
            for name, term in terms.items():
                sums[name] = sums.get(name, torch.zeros((), device=term.device)) + term.detach()
        if self.summing is not None and self._plain:
            self.summing.settle()
        self.method.gradients(self.model)
        if self.config.clip is not None:
            trained = [parameter for group in optimizer.param_groups for parameter in group["params"]]
            self.accelerator.clip_grad_norm_(trained, self.config.clip)
        optimizer.step()
        return sums, found

    def _parts(self, size: int) -> Iterator[tuple[range, slice]]:
        """Each part, and where this process's inputs of it are."""
        start = 0
        for part in self.division.divide(size):
            count = len(self.division.own(part))
            yield part, slice(start, start + count)
            start += count

    def forward(self, batch: Batch) -> Output:
        """The classifier's output for all processes' samples."""
        with self.accelerator.autocast():
            with _own_random():
                features = self._encode(batch.inputs)
            if self.division.processes > 1:
                sizes = [len(own) for own in self.division.each(range(len(batch.labels)))]
                features = {name: rows(values, sizes) for name, values in features.items()}
            return self.model.combine(features, batch.present)


@contextmanager
def _own_random() -> Iterator[None]:
    """Random numbers for this process's samples alone, such as an encoder's dropout; outside, all have the same.

    They start from a number of the common stream, so there is nothing more to save.
    """
    if distributed.count() == 1:
        yield
        return
    seed = int(torch.randint(2**62, ())) + distributed.number()
    devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield
