"""Whole training steps, as the loop makes them, on generated pictures with a ResNet-18 for each of two modalities."""

from collections.abc import Callable

import torch
from accelerate import Accelerator

from benchmarks.workload import NAMES, Shapes, Stream, filled
from bundle.modalities import Image, Pathology
from training.batch import Batch
from training.encoders.resnet import ResNet
from training.fusion.concat import Concat
from training.method import Method, Setting
from training.methods.joint import Joint
from training.model import Classifier


def training_steps(shapes: Shapes, size: int) -> dict[str, Callable[[], None]]:
    """A step of joint training and one of InfoBridge, its memory full, each on a classifier of its own.

    Args:
        shapes: of the batches.
        size: height and width of the pictures.
    """
    accelerator = Accelerator(cpu=shapes.device == "cpu")
    stream = Stream(shapes)
    pictures = torch.randint(256, (shapes.batch, 3, size, size), generator=stream.generator, dtype=torch.uint8)
    inputs = {name: pictures.to(shapes.device) for name in NAMES}
    setting = Setting(dict.fromkeys(NAMES, shapes.width), shapes.classes, 0, 0.01)
    methods = {"joint": Joint(setting, Joint.Options()), "infobridge": filled(shapes, stream)}

    def next_batch() -> Batch:
        _, batch = stream.draw()
        return Batch(inputs, batch.labels, batch.samples, batch.groups)

    return {
        name: _step(classifier(shapes, size), method.train(), next_batch, accelerator)
        for name, method in methods.items()
    }


def classifier(shapes: Shapes, size: int) -> Classifier:
    """Two ResNet-18 and a linear head on their concatenated features."""
    torch.manual_seed(0)
    modalities = (Image(size), Pathology(size))
    encoders = {name: ResNet(own, ResNet.Options()) for name, own in zip(NAMES, modalities, strict=True)}
    widths = {name: encoder.width for name, encoder in encoders.items()}
    return Classifier({**encoders}, Concat(widths, shapes.classes), shapes.classes).to(shapes.device).train()


def _step(
    model: Classifier, method: Method, next_batch: Callable[[], Batch], accelerator: Accelerator
) -> Callable[[], None]:
    optimizer = torch.optim.SGD([*model.parameters(), *method.trained()], 0.01, 0.9, weight_decay=1e-4)

    def step() -> None:
        batch = next_batch()
        terms = method(model(batch.inputs), batch)
        optimizer.zero_grad()
        method.backward(terms, accelerator)
        method.gradients(model)
        optimizer.step()

    return step
