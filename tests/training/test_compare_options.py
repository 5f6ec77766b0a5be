"""What may be compared, how it is asked for, and what is refused before anything is trained."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.training.comparisons import TABLE, planned
from training import catalog
from training.compare import main
from training.comparison.options import read
from training.comparison.presets import LABELS, PAPER_GRID, PRESETS, WEIGHED
from training.errors import ConfigError


def names(out: Path, *arguments: str) -> list[str]:
    return [variant.name for table in planned(out, *arguments)[1] for variant in table.variants]


@pytest.mark.parametrize("preset", list(PRESETS))
def test_every_cell_of_a_preset_is_a_training(preset: str, tmp_path: Path) -> None:
    _, (table,), cells = planned(tmp_path, "--preset", preset, "--seeds", "2")
    assert len(cells) == 2 * len(table.variants)
    assert [cell.seed for cell in cells] == sorted(cell.seed for cell in cells), "seed by seed"
    for cell in cells:
        assert cell.folder == tmp_path / cell.variant / str(cell.seed)
        assert (cell.config.seed, cell.config.cache) == (cell.seed, tmp_path / ".cache")
        command = cell.command(resume=False)
        assert command[1:3] == ["-m", "training.fit"] and f"--seed {cell.seed}" in " ".join(command)
    assert table.reference == ("infobridge-protected" if preset == "protected" else "infobridge")


def test_the_first_table_has_every_method_under_the_papers_name(tmp_path: Path) -> None:
    _, (table,), _ = planned(tmp_path, "--preset", "table1")
    *rows, ours = table.variants
    assert {variant.name for variant in rows} == set(catalog.names("methods"))
    assert rows[-1].label == "InfoBridge (Ours)"
    assert (ours.name, ours.label) == ("infobridge-protected", "InfoBridge, protected")
    for name, label in LABELS.items():
        present = name in catalog.names("methods")
        assert present == (label in [variant.label for variant in table.variants])
        assert present != any(name in remark and "left out" in remark for remark in table.remarks)


def test_a_method_that_is_not_there_is_said_to_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(LABELS, "telepathy", "Telepathy")
    _, _, (table,) = read(["--preset", "table1"])
    assert table.remarks[-1] == "Telepathy: left out, there is no method telepathy here."


def test_the_ablations_are_what_the_paper_leaves_out(tmp_path: Path) -> None:
    cells = {cell.variant: cell.config.method_options for cell in planned(tmp_path, "--preset", "table2")[2]}
    full = cells.pop("infobridge")
    found = {
        name: {key: value for key, value in vars(options).items() if value != getattr(full, key)}
        for name, options in cells.items()
    }
    assert found == {
        "infobridge-alpha-0": {"alpha": 0.0},
        "infobridge-no-margin": {"margin": False},
        "infobridge-constant": {"context": "constant"},
        "infobridge-cluster-5": {"context": "cluster"},
        "infobridge-uncapped": {"negatives_per_pair": 100},
    }
    assert (full.alpha, full.margin, full.context, full.clusters) == (0.1, True, "semantic", 5)


def test_rows_that_several_tables_share_are_trained_once(tmp_path: Path) -> None:
    _, tables, cells = planned(tmp_path, "--preset", *PRESETS, "--seeds", "1")
    assert len(tables) == 5
    once = [cell.variant for cell in cells]
    assert len(set(once)) == len(once) == len({cell.folder for cell in cells})
    assert sum(len(table.variants) for table in tables) == len(once) + 7
    assert [variant.label for variant in tables[3].variants] == [f"α = {alpha:g}" for alpha in PAPER_GRID]


def test_weights_make_families(tmp_path: Path) -> None:
    _, (table,), cells = planned(tmp_path, "--preset", "table1", "--alphas", "0.01", "0.1", "1", "--seeds", "1")
    for method in WEIGHED:
        family = [variant for variant in table.variants if variant.family == method]
        assert [variant.name for variant in family] == [f"{method}-alpha-0.01", method, f"{method}-alpha-1"]
    found = [
        cell.config.method_options.alpha
        for cell in cells
        if cell.variant.startswith("infobridge-alpha") or cell.variant == "infobridge"
    ]
    assert found == [0.01, 0.1, 1.0]
    assert all(variant.family is None for variant in table.variants if variant.name in ("joint", "ogm_ge", "pmr"))
    assert table.reference == "infobridge", "the family"


@pytest.mark.parametrize("asked", [("--preset", "table1"), ("--methods", "joint", "infobridge")])
def test_one_weight_is_a_family_too_so_that_the_reference_stays(asked: tuple[str, ...], tmp_path: Path) -> None:
    _, (table,), cells = planned(tmp_path, *asked, "--alphas", "0.5", "--seeds", "1")
    assert table.reference == "infobridge"
    (bridge,) = [variant for variant in table.variants if variant.family == "infobridge"]
    assert (bridge.name, bridge.label) == ("infobridge-alpha-0.5", "InfoBridge (Ours)")
    assert {cell.config.method_options.alpha for cell in cells if cell.variant.startswith("infobridge")} == {0.5}


def test_the_ablations_of_our_variant_leave_out_each_term(tmp_path: Path) -> None:
    _, tables, cells = planned(tmp_path, "--preset", "protected", "table1", "--alphas", "0", "0.1", "--seeds", "1")
    assert tables[0].reference == "infobridge-protected"
    found = {cell.variant: cell.config.method_options for cell in cells}
    assert found["infobridge-protected-alpha-0"].alpha == 0.0
    assert found["infobridge-protected-alone"].protection == 0.0
    assert found["infobridge-protected-shareless"].share_weight == 0.0
    for variant in tables[0].variants[1:]:
        assert found[variant.name].variant == "protected"
        assert found[variant.name].alpha == (0.0 if variant.name.endswith("-0") else 0.1)


def test_methods_and_conditions(tmp_path: Path) -> None:
    assert names(tmp_path, "--methods", "joint", "pmr") == ["joint", "pmr"]
    both = ("--methods", "joint", "infobridge", "--conditions", "semantic", "cluster")
    assert names(tmp_path, *both) == ["joint", "infobridge-semantic", "infobridge-cluster"]
    assert names(tmp_path, "--conditions", "constant") == ["infobridge-constant"]
    weighed = ("--conditions", "constant", "--alphas", "0.1", "1")
    assert names(tmp_path, *weighed) == ["infobridge-constant", "infobridge-constant-alpha-1"]
    cells = planned(tmp_path, *both)[2]
    assert [getattr(cell.config.method_options, "context", None) for cell in cells[:3]] == [None, "semantic", "cluster"]


def test_own_variants_and_families(tmp_path: Path) -> None:
    given = ("--variant", "plain=--method joint", "--variant", "long/60=--method joint --epochs 60")
    options, (table,), cells = planned(tmp_path, *given, "--epochs", "3", "--seeds", "4", "7")
    assert [(each.name, each.label, each.family) for each in table.variants] == [
        ("plain", "plain", None),
        ("long-60", "long, 60", "long"),
    ]
    assert options.chosen_seeds == (4, 7)
    assert [(cell.seed, cell.config.epochs) for cell in cells] == [(4, 3), (4, 60), (7, 3), (7, 60)], "its own win"
    assert table.reference == "plain"


def test_variants_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "variants.toml"
    file.write_text(
        'plain = "--method joint"\n"weight/low" = "--method infobridge --method.alpha 0.3"\n'
        '["weight/high"]\noptions = "--method infobridge --method.alpha 0.9"\nlabel = "α is high"\n',
        encoding="utf-8",
    )
    _, (table,), cells = planned(tmp_path, "--variants", str(file), "--seeds", "1", "--reference", "weight")
    assert [(each.name, each.label) for each in table.variants] == [
        ("plain", "plain"),
        ("weight-low", "weight, low"),
        ("weight-high", "α is high"),
    ]
    assert [getattr(cell.config.method_options, "alpha", None) for cell in cells] == [None, 0.3, 0.9]
    assert table.reference == "weight"


def test_a_row_is_given_other_options(tmp_path: Path) -> None:
    given = ("--variant", "pmr=--method pmr --method.momentum 0.3", "--variant", "mine=--method joint --epochs 2")
    _, tables, cells = planned(tmp_path, "--preset", "table1", "--methods", "pmr", "joint", *given, "--seeds", "1")
    assert [table.title for table in tables] == ["Table 1: methods", "Comparison"]
    assert [each.name for each in tables[1].variants] == ["pmr", "joint", "mine"]
    for table in tables:
        assert [each.label for each in table.variants if each.name == "pmr"] == ["PMR"]
        assert table.remarks[-1] == "PMR: --method pmr --method.momentum 0.3."
    assert [cell.config.method_options.momentum for cell in cells if cell.variant == "pmr"] == [0.3]


@pytest.mark.parametrize("name", ["joint", "Joint-Train"])
def test_a_reference_is_named_by_folder_or_label(name: str, tmp_path: Path) -> None:
    given = ("--methods", "infobridge", "joint", "--reference", name)
    assert planned(tmp_path, *given)[1][0].reference == "joint"


def test_seeds_are_a_number_or_a_list() -> None:
    seeds = {"5": (0, 1, 2, 3, 4), "1": (0,), "3 9": (3, 9)}
    for given, expected in seeds.items():
        assert read(["--methods", "joint", "--seeds", *given.split()])[0].chosen_seeds == expected


REFUSED: list[tuple[str | Sequence[str], str]] = [
    ("", "expected what to compare: --preset, --methods, --conditions, --variant or --variants"),
    ("--methods joint --seed 3", "--seed is not for each training to set: --seeds chooses the seeds"),
    ("--methods joint --method=pmr", "--method is not for each training to set: --methods, --preset or --variant"),
    ("--methods joint --resume", "--resume is not for each training to set: every interrupted training"),
    ("--methods joint --overwrite", "--overwrite is not for each training to set: --replace trains again"),
    ("--methods joint telepathy", "--methods: unknown name 'telepathy'; known are"),
    ("--conditions weather", "--conditions: unknown name 'weather'; known are cluster"),
    ("--methods joint --conditions semantic", "--conditions are of infobridge, which is not among --methods joint"),
    (
        "--methods joint --alphas 0.1",
        "--alphas is for table1, figure3, --conditions, and infonce and infobridge among --methods",
    ),
    ("--methods infobridge --alphas 0.1 0.1", "--alphas must be different numbers"),
    ("--methods joint --seeds 0", "--seeds must be at least 1, not 0"),
    ("--methods joint --seeds 1 1", "--seeds must be a number of seeds or different ones"),
    ("--methods joint --seeds few", "--seeds"),
    ("--methods joint --jobs 0", "--jobs must be at least 1, not 0"),
    ("--methods joint --resamples 3", "--resamples must be at least 100, not 3"),
    ("--methods joint --reference pmr", "--reference pmr: expected one of joint, Joint-Train"),
    ("--preset table9", "--preset"),
    ("--methods joint --nonsense 3", "variant joint (--method joint): Unrecognized options: --nonsense"),
    ("--methods joint infobridge --method.alpha 1", "variant joint (--method joint): Unrecognized options"),
    ("--methods joint --epochs 0", "variant joint (--method joint): epochs must be at least 1, not 0"),
    (["--variant", "x"], 'expected --variant "name=options" or "family/name=options", found \'x\''),
    (["--variant", "../x=--method joint"], "expected a variant's name of letters, digits and - . , + = @"),
    (["--variant", "x=--method joint --seed 1"], "variant x: --seed is not for each training to set"),
    (["--variant", "x=--method joint --out y"], "variant x: --out is not for each training to set"),
    (["--variant", "x=--method joint --cache y"], "variant x: --cache is not for each training to set"),
    (["--variant", "x=--method 'joint"], "cannot be split into words"),
    (["--variant", "x=--help"], "variant x: --help is of python -m training.fit"),
    (["--variant", "x=--method joint", "--variant", "X=--method pmr"], "--variant: expected variants of different"),
    ("--preset table3 figure3 --method.alpha 0.3", "two variants with different options are named infobridge"),
    (["--variant", "x=--method joint", "--variant", "x=--method pmr"], "--variant: expected variants of different"),
    (["--variants", "absent.toml"], "--variants absent.toml cannot be read"),
]


@pytest.mark.parametrize(("given", "message"), REFUSED)
def test_what_cannot_be_compared_is_one_line_before_anything_is_trained(
    given: str | Sequence[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = given.split() if isinstance(given, str) else given
    assert main([*TABLE, "--out", str(tmp_path / "out"), *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1
    assert message in error
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "content", ["x = 3", "[x]\noptions = 3", '[x]\nlabel = "a"', '[x]\noptions = "a"\nmore = "b"', "="]
)
def test_a_file_of_another_form_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "variants.toml").write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError, match="--variants"):
        read(["--variants", str(tmp_path / "variants.toml")])


def test_data_that_cannot_be_read_is_refused_before_anything_is_trained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*TABLE, "--out", str(tmp_path / "out"), "--methods", "joint"]) == 2
    assert "absent.csv" in capsys.readouterr().err
    assert not (tmp_path / "out" / "joint").exists()


def test_help_lists_the_options_with_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ending:
        main(["--help"])
    assert not ending.value.code
    text = capsys.readouterr().out
    for option in ("--preset", "--alphas", "--seeds", "--jobs", "--reference", "--variants", "--tables", "--replace"):
        assert option in text
    assert "python -m training.compare --preset table1" in text
