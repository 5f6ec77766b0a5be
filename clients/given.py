"""A text of the command line, as it was typed."""

from typing import Annotated

from tyro.constructors import PrimitiveConstructorSpec


def _as_typed() -> PrimitiveConstructorSpec[str | None]:
    """The very characters: tyro would read `None` as no value."""
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar="TEXT",
        instance_from_str=lambda given: given[0],
        is_instance=lambda value: value is None or isinstance(value, str),
        str_from_instance=lambda value: [str(value)],
    )


Given = Annotated[str | None, _as_typed()]
