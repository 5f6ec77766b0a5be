"""The sections that need a run's data again: distances, joint features, realisability."""

import itertools

from accelerate import Accelerator

from training.distance import Distance, distance
from training.errors import CheckpointError, DataError
from training.evaluate import Encoded
from training.preparation import Prepared
from training.realisability import MOST, Realisability, Sources, realisability
from training.reporting import embedding, words
from training.reporting.chart_classes import CLASSES, NAMED_POINTS, draw_embedding
from training.reporting.chart_modalities import Pair, draw_distances, draw_realisability
from training.reporting.features import Comparable, comparable, encode_split, restore
from training.reporting.from_corruptions import corruption_section
from training.reporting.page import Section, Table
from training.reporting.run import Finished

TITLES = {
    "corruptions": "Samples made worse",
    "distance": "Distance between the modalities",
    "embedding": "Joint features",
    "realisability": "How well one modality predicts another",
}


def sections(run: Finished, accelerator: Accelerator, corruptions: bool = True) -> tuple[dict[str, Section], str]:
    """By name; and, where the data is not there any more, a sentence that says so.

    `corruptions` says whether test samples are made worse, which takes longest.

    Raises:
        CheckpointError: the run's training state is damaged.
    """
    try:
        prepared = restore(run.checkpoint)
    except DataError as error:
        notice = (
            f"The data of the training was not found as it was: {error}. The figures that need it were left out: "
            f"{', '.join(title.lower() for title in TITLES.values())}."
        )
        return {name: Section(name, title, "", missing=words.MOVED) for name, title in TITLES.items()}, notice
    train = encode_split(run.checkpoint, prepared, "train", accelerator)
    test = encode_split(run.checkpoint, prepared, "test", accelerator)
    name = "corruptions"
    found = (
        corruption_section(run, prepared, accelerator)
        if corruptions
        else Section(name, TITLES[name], "", missing=words.UNASKED),
        distance_section(comparable(run.checkpoint, prepared, test, accelerator)),
        embedding_section(test, run.checkpoint.labels),
        realisability_section(train, test, prepared),
    )
    return {section.name: section for section in found}, ""


def distances(found: Comparable) -> dict[Pair, Distance]:
    """The distance of each pair of modalities."""
    return {
        (one, other): distance(found.vectors[one], found.vectors[other], found.labels)
        for one, other in itertools.combinations(found.vectors, 2)
    }


def distance_section(found: Comparable | str) -> Section:
    """Fig. 3, of one run: how far apart the modalities lie."""
    name = "distance"
    if isinstance(found, str):
        return Section(name, TITLES[name], "", missing=found)
    if len(found.labels) < 2:
        return Section(name, TITLES[name], "", missing="A distance needs two test samples or more.")
    by_pair = distances(found)
    rows = [
        (f"{one} – {other}", f"{d.overall:.4f}", f"{d.within:.4f}", str(len(d.by_class)), f"{d.bandwidth:.3f}")
        for (one, other), d in by_pair.items()
    ]
    said = "; ".join(f"{row[0]}: {row[1]} over all samples, {row[2]} within class" for row in rows)
    return Section(
        name,
        TITLES[name],
        words.VECTORS.format(meaning=found.meaning) + words.MEASURE + words.ONE_WEIGHT,
        lambda theme: draw_distances(by_pair, theme),
        alt=f"Squared Gaussian-kernel distances. {said}.",
        table=Table(("modalities", "all samples", "within class", "classes", "kernel width"), rows),
        measured=by_pair,
    )


def embedding_section(test: Encoded, labels: tuple[str, ...]) -> Section:
    """Fig. 4: the joint features in the plane."""
    name = "embedding"
    chosen = embedding.shown(len(test.labels))
    points = embedding.joint({one: values.numpy()[chosen] for one, values in test.features.items()})
    targets = test.labels.numpy()[chosen]
    found = embedding.embed(points)
    if found is None:
        missing = f"t-SNE needs {embedding.LEAST} test samples or more whose features differ."
        return Section(name, TITLES[name], "", missing=missing)
    count = f"{len(chosen)} of the {len(test.labels)} test samples" if len(chosen) < len(test.labels) else "Test split"
    classes = len(set(targets.tolist()))
    some = f" Of {classes} classes the {NAMED_POINTS} largest are coloured." if classes > CLASSES else ""
    return Section(
        name,
        TITLES[name],
        f"{count}.{words.EMBEDDING.format(perplexity=embedding.perplexity(len(points)))}{some}",
        lambda theme: draw_embedding(found, targets, labels, theme),
        alt=f"{len(points)} samples of {classes} classes in the plane, coloured by class.",
    )


def realisability_section(train: Encoded, test: Encoded, prepared: Prepared) -> Section:
    """The realisability error 𝒜 of Eq. 11, for every ordered pair of modalities."""
    name = "realisability"
    groups = prepared.pairs.groups[train.samples.numpy()]
    if len(set(groups.tolist())) < 2:
        return Section(name, TITLES[name], "", missing="It needs two groups of training samples or more.")
    found: dict[Pair, Realisability] = {}
    for given, wanted in itertools.permutations(train.features, 2):
        fitted, measured = (
            Sources(split.features[given].double().numpy(), split.features[wanted].double().numpy())
            for split in (train, test)
        )
        found[given, wanted] = realisability(fitted, measured, groups)
    rows = [
        (
            f"{given} → {wanted}",
            f"{one.error:.4f}",
            f"{one.constant_error:.4f}",
            f"{one.normalised:.3f}",
            f"{one.strength:g}",
        )
        for (given, wanted), one in found.items()
    ]
    some = f" Fitted on {MOST} of the training samples." if len(groups) > MOST else ""
    return Section(
        name,
        TITLES[name],
        words.REALISABILITY + some,
        lambda theme: draw_realisability(found, theme),
        alt="Error relative to predicting the mean. " + "; ".join(f"{row[0]}: {row[3]}" for row in rows) + ".",
        table=Table(("direction", "error 𝒜", "error of the mean", "relative", "ridge strength"), rows),
        measured=found,
    )


def comparable_of(run: Finished, accelerator: Accelerator) -> Comparable:
    """What distances between the modalities of a run are measured on.

    Raises:
        CheckpointError: there is nothing that could be compared, or the training state is damaged.
        DataError: the data of the training was not found as it was.
    """
    folder = run.checkpoint.folder
    try:
        prepared = restore(run.checkpoint)
    except DataError as error:
        raise DataError(f"{folder}: the data of its training was not found as it was: {error}") from None
    test = encode_split(run.checkpoint, prepared, "test", accelerator)
    found = comparable(run.checkpoint, prepared, test, accelerator)
    if isinstance(found, str):
        raise CheckpointError(f"{folder}: {found}")
    return found
