"""`training.fit`, but one process of several fails in the middle of its first epoch."""

import sys
from typing import Any

from training import distributed
from training.errors import TrainingError
from training.fit import main
from training.methods.joint import Joint


def fail(self: Joint, out: Any, batch: Any) -> Any:
    """What goes wrong, in one process."""
    if distributed.number() == 1:
        raise TrainingError("process 1 cannot go on")
    return {"task": self.classify(out.logits, batch.labels)}


if __name__ == "__main__":
    Joint.loss = fail  # type: ignore[method-assign]
    sys.exit(main())
