"""Tables of runs made by hand: figures, tests, choices on validation alone, and what is missing."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.training.comparisons import TABLE, finish, outputs, part, planned
from training import checkpoint, scoring
from training.compare import main
from training.comparison.selection import choose
from training.dataset import Dataset
from training.evaluate import Scores

SEEDS = ("--seeds", "2", "--resamples", "500")


def tables(out: Path, *arguments: str) -> int:
    """Write the results of what is there."""
    return main([*TABLE, "--out", str(out), "--tables", *SEEDS, *arguments])


def results(out: Path) -> tuple[str, list[dict[str, str]], dict[str, Any]]:
    text = (out / "results.md").read_text(encoding="utf-8")
    with (out / "results.csv").open(newline="", encoding="utf-8") as file:
        return text, list(csv.DictReader(file)), json.loads((out / "results.json").read_text(encoding="utf-8"))


METHODS = ("--methods", "joint", "unimodal", "infobridge")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Three methods and two seeds: infobridge far ahead, images better on validation and worse on test."""
    for cell in planned(tmp_path, *METHODS, *SEEDS)[2]:
        right = {"joint": 40, "unimodal": 50, "infobridge": 90}[cell.variant] + 2 * cell.seed
        alone = {"image": part(20 + 2 * cell.seed, 100), "text": part(30, 100)}
        validation = outputs(part(6, 10), {"image": part(5, 10), "text": part(4, 10)})
        finish(cell, validation, outputs(part(right, 100), alone))
    return tmp_path


def test_figures_are_means_and_sample_deviations_over_seeds(out: Path) -> None:
    assert tables(out, *METHODS) == 0
    text, rows, content = results(out)
    assert "| method | seeds | validation | test | macro-F1 | image alone | text alone |" in text
    assert "| Joint-Train | 2 | 60.0 ± 0.0 | 41.0 ± 1.4 | 41.0 ± 1.4 | 21.0 ± 1.4 | 30.0 ± 0.0 |" in text
    joint = next(row for row in content["tables"][0]["rows"] if row["name"] == "joint")
    assert joint["summary"]["test"] == pytest.approx({"mean": 0.41, "deviation": np.std([0.40, 0.42], ddof=1)})
    assert joint["seeds"]["1"]["test"] == pytest.approx(0.42)
    assert [(row["variant"], row["seed"], row["status"]) for row in rows[:2]] == [
        ("joint", "0", "finished"),
        ("unimodal", "0", "finished"),
    ]
    assert {name: rows[0][name] for name in ("validation", "test", "best_epoch", "test_text")} == {
        "validation": "0.6",
        "test": "0.4",
        "best_epoch": "2",
        "test_text": "0.3",
    }


def test_the_micro_auc_is_told_where_the_dataset_asks_for_it(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tables(out, *METHODS)
    text, rows, _ = results(out)
    assert "AUC" not in text and "micro_auc" not in rows[0]
    monkeypatch.setattr(Dataset, "MICRO_AUC", True)
    tables(out, *METHODS)
    text, rows, content = results(out)
    assert "| method | seeds | validation | test | macro-F1 | micro-AUC | image alone | text alone |" in text
    assert "| Joint-Train | 2 | 60.0 ± 0.0 | 41.0 ± 1.4 | 41.0 ± 1.4 | 41.0 ± 1.4 | 21.0" in text, "two certain classes"
    assert float(rows[0]["micro_auc"]) == pytest.approx(0.4)
    joint = next(row for row in content["tables"][0]["rows"] if row["name"] == "joint")
    assert joint["seeds"]["1"]["micro_auc"] == pytest.approx(0.42)
    assert joint["summary"]["micro_auc"]["mean"] == pytest.approx(0.41)


def test_the_best_single_modality_is_a_row_and_chosen_on_validation(out: Path) -> None:
    tables(out, *METHODS)
    text, _, content = results(out)
    assert "| Unimodal (image) | 2 | 50.0 ± 0.0 | 21.0 ± 1.4 |" in text, "though text is better on test"
    assert "| Unimodal, late fusion | 2 | 60.0 ± 0.0 | 51.0 ± 1.4 |" in text
    main_table, others = text.split("Candidates:")
    assert "Unimodal (text)" not in main_table and "| Unimodal (text) | 2 | 40.0 ± 0.0 | 30.0 ± 0.0 |  |" in others
    assert "| Unimodal (image) | 2 | 50.0 ± 0.0 | 21.0 ± 1.4 | chosen |" in others
    chosen = {row["name"]: row["chosen"] for row in content["tables"][0]["rows"]}
    assert chosen == {
        "joint": True,
        "unimodal:image": True,
        "unimodal:text": False,
        "unimodal": True,
        "infobridge": True,
    }


def test_the_reference_is_tested_against_every_other_row(out: Path) -> None:
    tables(out, *METHODS)
    text, _, content = results(out)
    assert "InfoBridge (Ours) minus each other row" in text and "3 comparisons" in text
    assert "| Joint-Train | +50.0 | [+" in text
    found = {each["other"]: each for each in content["tables"][0]["comparisons"]}
    assert set(found) == {"joint", "unimodal:image", "unimodal"}
    assert {each["verdict"] for each in found.values()} == {"better"}
    assert found["joint"]["p"] == pytest.approx(2 / 501)
    assert found["joint"]["p_holm"] == pytest.approx(6 / 501)
    tables(out, *METHODS, "--reference", "joint")
    found = {each["other"]: each for each in results(out)[2]["tables"][0]["comparisons"]}
    assert found["infobridge"]["verdict"] == "worse" and found["infobridge"]["mean"] == pytest.approx(-0.5)


def test_the_same_answers_are_noise(tmp_path: Path) -> None:
    arguments = ("--methods", "joint", "infobridge")
    for cell in planned(tmp_path, *arguments, *SEEDS)[2]:
        finish(cell, outputs(part(6, 10)), outputs(part(40, 60)))
    tables(tmp_path, *arguments)
    assert "| Joint-Train | +0.0 | [+0.0, +0.0] | 1.000 | 1.000 | 2 | noise |" in results(tmp_path)[0]


def test_what_all_have_in_common_and_the_command_are_told(out: Path) -> None:
    tables(out, *METHODS, "--epochs", "7")
    text = results(out)[0]
    assert "of other options" in text
    tables(out, *METHODS)
    text, _, content = results(out)
    assert "9 train, 4 val, 4 test samples; 2 classes" in text
    assert "the same seeds (0, 1)" in text and "epochs (20)" in text and "batches of 64 in the same order" in text
    assert "image by convolutional, text by transformer" in text
    command = f"python -m training.compare {' '.join(TABLE)} --out {out} --tables --seeds 2"
    assert command in text and content["command"].startswith(command)
    assert "Not the same" not in text


def test_options_that_differ_beside_the_method_are_told(tmp_path: Path) -> None:
    given = ("--variant", "a=--method joint", "--variant", "b=--method joint --epochs 3 --image.encoder.width 8")
    for cell in planned(tmp_path, *given, *SEEDS)[2]:
        finish(cell, outputs(part(6, 10)), outputs(part(40, 60)))
    tables(tmp_path, *given)
    expected = "**Not the same, beside the method: epochs (a 20, b 3); image.encoder_options.width (a 128, b 8).**"
    assert expected in results(tmp_path)[0]


def test_what_is_missing_is_told(out: Path) -> None:
    (out / "joint" / "1" / "run.json").unlink()
    (out / "infobridge" / "1" / "scores.safetensors").unlink()
    for path in (out / "unimodal" / "0").iterdir():
        path.unlink()
    assert tables(out, *METHODS) == 0
    text, rows, content = results(out)
    assert "**Of 6 trainings, 3 are missing:**" in text
    assert "- joint, seed 1: not finished" in text and "- unimodal, seed 0: not trained" in text
    assert "- infobridge, seed 1: " in text and "expected scores.safetensors, found none" in text
    assert "| Joint-Train | 1 of 2 | 60.0 | 40.0 |" in text
    assert [row["status"] for row in rows if row["variant"] == "joint"] == ["finished", "not finished"]
    assert [each["other"] for each in content["tables"][0]["comparisons"]] == ["joint"], "no seed in common"
    assert "the choice may change" in text and "With one seed" in text


def test_nothing_finished_is_a_table_without_figures(tmp_path: Path) -> None:
    assert tables(tmp_path, *METHODS) == 0
    text = results(tmp_path)[0]
    assert "| Joint-Train | 0 of 2 | – | – | – |" in text
    assert "- joint, seeds 0, 1: not trained" in text
    assert "No differences are tested: the reference, infobridge, has no finished run." in text


@pytest.mark.parametrize("change", ["samples", "labels", "fewer"])
def test_runs_tested_on_other_samples_are_not_compared(
    change: str, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = out / "infobridge" / "1" / checkpoint.SCORES
    found = scoring.load(path)
    test = found["test"]
    kept = slice(1, None) if change == "fewer" else slice(None)
    labels, samples = (values[kept] for values in (test.labels, test.samples))
    labels, samples = (1 - labels if change == "labels" else labels), samples + (change == "samples")
    shares = {name: share[kept] for name, share in test.shares.items()}
    scoring.save({**found, "test": Scores(labels, samples, test.logits[kept], shares)}, path)
    assert tables(out, *METHODS) == 2
    error = capsys.readouterr().err
    assert "expected the same test samples in every run" in error and "infobridge/1" in error


def test_data_that_changed_between_trainings_is_told(out: Path) -> None:
    checkpoint.write_json(out / "infobridge" / "1" / checkpoint.DATA, {"fingerprint": "g"})
    tables(out, *METHODS)
    assert "The data changed between the trainings: infobridge seed 1" in results(out)[0]


FAMILY = ("--methods", "joint", "infobridge", "--alphas", "0.01", "0.1", "1")


def family(out: Path) -> None:
    """α = 0.1 is best on validation, and worst on test."""
    for cell in planned(out, *FAMILY, *SEEDS)[2]:
        alpha = getattr(cell.config.method_options, "alpha", None)
        validation = part({0.01: 5, 0.1: 8, 1.0: 7, None: 6}[alpha], 10)
        test = part({0.01: 40, 0.1: 20, 1.0: 50, None: 30}[alpha] + cell.seed, 60)
        finish(cell, outputs(validation), outputs(test))


def scramble(out: Path) -> None:
    """Other answers on test, and other figures of it in run.json."""
    generator = np.random.default_rng(0)
    for path in out.glob(f"*/*/{checkpoint.SCORES}"):
        found = scoring.load(path)
        test = found["test"]
        logits = generator.normal(size=test.logits.shape).astype(np.float32)
        shares = {name: generator.permutation(share) for name, share in test.shares.items()}
        scoring.save({**found, "test": Scores(test.labels, test.samples, logits, shares)}, path)
        run = checkpoint.read_json(path.with_name(checkpoint.RUN))
        run["metrics"]["test"] = {"accuracy": float(generator.random()), "macro_f1": 0.0, "modality_accuracy": {}}
        checkpoint.write_json(path.with_name(checkpoint.RUN), run)


def chosen(out: Path) -> list[str]:
    return [row["name"] for row in results(out)[2]["tables"][0]["rows"] if row["chosen"]]


def test_a_family_is_represented_by_its_best_on_validation(tmp_path: Path) -> None:
    family(tmp_path)
    tables(tmp_path, *FAMILY)
    text, _, content = results(tmp_path)
    assert chosen(tmp_path) == ["joint", "infobridge"], "the paper's α has the plain name"
    main_table, others = text.split("Candidates:")
    assert "| InfoBridge (Ours), α = 0.1 | 2 | 80.0 ± 0.0 | 34.2 ± 1.2 |" in main_table
    assert "α = 1 " not in main_table and "| InfoBridge (Ours), α = 1 | 2 | 70.0 ± 0.0 | 84.2 ± 1.2 |  |" in others
    assert content["tables"][0]["reference"] == "infobridge"
    assert [each["other"] for each in content["tables"][0]["comparisons"]] == ["joint"]


def test_choices_are_the_same_whatever_the_test_split_says(tmp_path: Path, out: Path) -> None:
    family(tmp_path)
    tables(tmp_path, *FAMILY)
    before = chosen(tmp_path), results(tmp_path)[0]
    scramble(tmp_path)
    tables(tmp_path, *FAMILY)
    assert chosen(tmp_path) == before[0] and results(tmp_path)[0] != before[1]
    tables(out, *METHODS)
    single = chosen(out)
    scramble(out)
    tables(out, *METHODS)
    assert chosen(out) == single


def test_the_choice_is_by_mean_and_the_first_of_equals() -> None:
    assert choose({"a": {0: 0.5, 1: 0.7}, "b": {0: 0.9, 1: 0.4}, "c": {0: 0.6, 1: 0.6}}) == "b"
    assert choose({"a": {0: 0.1, 1: 0.7, 2: 0.2}, "b": {0: 0.2, 1: 0.1, 2: 0.7}}) == "a"
    assert choose({"a": {}, "b": {}}) is None
    assert choose({"a": {}, "b": {3: 0.1}}) == "b"


def test_the_choice_is_on_the_seeds_that_all_candidates_have() -> None:
    assert choose({"a": {0: 0.5, 1: 0.9}, "b": {0: 0.6}}) == "b", "seed 1 may be an easy one"
    assert choose({"a": {0: 0.5}, "b": {1: 0.6}}) == "b"


def test_groups_of_test_samples_are_resampled_together(tmp_path: Path) -> None:
    """Thirty test samples in fifteen pairs, and then in two groups."""
    for name, size, remark in (
        ("pairs", 2, "The test samples are resampled by group, of which there are 15."),
        ("halves", 15, "All test samples are of 2 groups, too few to resample"),
        ("single", 1, "2 seeds"),
    ):
        table = tmp_path / f"{name}.csv"
        lines = ["text,gene_a,label,split,group"]
        for number in range(35 + 30):
            split = "test" if number >= 35 else ("val" if number < 5 else "train")
            group = f"{split}{number // size if size > 1 and split == 'test' else number}"
            if name == "halves" and split == "test":
                group = f"half{(number - 35) // size}"
            if name == "pairs" and split == "test":
                group = f"pair{(number - 35) // size}"
            lines.append(f"word{number},{number},{'ab'[number % 2]},{split},{group}")
        table.write_text("\n".join(lines), encoding="utf-8")
        given = ["--dataset.path", str(table), "--modalities", "text", "genomics", "--methods", "joint", "infobridge"]
        for cell in planned(tmp_path / name, *given, *SEEDS)[2]:
            answers = outputs(part(20 + (cell.variant == "joint"), 30), {"text": part(9, 30)})
            labels = (np.arange(30) + 35) % 2
            swapped = {key: value[:, ::-1] for key, value in answers.shares.items()}
            test = Scores(labels, np.arange(30) + 35, answers.logits[:, ::-1], swapped)
            finish(cell, outputs(part(6, 10)), test)
        assert tables(tmp_path / name, *given) == 0
        text = results(tmp_path / name)[0]
        assert remark in text or name == "single"
        assert ("resampled" in text.replace("resamples", "")) == (name != "single")
