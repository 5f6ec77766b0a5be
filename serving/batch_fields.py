"""From a request for many samples to the fields of each: parts named `0.image`, `0.text`, `1.image`, or a JSON list."""

import re
from typing import Any

from starlette.requests import Request

from bundle.errors import InvalidInput
from serving.fields import JSON, MODEL, Field, Fields, gather, model_name, read_pairs, shorten
from serving.form import MAX_PARTS
from serving.problems import problem
from serving.settings import Settings

ITEMS = "items"
NUMBERED = re.compile(r"(0|[1-9][0-9]{0,5})\.(.+)", re.DOTALL)
Item = Fields | InvalidInput
"""What one sample asks, or why it cannot be read: that is its own matter and no other's."""


async def read_batch(request: Request, settings: Settings) -> list[Item]:
    """Read a whole request. A number that no part has is a sample without fields.

    Raises:
        ProblemError: 400, 413 or 415 for a body that cannot be read, 413 for too many samples.
        InvalidInput: no sample at all, or a field that belongs to none.
    """
    media_type, pairs = await read_pairs(request, settings.part_limit, (settings.batch_items + 1) * MAX_PARTS)
    items = _from_json(pairs) if media_type == JSON else _from_form(pairs)
    if not items:
        raise InvalidInput("at least one sample", "none", ITEMS if media_type == JSON else "0.…")
    if len(items) > settings.batch_items:
        raise problem(
            "too-large",
            f"a request may have at most {settings.batch_items} samples, this one has {len(items)}",
            expected=f"at most {settings.batch_items} samples",
            received=f"{len(items)} samples",
        )
    return items


def _from_form(pairs: list[tuple[str, Field]]) -> list[Item]:
    gathered: dict[int, list[tuple[str, Field]]] = {}
    shared: list[tuple[str, Field]] = []
    for name, field in pairs:
        match = NUMBERED.fullmatch(name)
        if match is not None:
            gathered.setdefault(int(match[1]), []).append((match[2], field))
        elif name == MODEL:
            shared.append((name, field))
        else:
            raise InvalidInput("parts named NUMBER.FIELD, such as 0.image, and perhaps model", "another", shorten(name))
    common = gather(shared).model
    return [_item(gathered.get(number, []), common) for number in range(1 + max(gathered, default=-1))]


def _from_json(pairs: list[tuple[str, Field]]) -> list[Item]:
    content = {name: field.content for name, field in pairs}
    for name in content:
        if name not in (ITEMS, MODEL):
            raise InvalidInput(f"only {ITEMS} and {MODEL}", "an unknown field", shorten(name))
    listed = content.get(ITEMS)
    if not isinstance(listed, list):
        raise InvalidInput("a list of samples", "nothing" if listed is None else type(listed).__name__, ITEMS)
    common = model_name(content[MODEL]) if MODEL in content else None
    return [_json_item(entry, common) for entry in listed]


def _json_item(entry: Any, common: str | None) -> Item:
    if not isinstance(entry, dict):
        return InvalidInput("an object of fields", type(entry).__name__)
    return _item([(name, Field(value, uploaded=False)) for name, value in entry.items()], common)


def _item(pairs: list[tuple[str, Field]], common: str | None) -> Item:
    try:
        fields = gather(pairs)
    except InvalidInput as error:
        return error
    return fields if fields.model is not None else Fields(fields.inputs, common, shared=True)
