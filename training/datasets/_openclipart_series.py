"""A drawing of Open Clip Art with what its SVG says of it, and which drawings are one artist's series."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

DUBLIN_CORE = "{http://purl.org/dc/elements/1.1/}"
NUMBER = re.compile(r"[\W_]*\d+[a-z]?$")
"""At the end of a file name; it may stand there twice, as in blueman_201_01."""


@dataclass(frozen=True)
class Drawing:
    """One picture."""

    path: Path
    """Of the PNG file."""
    place: str
    """Folder and name without ending, as in animals/birds/duck_01."""
    title: str
    """As its artist wrote it, "" where there is none."""
    artist: str
    digest: str
    """Of the picture's bytes."""

    @property
    def label(self) -> str:
        """The folder at the top."""
        return self.place.split("/")[0]

    @classmethod
    def read(cls, picture: Path, drawn: Path, place: str) -> "Drawing":
        """The title and the artist are those of the work in the SVG; one that cannot be parsed has neither."""
        title, artist = _described(drawn)
        return cls(picture, place, title, artist, hashlib.sha256(picture.read_bytes()).hexdigest())


def _described(drawn: Path) -> tuple[str, str]:
    try:
        root = ElementTree.fromstring(drawn.read_bytes())
    except ElementTree.ParseError:
        return "", ""
    work = next((element for element in root.iter() if element.tag.endswith("}Work")), None)
    if work is None:
        return "", ""
    title = work.findtext(f"{DUBLIN_CORE}title") or ""
    artist = work.findtext(f"{DUBLIN_CORE}creator//{DUBLIN_CORE}title") or ""
    return " ".join(title.split()), " ".join(artist.split())


def series_of(drawings: Sequence[Drawing]) -> list[str]:
    """The name of each drawing's series: the first place in it.

    Drawings are of one series where their names in a folder differ in a number only, or where an artist gave them the
    same title but for numbers; and so on through others. Many series are spread over folders and classes.
    """
    leader: dict[object, object] = {}

    def find(key: object) -> object:
        while (above := leader.setdefault(key, key)) != key:
            leader[key] = leader[above]
            key = above
        return key

    for drawing in drawings:
        folder, _, name = drawing.place.rpartition("/")
        title = re.sub(r"[\d\W_]+", " ", drawing.title.lower()).strip()
        keys: list[object] = [("name", folder, NUMBER.sub("", NUMBER.sub("", name)))]
        if title:
            keys.append(("title", drawing.artist.lower(), title))
        for key in keys:
            leader[find(key)] = find(("drawing", drawing.place))
    first: dict[object, str] = {}
    return [first.setdefault(find(("drawing", drawing.place)), drawing.place) for drawing in drawings]
