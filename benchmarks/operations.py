"""What a processor queues for a step: each operation that a device computes, and each whose value is waited for."""

from collections import Counter
from collections.abc import Callable
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode

VIEWS = frozenset(
    "alias as_strided detach diagonal expand lift_fresh permute reshape select slice split split_with_sizes squeeze t"
    " transpose unbind unfold unsqueeze view view_as_real _reshape_alias _unsafe_view".split()
)
"""What only looks at a tensor in another way."""
WAITING = frozenset(("_local_scalar_dense", "nonzero", "masked_select", "unique", "_unique2", "equal", "is_nonzero"))
"""What needs a tensor's values at once, for a number or a size, so that the queue of a device runs dry."""


class Operations(TorchDispatchMode):
    """Counts what is dispatched inside, forward and backward, but for views."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Count, and compute as without."""
        name = func.overloadpacket.__name__
        self.counts[name] += name not in VIEWS
        return func(*args, **(kwargs or {}))

    @property
    def whole(self) -> int:
        """How many there were."""
        return self.counts.total()

    @property
    def waits(self) -> dict[str, int]:
        """Those whose values are waited for."""
        return {name: count for name, count in self.counts.items() if name in WAITING and count}


def count(task: Callable[[], object]) -> Operations:
    """The operations of a task."""
    found = Operations()
    with found:
        task()
    return found
