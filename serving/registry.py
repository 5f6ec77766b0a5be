"""The loaded models, and which of them a request means."""

import asyncio
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager

from bundle.errors import InvalidInput, ManifestError
from serving.fields import shorten
from serving.model import ServedModel
from serving.options import MODEL, NAMES
from serving.problems import problem

SHOWN = 8
"""Fields of a request that a message repeats."""


class Registry:
    """Every loaded model, by name.

    Raises:
        ManifestError: two models of one name, or an input that is named like one of a request's options.
    """

    def __init__(self, models: Sequence[ServedModel]) -> None:
        self._models: dict[str, ServedModel] = {}
        self._users = 0
        self._unused = asyncio.Event()
        self._unused.set()
        for model in models:
            if model.name in self._models:
                raise ManifestError(f"two bundles are named {model.name!r}; names must differ")
            for name in NAMES:
                if name in model.inputs:
                    raise ManifestError(f"bundle {model.name!r} has an input named {name!r}, which requests reserve")
            self._models[model.name] = model

    def __iter__(self) -> Iterator[ServedModel]:
        return iter(self._models.values())

    def find(self, name: str) -> ServedModel:
        """The model of this name.

        Raises:
            ProblemError: 404, there is none.
        """
        if name not in self._models:
            known = tuple(self._models)
            raise problem("unknown-model", f"no such model; there are {', '.join(known)}", field=MODEL, possible=known)
        return self._models[name]

    @contextmanager
    def in_use(self) -> Iterator["Registry"]:
        """Keeps the models open, though others may replace them meanwhile."""
        self._users += 1
        self._unused.clear()
        try:
            yield self
        finally:
            self._users -= 1
            if not self._users:
                self._unused.set()

    async def retire(self) -> None:
        """Close the models once nobody uses them any more."""
        await self._unused.wait()
        await self.close()

    async def close(self) -> None:
        """Close every model."""
        for model in self:
            await model.close()

    def choose(self, given: Collection[str], name: str | None, require_all: bool = False) -> ServedModel:
        """The model of this name, or the one that a set of fields means.

        Without a name, the model that takes exactly these fields answers; else the only one that takes them and more,
        unless all its inputs are required.

        Raises:
            ProblemError: 404 for an unknown name, 422 for fields that no model or several models take.
            InvalidInput: the field that is missing or unknown, where there is no doubt which one it is.
        """
        if name is not None:
            return _taking(self.find(name), given, require_all)
        wider = [model for model in self if given and set(model.inputs) >= set(given)]
        exact = [model for model in wider if len(model.inputs) == len(given)]
        if len(exact) == 1:
            return exact[0]
        if exact or (len(wider) > 1 and not require_all):
            names = tuple(model.name for model in exact or wider)
            detail = f"several models take these fields; name one in the field {MODEL!r}: {', '.join(names)}"
            raise problem("ambiguous-model", detail, field=MODEL, possible=names)
        if len({frozenset(model.inputs) for model in wider}) == 1:
            return _taking(wider[0], given, require_all)
        pairings = tuple(dict.fromkeys(" + ".join(model.inputs) for model in self))
        unknown = [field for field in given if not any(field in model.inputs for model in self)]
        shown = [*map(shorten, list(given)[:SHOWN]), *(["…"] if len(given) > SHOWN else [])]
        raise problem(
            "unknown-pairing",
            f"no model takes {' + '.join(shown) or 'nothing'}; possible are {'; '.join(pairings)}"
            + ("" if require_all else ", or a part of one"),
            field=shorten(unknown[0]) if unknown else None,
            possible=pairings,
        )


def _taking(model: ServedModel, given: Collection[str], require_all: bool) -> ServedModel:
    takes = ", ".join(model.inputs)
    for field in given:
        if field not in model.inputs:
            raise InvalidInput(f"only {takes}", "an unknown field", shorten(field))
    if not given:
        raise InvalidInput(f"{'all' if require_all else 'one or more'} of {takes}", "nothing")
    for field in model.inputs if require_all else ():
        if field not in given:
            came = ", ".join(name for name in model.inputs if name in given)
            raise InvalidInput(f"all of {takes}, since none may be missing (require_all)", f"only {came}", field)
    return model
