"""A miniature of the Debian packages of Open Clip Art, as folders and as .deb files."""

import io
import tarfile
from pathlib import Path

from tests.bundle.media import colourful, picture

SVG = """<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<svg xmlns="http://www.w3.org/2000/svg" xmlns:cc="http://web.resource.org/cc/" xmlns:dc="http://purl.org/dc/elements/1.1/"
  xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><title>no title of the work</title><metadata><rdf:RDF>
<cc:Work><dc:subject><rdf:Bag><rdf:li>{label}</rdf:li></rdf:Bag></dc:subject><dc:title>{title}</dc:title>
<dc:publisher><cc:Agent><dc:title>Open Clip Art Library</dc:title></cc:Agent></dc:publisher>
<dc:creator><cc:Agent><dc:title>{artist}</dc:title></cc:Agent></dc:creator></cc:Work></rdf:RDF></metadata></svg>"""
TOPICS = ("animals", "food", "tools")


def drawings() -> list[tuple[str, str, str, int]]:
    """Place, title, artist and number of the picture: eight series of two a topic, and the odd ones."""
    found = []
    for start, topic in enumerate(TOPICS):
        for number in range(16):
            word = "abcdefgh"[number // 2]
            found.append(
                (f"{topic}/sub.{topic}/{word}._{number:02}", f"Ein {word} {topic}", "Ana", 100 * start + number)
            )
    found += [
        ("animals/birds/untitled", "", "Ben", 900),
        ("animals/birds/broken", "&", "Ben", 901),
        ("animals/copy", "the same", "Ben", 902),
        ("food/copy", "the same", "Ben", 902),
        ("tools/one_blue", "BlueMan#101", "Cem", 903),
        ("animals/two_green", "BlueMan #7", "Cem", 904),
        ("computer/icons/home", "gramastar", "Dan", 905),
    ]
    return found


def openclipart(folder: Path, more: int = 0) -> Path:
    """`png` and `svg` of the drawings; with `more`, six series of so many in tools."""
    series = [
        (f"tools/pack/{pack}_{number}", f"card {pack}", "Eva", 2000 + 100 * place + number)
        for place, pack in enumerate("uvwxyz")
        for number in range(more)
    ]
    for place, title, artist, number in (*drawings(), *series):
        for kind, content in (
            ("png", picture(colourful(20, 20, seed=number))),
            ("svg", SVG.format(label=place.split("/")[0], title=title, artist=artist).encode()),
        ):
            path = folder / kind / f"{place}.{kind}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    return folder


def deb(source: Path, target: Path, ending: str = "xz") -> Path:
    """A Debian package that would put the folder into /usr/share/openclipart."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode=f"w:{ending}") as tar:  # type: ignore[call-overload]
        tar.add(source, f"./usr/share/openclipart/{source.name}")
    members = {"debian-binary": b"2.0\n", "control.tar.gz": b"odd", f"data.tar.{ending}": packed.getvalue()}
    content = b"!<arch>\n"
    for name, data in members.items():
        content += (
            f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(data):<10}`\n".encode() + data + b"\n" * (len(data) % 2)
        )
    target.write_bytes(content)
    return target
