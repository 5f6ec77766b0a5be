"""InfoBridge's objective one sample at a time: what one would write first, to time the real one against.

It has the same mathematics (the cosine critic, the class as context, both directions, detached partners with the
anchor's gradient doubled, the moving normaliser, the memory), each step of it a loop over the samples of the batch. A
sample's own N0 false partners are scored at once: there is no third loop to make the comparison look better.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from training.batch import Batch
from training.critics import Cosine, Pair
from training.information import scale_gradient
from training.memory import Memory, draw
from training.methods.infobridge import InfoBridge

Choose = Callable[[int, int, Tensor], Tensor]
"""From the number of the direction, that of the sample, and the entries it may face: the entries that it faces."""


def choose_afresh(negatives: int, generator: torch.Generator) -> Choose:
    """Draws without replacement; what is missing, again."""

    def choose(direction: int, sample: int, entries: Tensor) -> Tensor:
        order = torch.randperm(len(entries), generator=generator)[:negatives]
        missing = negatives - len(order)
        more = torch.randint(len(entries), (missing,), generator=generator)
        return entries[torch.cat([order, more])]

    return choose


def choose_as_drawn(method: InfoBridge, batch: Batch) -> Choose:
    """The very entries that `method` is about to draw for a batch that is in the memory already."""
    generator = torch.Generator()
    generator.set_state(method.generator.get_state())
    drawn: list[Tensor] = []

    def choose(direction: int, sample: int, entries: Tensor) -> Tensor:
        if not drawn:
            allowed = method.memory.candidates(batch.labels, batch.samples, batch.groups, "same_context")
            drawn.extend(draw(allowed, method.options.negatives_per_pair, generator)[0] for _ in range(2))
        return drawn[direction][sample]

    return choose


def objective(method: InfoBridge, features: dict[str, Tensor], batch: Batch, choose: Choose) -> Tensor:
    """L(h) of `InfoBridge.objective`, for two modalities, the cosine critic and the semantic context.

    Args:
        method: whose critic, memory and options are used; its memory and normaliser change as in training.
        features: by modality, `(batch, width)`.
        batch: for labels, samples and groups.
        choose: draws a sample's false partners.
    """
    critic, memory, (pair,) = method.critic, method.memory, method.pairs
    assert isinstance(critic, Cosine)
    projections = {name: [critic.project(name, row) for row in values] for name, values in features.items()}
    memory.push(
        {name: torch.stack(rows) for name, rows in projections.items()}, batch.labels, batch.samples, batch.groups
    )
    entries = [_entries(memory, batch, sample) for sample in range(len(batch.labels))]
    used = [sample for sample, found in enumerate(entries) if len(found) > 0]
    scores: list[dict[int, Tensor]] = []
    for direction, (anchor, partner) in enumerate((pair, pair[::-1])):
        raw = {}
        for sample in used:
            others = memory.projections(partner)[choose(direction, sample, entries[sample])]
            one = scale_gradient(projections[anchor][sample], 2.0)
            raw[sample] = others @ (_scale(critic, pair, batch.labels[sample]) * one) / critic.temperature
        scores.append(raw)
        _observe(critic, pair, raw, batch.labels)
    total = torch.zeros((), device=batch.labels.device)
    for sample in used:
        first, second = projections[pair[0]][sample], projections[pair[1]][sample]
        scale, shift = _scale(critic, pair, batch.labels[sample]), critic.normaliser(pair)[batch.labels[sample]]
        positive = (scale * first * second).sum() / critic.temperature - shift
        total = total + functional.logsigmoid(positive + method.margin)
        for raw in scores:
            total = total + 0.5 * functional.logsigmoid(-(raw[sample] - shift + method.margin)).sum()
    return total / max(len(used), 1)


def _entries(memory: Memory, batch: Batch, sample: int) -> Tensor:
    other = (memory.samples != batch.samples[sample]) & (memory.groups != batch.groups[sample])
    return ((memory.samples >= 0) & other & (memory.contexts == batch.labels[sample])).nonzero()[:, 0]


def _scale(critic: Cosine, pair: Pair, context: Tensor) -> Tensor:
    found: Tensor = 1.0 + critic.context_scale["+".join(pair)](context)
    return found


@torch.no_grad()
def _observe(critic: Cosine, pair: Pair, raw: dict[int, Tensor], labels: Tensor) -> None:
    """Move the normaliser of each context that has false pairs."""
    shifts, by_context = critic.normaliser(pair), dict[int, list[Tensor]]()
    contexts = labels.tolist()
    for sample, values in raw.items():
        by_context.setdefault(contexts[sample], []).append(values)
    for context, scores in by_context.items():
        values = torch.cat(scores)
        found = values.logsumexp(dim=0) - math.log(len(values))
        if not shifts[context].isnan():
            old, new = math.log(critic.momentum), math.log(1.0 - critic.momentum)
            found = torch.logaddexp(shifts[context] + old, found + new)
        shifts[context] = found
