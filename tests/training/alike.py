"""Trainings whose course must not depend on the number of processes; run by torchrun, it writes what each found.

`torchrun --nproc-per-node 2 -m tests.training.alike TABLE CACHE FOLDER`
"""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.training.tables import QUICK
from training import catalog, distributed
from training.command import parse
from training.config import Config
from training.fit import prepare
from training.loop import Loop
from training.progress import begin

MORE = {
    "infobridge": {
        "protected": "--method.variant protected",
        "cluster": "--method.context cluster --method.clusters 2",
        "retrieval": "--method.context retrieval",
        "alternate": "--method.update alternate --method.critic mlp --method.memory 12",
    },
    "infonce": {"memory": "--method.memory 16"},
    "mmpareto": {"official-code": "--method.variant official-code"},
    "pmr": {"momentum": "--method.momentum 0.3"},
    "relearning": {"each epoch": "--method.every 1 --method.times 2"},
    "reconboost": {"short": "--method.alternation-epochs 1 --method.rectification-epochs 1"},
    "joint": {
        "dropout of modalities": "--modality-dropout 0.4",
        "two parts": "--accumulate 2",
        "clipped": "--clip 0.1",
        "balanced": "--sampling balanced",
        "film": "--fusion film",
    },
}
"""Beside every method as it is, what takes other ways through it."""
CASES = {name: (name, "") for name in catalog.names("methods")} | {
    f"{name}, {what}": (name, options) for name, found in MORE.items() for what, options in found.items()
}
STEADY = tuple(
    "--modalities image genomics --genomics.encoder.dropout 0 --optimiser sgd --learning-rate 0.05 --epochs 3".split()
)


def configuration(case: str, table: Path, cache: Path, folder: Path) -> Config:
    """What one case trains with."""
    method, options = CASES[case]
    named = ["--dataset", "table", "--dataset.path", str(table), "--out", str(folder), "--cache", str(cache)]
    return parse([*named, *QUICK, *STEADY, "--method", method, *options.split()]).config


def course(case: str, table: Path, cache: Path, folder: Path) -> dict[str, Any]:
    """History, sums of the weights, and how many samples were measured."""
    config = configuration(case, table, cache, folder)
    folder.mkdir(parents=True, exist_ok=True)
    with distributed.main_first():
        prepared = prepare(config)
    loop = Loop(config, prepared, folder)
    result = loop.run()
    weights = {
        name: [float(value.double().sum()), float(value.double().square().sum())]
        for name, value in loop.model.state_dict().items()
    }
    scores = {split: found.samples.tolist() for split, found in result.scores.items()}
    logits = {split: found.logits.tolist() for split, found in result.scores.items()}
    return {"history": loop.history, "weights": weights, "samples": scores, "logits": logits}


def main() -> None:
    """Train every case, in this process's part."""
    table, cache, folder = map(Path, sys.argv[1:])
    begin(speaks=False)
    distributed.start(replace(configuration("joint", table, cache, folder)))
    for case in CASES:
        found = course(case, table, cache, folder / case)
        (folder / f"{case} {distributed.number()}.json").write_text(json.dumps(found))
    distributed.end()


if __name__ == "__main__":
    main()
