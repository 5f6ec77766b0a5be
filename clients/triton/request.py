"""What is sent to a Triton server, whichever way: a request, and the tensors of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tritonclient.utils import np_to_triton_dtype

from bundle.modalities import Array
from clients.errors import InvalidCall, UnexpectedAnswer

DIGEST = "infobridge.bundle."
"""Prefix of the model's parameters that name the bundle of each version by the SHA-256 of its manifest.json."""


SLACK = 1.0
"""Seconds that a request may wait for longer in the server's queue: it is the client who says that time is over."""


@dataclass(frozen=True)
class Address:
    """Where a server is, and how it is spoken to.

    Raises:
        InvalidCall: another kind of address.
    """

    url: str

    def __post_init__(self) -> None:
        scheme, separator, rest = self.url.partition("://")
        if not separator or scheme not in ("http", "https", "grpc", "grpcs") or not rest.strip("/"):
            raise InvalidCall(
                f"url: expected an address such as http://localhost:8000 or grpc://localhost:8001, found {self.url!r}"
            )

    @property
    def grpc(self) -> bool:
        """Whether it is spoken to over gRPC."""
        return self.url.startswith("grpc")

    @property
    def secure(self) -> bool:
        """Whether over TLS."""
        return self.url.partition("://")[0].endswith("s")

    @property
    def host(self) -> str:
        """Host and port, as gRPC takes them."""
        return self.url.partition("://")[2].rstrip("/")


@dataclass(frozen=True)
class Served:
    """What a server offers of the bundle."""

    version: str
    max_batch: int
    """Most samples of a request."""

    @classmethod
    def read(cls, config: Mapping[str, Any], model: str, digest: str) -> "Served":
        """From the model's configuration in JSON.

        Raises:
            UnexpectedAnswer: no version of it is of the very bundle whose manifest has this digest.
        """
        parameters = config.get("parameters") or {}
        known = {
            key.removeprefix(DIGEST): value.get("string_value", "")
            for key, value in parameters.items()
            if key.startswith(DIGEST)
        }
        versions = [version for version, stated in known.items() if stated == digest and version.isdecimal()]
        if not versions:
            found = ", ".join(sorted({stated[:12] for stated in known.values()})) or "none that says so"
            raise UnexpectedAnswer(
                f"expected a model {model!r} exported from this bundle ({digest[:12]}), the server's is of {found}"
            )
        return cls(max(versions, key=int), max(1, int(config.get("max_batch_size") or 1)))


@dataclass(frozen=True)
class Region:
    """Shared memory that a server knows."""

    name: str
    offsets: Mapping[str, int]
    """Where each input begins in it, in bytes."""


@dataclass(frozen=True)
class Request:
    """One inference."""

    model: str
    version: str
    inputs: Mapping[str, Array]
    outputs: tuple[str, ...]
    timeout: float
    """Seconds until the answer."""
    id: str = ""
    region: Region | None = None
    """Where the inputs lie instead of in the request."""

    @property
    def microseconds(self) -> int:
        """How long it may wait in the server's queue, as Triton takes it."""
        return int((self.timeout + SLACK) * 1e6)

    def tensors(self, library: Any) -> list[Any]:
        """The inputs as `tritonclient.http` or `tritonclient.grpc` takes them."""
        made = []
        for name, array in self.inputs.items():
            tensor = library.InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype))
            if self.region is None:
                tensor.set_data_from_numpy(array)
            else:
                tensor.set_shared_memory(self.region.name, array.nbytes, self.region.offsets[name])
            made.append(tensor)
        return made

    def wanted(self, library: Any) -> list[Any]:
        """The outputs likewise."""
        return [library.InferRequestedOutput(name) for name in self.outputs]
