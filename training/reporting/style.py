"""How figures look: colours that the colour-blind can tell, for light and dark pages, and class names that fit."""

import io
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import matplotlib
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ft2font import FT2Font

from bundle.checking import one_line
from bundle.modalities import MODALITIES
from training.reporting.confidence import FUSED

WIDTH = 5.6
"""Inches of every figure: a phone's screen then shows its letters little smaller than the page's."""
RESOLUTION = 200
"""Pixels per inch."""
LONGEST_NAME = 26
"""Characters of a class name in a figure."""
MARKERS = "osD^vPX*"
FONTS = (
    *("Noto Sans CJK SC", "Noto Sans CJK JP", "Source Han Sans SC", "WenQuanYi Zen Hei", "Microsoft YaHei"),
    *("PingFang SC", "Hiragino Sans", "Arial Unicode MS", "Noto Sans", "Noto Sans Arabic", "Noto Sans Devanagari"),
)
"""Looked for where they are installed, for class names beyond Latin, Greek and Cyrillic."""


@dataclass(frozen=True)
class Theme:
    """Colours of a page and its figures."""

    background: str
    ink: str
    faint: str
    """Grid lines and what is not in focus."""
    palette: tuple[str, ...]
    """Okabe and Ito's, one for each modality; in the dark the blues are lightened."""
    strong: str
    """Of what is no modality; the full end of a scale that begins at the background."""
    second: str
    """Beside the strong one."""

    def modality(self, name: str) -> str:
        """The colour of a modality, the same in all figures of all runs; the ink for the fused classifier."""
        return self.ink if name == FUSED else self.palette[list(MODALITIES).index(name)]

    def scale(self) -> Colormap:
        """From the background to the full colour."""
        return LinearSegmentedColormap.from_list("infobridge", [self.background, self.strong])


LIGHT = Theme(
    "#ffffff",
    "#1d2329",
    "#c9ced4",
    ("#0072b2", "#d55e00", "#009e73", "#b0548c", "#e69f00", "#56b4e9"),
    "#0b4f7d",
    "#8d99a6",
)
DARK = Theme(
    "#15191e",
    "#e4e8ec",
    "#48515b",
    ("#4aa3e8", "#f0803c", "#2cc79b", "#d98fbc", "#f0b93a", "#a8dcff"),
    "#7cc4f5",
    "#8b96a2",
)
Draw = Callable[[Theme], Figure]


def marker(name: str) -> str:
    """The marker of a modality, or of the fused classifier."""
    return "|" if name == FUSED else MARKERS[list(MODALITIES).index(name)]


def render(draw: Draw, theme: Theme) -> bytes:
    """A figure as PNG."""
    with _styled(theme):
        figure = draw(theme)
        buffer = io.BytesIO()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
            figure.savefig(buffer, format="png", dpi=RESOLUTION)
    return buffer.getvalue()


def panels(rows: int, height: float, share_x: bool = True) -> tuple[Figure, list[Axes]]:
    """A figure of panels one below the other, each so many inches high."""
    figure = Figure(figsize=(WIDTH, rows * height), layout="constrained")
    axes = figure.subplots(rows, 1, sharex=share_x, squeeze=False)
    return figure, list(axes[:, 0])


def legend(figure: Figure, handles: Sequence[Any], names: Sequence[str], columns: int = 4) -> None:
    """A legend below the panels; a name may be any text, where matplotlib would take "_" and "$" for its own."""
    drawn = figure.legend(
        list(handles),
        [f"{number}" for number in range(len(names))],
        loc="outside lower center",
        ncols=min(columns, len(names)),
    )
    for text, name in zip(drawn.get_texts(), names, strict=True):
        text.set_text(name)


def class_names(labels: Sequence[str]) -> list[str]:
    """Class names as figures show them: on one line, their middle left out where they are long.

    A name that the installed fonts cannot write becomes "class 7", by its number in the report's tables; names that
    would be alike begin with that number.
    """
    known = _characters()
    readable = [
        label if label and all(ord(character) in known for character in label) else f"class {number}"
        for number, label in enumerate(map(one_line, labels), 1)
    ]
    found = [_shortened(label) for label in readable]
    return [
        name if found.count(name) == 1 else _shortened(f"{number}. {readable[number - 1]}")
        for number, name in enumerate(found, 1)
    ]


def _shortened(name: str) -> str:
    half = LONGEST_NAME // 2
    return name if len(name) <= LONGEST_NAME else f"{name[: half - 1]}…{name[-half:]}"


@cache
def _families() -> tuple[str, ...]:
    installed = set(font_manager.get_font_names())
    return ("DejaVu Sans", *(name for name in FONTS if name in installed))


@cache
def _characters() -> frozenset[int]:
    paths = [font_manager.findfont(family) for family in _families()]
    return frozenset(code for path in paths for code in FT2Font(path).get_charmap())


@contextmanager
def _styled(theme: Theme) -> Iterator[None]:
    changed: Any = {
        "font.family": list(_families()),
        "font.size": 10.0,
        "figure.constrained_layout.w_pad": 0.1,
        "figure.constrained_layout.h_pad": 0.1,
        "axes.titlesize": 10.0,
        "axes.titlelocation": "left",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "grid.color": theme.faint,
        "grid.linewidth": 0.6,
        "grid.alpha": 0.6,
        "legend.frameon": False,
        "legend.fontsize": 9.5,
        "lines.linewidth": 1.8,
        "lines.markersize": 5.5,
        "text.parse_math": False,  # class names may hold dollars
        **dict.fromkeys(("figure.facecolor", "axes.facecolor", "savefig.facecolor"), theme.background),
        **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), theme.ink),
    }
    with matplotlib.rc_context(changed):
        yield
