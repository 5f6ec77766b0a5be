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
PROTECTED_ALPHAS = (0.1, 0.5)
"""Of our variant of InfoBridge, chosen on validation."""

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


def table1(alphas: Sequence[float]) -> Table:
    """Every method on disk, the paper's in its order; of those with α, a family over `alphas`."""
    present = [name for name in LABELS if name in catalog.names("methods")]
    present[-1:-1] = [name for name in catalog.names("methods") if name not in LABELS]
    found = [each for name in present for each in of_method(name, alphas or (PAPER_ALPHA,))]
    found += [_protected(alpha, PROTECTED) for alpha in alphas or PROTECTED_ALPHAS]
    remarks = [f"{label}: left out, there is no method {name} here." for name, label in LABELS.items()]
    absent = [line for name, line in zip(LABELS, remarks, strict=True) if name not in present]
    return Table("Table 1: methods", tuple(found), REFERENCE, tuple(absent))


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


def protected(alphas: Sequence[float]) -> Table:
    """What each term of our variant does: it without one or both, and whole."""
    found = (
        variant("assisted", "W/o either: Assisted", "--method assisted"),
        _protected(0.0),
        variant(
            f"{PROTECTED}-alone",
            "W/o False Pairs",
            "--method infobridge --method.variant protected --method.protection 0",
        ),
        *(_protected(alpha, PROTECTED) for alpha in alphas or PROTECTED_ALPHAS),
    )
    return Table("InfoBridge, protected: ablations", found, PROTECTED)


def _protected(alpha: float, family: str | None = None) -> Variant:
    label = f"InfoBridge, protected, α = {alpha:g}" if family else f"W/o CMI Objective (α = {alpha:g})"
    options = f"--method infobridge --method.variant protected --method.alpha {alpha:g}"
    return variant(alpha_name(PROTECTED, alpha), label, options, family)


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
    family = folder if len(alphas) > 1 else None
    return [
        variant(
            alpha_name(folder, alpha),
            label if family is None else f"{label}, α = {alpha:g}",
            f"{options} --method.alpha {alpha}",
            family,
        )
        for alpha in alphas
    ]


def alpha_name(folder: str, alpha: float) -> str:
    """The folder of a variant with this α: the paper's has the plain name."""
    return folder if alpha == PAPER_ALPHA else f"{folder}-alpha-{alpha:g}"
