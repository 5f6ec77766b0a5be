"""From a request for many samples to the fields of each: parts named `0.image`, `0.text`, `1.image`, or a JSON list."""

import re
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request

from bundle.errors import InvalidInput
from serving.fields import JSON, Field, Fields, gather, read_pairs, shorten
from serving.form import MAX_PARTS
from serving.options import NAMES, Options
from serving.problems import problem
from serving.settings import Settings

ITEMS = "items"
NUMBERED = re.compile(r"(0|[1-9][0-9]{0,5})\.(.+)", re.DOTALL)
Item = Fields | InvalidInput
"""What one sample asks, or why it cannot be read: that is its own matter and no other's."""


@dataclass(frozen=True)
class Batch:
    """What a whole request asks."""

    items: list[Item]
    """Each with its own options, and those of the request where it has none."""
    options: Options
    """Those of the request."""


async def read_batch(request: Request, settings: Settings) -> Batch:
    """Read a whole request. A number that no part has is a sample without fields.

    Raises:
        ProblemError: 400, 413 or 415 for a body that cannot be read, 413 for too many samples.
        InvalidInput: no sample at all, a field that belongs to none, or an option of another value than its own.
    """
    media_type, pairs = await read_pairs(request, settings.part_limit, (settings.batch_items + 1) * MAX_PARTS)
    batch = _from_json(pairs) if media_type == JSON else _from_form(pairs)
    items = batch.items
    if not items:
        raise InvalidInput("at least one sample", "none", ITEMS if media_type == JSON else "0.…")
    if len(items) > settings.batch_items:
        raise problem(
            "too-large",
            f"a request may have at most {settings.batch_items} samples, this one has {len(items)}",
            expected=f"at most {settings.batch_items} samples",
            received=f"{len(items)} samples",
        )
    return batch


def _from_form(pairs: list[tuple[str, Field]]) -> Batch:
    gathered: dict[int, list[tuple[str, Field]]] = {}
    shared: list[tuple[str, Field]] = []
    for name, field in pairs:
        match = NUMBERED.fullmatch(name)
        if match is not None:
            gathered.setdefault(int(match[1]), []).append((match[2], field))
        elif name in NAMES:
            shared.append((name, field))
        else:
            expected = f"parts named NUMBER.FIELD, such as 0.image, and perhaps {', '.join(NAMES)}"
            raise InvalidInput(expected, "another", shorten(name))
    common = gather(shared).options
    return Batch([_item(gathered.get(number, []), common) for number in range(1 + max(gathered, default=-1))], common)


def _from_json(pairs: list[tuple[str, Field]]) -> Batch:
    content = {name: field.content for name, field in pairs}
    for name in content:
        if name not in (ITEMS, *NAMES):
            raise InvalidInput(f"only {ITEMS}, {', '.join(NAMES)}", "an unknown field", shorten(name))
    listed = content.get(ITEMS)
    if not isinstance(listed, list):
        raise InvalidInput("a list of samples", "nothing" if listed is None else type(listed).__name__, ITEMS)
    common = Options.read(content)
    return Batch([_json_item(entry, common) for entry in listed], common)


def _json_item(entry: Any, common: Options) -> Item:
    if not isinstance(entry, dict):
        return InvalidInput("an object of fields", type(entry).__name__)
    return _item([(name, Field(value, uploaded=False)) for name, value in entry.items()], common)


def _item(pairs: list[tuple[str, Field]], common: Options) -> Item:
    try:
        fields = gather(pairs)
    except InvalidInput as error:
        return error
    return Fields(fields.inputs, fields.options.over(common))
