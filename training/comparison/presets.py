"""The paper's tables as variants, under the names that their rows have there."""

from collections.abc import Callable, Sequence

from training import catalog
from training.comparison.variants import Table, Variant, variant

REFERENCE = "infobridge"
PAPER_ALPHA = 0.1
PAPER_GRID = (0.0, 0.01, 0.05, 0.1, 0.5, 1.0)
"""α of Fig. 3: the grid of Section 4.1, and 0."""

LABELS = {
    "unimodal": "Unimodal",
    "joint": "Joint-Train",
    "infonce": "InfoNCE",
    "mmpareto": "MMPareto",
    "relearning": "D&R",
    "reconboost": "ReconBoost",
    "ogm_ge": "OGM-GE",
    "pmr": "PMR",
    "assisted": "Assisted",  # not in the paper: joint training with a loss for each modality
    "infobridge": "InfoBridge (Ours)",
}
"""Rows of Table 1 by the name of their method."""

PROTECTED = "infobridge-protected"
OURS = "--method infobridge --method.variant protected"
"""Our variant of InfoBridge; in tables beside the paper's, with the paper's α."""

WEIGHED = ("infonce", "infobridge")
"""Methods with the paper's α, for which it searches one grid."""

TABLE2 = (
    variant("infobridge-alpha-0", "W/o CMI Objective", "--method infobridge --method.alpha 0"),
    variant("infobridge-no-margin", "W/o Protective Margin", "--method infobridge --method.no-margin"),
    variant("infobridge-constant", "W/o Context-aware Prior", "--method infobridge --method.context constant"),
    variant(
        "infobridge-cluster-5",
        "W/o Semantic Context",
        "--method infobridge --method.context cluster --method.clusters 5",
    ),
    variant(
        "infobridge-uncapped",
        "W/o Protective Margin, as a cap (N0 = 100)",
        "--method infobridge --method.negatives-per-pair 100",
    ),
    variant("infobridge", "InfoBridge (Full)", "--method infobridge"),
)
"""The margin also caps the information that can be certified, at log N0: the other reading of its row lifts the cap."""

TABLE3 = (
    variant("infobridge-retrieval", "Retrieval (k = 3)", "--method infobridge --method.context retrieval"),
    variant(
        "infobridge-cluster-5",
        "Cluster (k = 5)",
        "--method infobridge --method.context cluster --method.clusters 5",
    ),
    variant(
        "infobridge-cluster-10",
        "Cluster (k = 10)",
        "--method infobridge --method.context cluster --method.clusters 10",
    ),
    variant("infobridge", "Semantics (Ours)", "--method infobridge"),
)

TABLE_OURS = (
    variant("assisted", "W/o CMI Objective and False Pairs (Assisted)", "--method assisted"),
    variant(f"{PROTECTED}-alpha-0", "W/o CMI Objective", f"{OURS} --method.alpha 0"),
    variant(f"{PROTECTED}-alone", "W/o False Pairs", f"{OURS} --method.protection 0"),
    variant(f"{PROTECTED}-shareless", "W/o Each Share's Own Loss", f"{OURS} --method.share-weight 0"),
    variant(PROTECTED, "InfoBridge, protected", OURS),
)

SCHEDULES = (
    "D&R takes encoders back every 20 epochs, and a stage of ReconBoost has 8: a short training is joint training "
    "there, or ends within a stage, unless --variant gives these rows other options, as in "
    '--variant "relearning=--method relearning --method.every 5".'
)


def table1(alphas: Sequence[float]) -> Table:
    """Every method on disk, the paper's in its order; of those with α, a family over `alphas`."""
    present = [name for name in LABELS if name in catalog.names("methods")]
    present[-1:-1] = [name for name in catalog.names("methods") if name not in LABELS]
    found = [each for name in present for each in of_method(name, alphas or (PAPER_ALPHA,))]
    found += _weighed(PROTECTED, "InfoBridge, protected", OURS, alphas or (PAPER_ALPHA,))
    remarks = [f"{label}: left out, there is no method {name} here." for name, label in LABELS.items()]
    absent = [line for name, line in zip(LABELS, remarks, strict=True) if name not in present]
    return Table("Table 1: methods", tuple(found), REFERENCE, (SCHEDULES, *absent))


def table2(_: Sequence[float]) -> Table:
    """Ablations."""
    return Table("Table 2: ablations", TABLE2, REFERENCE)


def table3(_: Sequence[float]) -> Table:
    """Conditions."""
    return Table("Table 3: conditions T", TABLE3, REFERENCE)


def figure3(alphas: Sequence[float]) -> Table:
    """Weights α, each a row."""
    found = tuple(
        variant(alpha_name(REFERENCE, alpha), f"α = {alpha:g}", f"--method {REFERENCE} --method.alpha {alpha}")
        for alpha in alphas or PAPER_GRID
    )
    return Table("Figure 3: weights α", found, REFERENCE)


def protected(_: Sequence[float]) -> Table:
    """What each term of our variant does: it without one, without two, and whole, all with the paper's α."""
    return Table("InfoBridge, protected: ablations", TABLE_OURS, PROTECTED)


PRESETS: dict[str, Callable[[Sequence[float]], Table]] = {
    "table1": table1,
    "table2": table2,
    "table3": table3,
    "figure3": figure3,
    "protected": protected,
}


def of_method(name: str, alphas: Sequence[float], context: str | None = None) -> list[Variant]:
    """The variants of a method, with a context T where one is given: one, or a family over `alphas`."""
    label = LABELS.get(name, name)
    folder, options = name, f"--method {name}"
    if context is not None:
        label, folder, options = f"{label}, {context}", f"{name}-{context}", f"{options} --method.context {context}"
    if name not in WEIGHED or not alphas:
        return [variant(folder, label, options)]
    return _weighed(folder, label, options, alphas)


def _weighed(folder: str, label: str, options: str, alphas: Sequence[float]) -> list[Variant]:
    """A family over `alphas`."""
    return [
        variant(
            alpha_name(folder, alpha),
            f"{label}, α = {alpha:g}" if len(alphas) > 1 else label,
            f"{options} --method.alpha {alpha}",
            folder,
        )
        for alpha in alphas
    ]


def alpha_name(folder: str, alpha: float) -> str:
    """The folder of a variant with this α: the paper's has the plain name."""
    return folder if alpha == PAPER_ALPHA else f"{folder}-alpha-{alpha:g}"
