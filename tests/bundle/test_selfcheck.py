"""The self-check: a bundle reproduces its own golden samples, or says that it does not."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

from bundle import selfcheck, session
from bundle.errors import ExecutionUnavailable, SelfCheckFailed
from bundle.graphics import Card
from bundle.manifest import FILE, GOLDEN, sha256
from bundle.modalities import Array
from bundle.predictor import Predictor
from tests.bundles import PAIRINGS, build_bundle

Golden = dict[str, Array]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return build_bundle(tmp_path / "bundle", ("pathology", "genomics"))


def alter(folder: Path, change: Callable[[Golden], object]) -> None:
    """Change the golden samples and make the manifest agree with them."""
    golden = selfcheck.read_golden(folder / GOLDEN)
    change(golden)
    write(folder, golden)


def write(folder: Path, golden: Golden | bytes) -> None:
    before = sha256(folder / GOLDEN)
    if isinstance(golden, bytes):
        (folder / GOLDEN).write_bytes(golden)
    else:
        np.savez(folder / GOLDEN, **golden)  # type: ignore[arg-type]
    (folder / FILE).write_text((folder / FILE).read_text().replace(before, sha256(folder / GOLDEN)))


def failure(folder: Path) -> str:
    predictor = Predictor(folder)
    with pytest.raises(SelfCheckFailed) as caught:
        selfcheck.selfcheck(predictor)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("pairing", PAIRINGS)
def test_every_pairing_reproduces_its_golden_samples(pairing: tuple[str, ...], tmp_path: Path) -> None:
    predictor = Predictor(build_bundle(tmp_path / "bundle", pairing))
    assert selfcheck.selfcheck(predictor) == selfcheck.SAMPLES


def test_an_altered_integer_array_fails_by_one_unit(folder: Path) -> None:
    def change(golden: Golden) -> None:
        golden["1/array/pathology"][0, 0, 0] ^= 1

    alter(folder, change)
    assert failure(folder) == "sample 1, pathology: expected a difference of at most 0, found 1"


@pytest.mark.parametrize("stated", [{"pillow": "7.0", "av": metadata.version("av"), "torch": "2"}, "unknown"])
def test_other_versions_of_decoders_are_named_where_decoded_values_differ(folder: Path, stated: object) -> None:
    def change(golden: Golden) -> None:
        golden["1/array/pathology"][0, 0, 0] ^= 1

    alter(folder, change)
    content = json.loads((folder / FILE).read_text())
    content["provenance"]["versions"] = stated
    (folder / FILE).write_text(json.dumps(content))
    own = metadata.version("pillow")
    added = f"; other versions decode otherwise, here are pillow {own} (made with 7.0)" if stated != "unknown" else ""
    assert failure(folder) == "sample 1, pathology: expected a difference of at most 0, found 1" + added


@pytest.mark.parametrize("value", [1e-2, np.nan])
def test_an_altered_float_array_fails(folder: Path, value: float) -> None:
    alter(folder, lambda golden: golden.update({"0/array/genomics": golden["0/array/genomics"] + np.float32(value)}))
    assert "sample 0, genomics: expected a difference of at most 0.0001, found" in failure(folder)


@pytest.mark.parametrize("name", ["logits", "share_genomics"])
def test_an_altered_output_fails(folder: Path, name: str) -> None:
    def change(golden: Golden) -> None:
        golden[f"output/{name}"][2, 0] += 0.1

    alter(folder, change)
    assert f"output {name}: expected a difference of at most 0.0001" in failure(folder)


def test_an_altered_payload_fails(folder: Path) -> None:
    alter(folder, lambda golden: golden.update({"0/payload/genomics": np.frombuffer(b'{"gene_A": 9}', np.uint8)}))
    assert "sample 0, genomics" in failure(folder)


def test_a_payload_that_is_refused_fails(folder: Path) -> None:
    alter(folder, lambda golden: golden.update({"3/payload/pathology": np.frombuffer(b"junk", np.uint8)}))
    assert "sample 3 is refused: pathology: expected a picture file" in failure(folder)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("0/array/genomics", np.zeros(3, np.float32)),
        ("0/array/genomics", np.zeros(4)),
        ("0/array/genomics", np.array(["text"] * 4)),
        ("output/logits", np.zeros((3, 3), np.float32)),
        ("output/logits", np.float32(1)),
    ],
)
def test_arrays_of_another_kind_fail(folder: Path, name: str, values: Array) -> None:
    alter(folder, lambda golden: golden.update({name: np.asarray(values)}))
    assert "as stored, found" in failure(folder)


def test_a_missing_entry_fails(folder: Path) -> None:
    golden = selfcheck.read_golden(folder / GOLDEN)
    for name, message in (
        ("0/array/pathology", "expected nothing as stored"),
        ("2/payload/genomics", "output logits: expected a difference of at most"),
        ("output/logits", "golden.npz holds ['coalitions', 'share_"),
    ):
        write(folder, {key: values for key, values in golden.items() if key != name})
        assert message in failure(folder)


def test_no_samples_fail(folder: Path) -> None:
    write(folder, {})
    assert failure(folder) == "golden.npz holds no sample"


def test_pickled_objects_are_refused_and_never_run(folder: Path, tmp_path: Path) -> None:
    marker = tmp_path / "ran"

    class Malicious:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (marker,)  # type: ignore[return-value]

    golden = selfcheck.read_golden(folder / GOLDEN)
    write(folder, {**golden, "0/payload/genomics": np.array([Malicious()], dtype=object)})
    assert "Object arrays cannot be loaded" in failure(folder)
    assert not marker.exists()


def test_an_array_that_claims_more_memory_than_there_is_fails(folder: Path) -> None:
    golden = selfcheck.read_golden(folder / GOLDEN)
    np.savez(folder / "plain.npz", a=golden["0/array/genomics"])
    content = (folder / "plain.npz").read_bytes().replace(b"(4,), }       ", b"(4000000000000,), }"[:14])
    write(folder, content)
    assert "golden.npz: expected arrays, found what cannot be read" in failure(folder)


@pytest.mark.parametrize("content", [b"", b"junk", b"PK\3\4", b"\x93NUMPY\1\0\x10\0{'descr': '<f4'}"])
def test_what_is_no_archive_fails(folder: Path, content: bytes) -> None:
    write(folder, content)
    assert "golden.npz: expected arrays, found what cannot be read" in failure(folder)


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bundle.selfcheck", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_the_program_says_what_was_reproduced(folder: Path) -> None:
    done = run(str(folder))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "pathology-genomics: 4 golden samples reproduced on CPUExecutionProvider in fp32\n"


def test_the_program_ends_with_2_and_one_line_for_a_bundle_that_fails(folder: Path) -> None:
    alter(folder, lambda golden: golden.update({"output/logits": -golden["output/logits"]}))
    done = run(str(folder))
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("error: output logits: ") and done.stderr.count("\n") == 1


@pytest.mark.parametrize("arguments", [[], ["a", "b"], ["a", "--providers", "CUDAExecutionProvider"]])
def test_the_program_needs_one_folder_and_known_providers(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        selfcheck.main(arguments)
    assert "usage: python -m bundle.selfcheck" in capsys.readouterr().err


def test_the_program_runs_where_it_is_asked_to_or_not_at_all(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(number: int) -> Card:
        raise ExecutionUnavailable("no driver")

    monkeypatch.setattr(session, "find_card", refuse)
    assert selfcheck.main([str(folder), "--providers", "cuda", "cpu", "--require-gpu"]) == 2
    assert capsys.readouterr().err == "error: a graph cannot run where it was asked to: cuda: no driver\n"
    assert selfcheck.main([str(folder), "--require-gpu"]) == 2
    assert "a GPU is required" in capsys.readouterr().err
    assert selfcheck.main([str(folder), "--providers", "cuda", "cpu"]) == 0
    said = capsys.readouterr()
    assert said.err == "not on cuda: no driver\n" and "on CPUExecutionProvider" in said.out


def test_what_the_operator_made_coarser_may_differ_more(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alter(
        folder,
        lambda golden: golden.update({"output/logits": golden["output/logits"] + np.array([0.004, 0, 0], np.float32)}),
    )
    assert "output logits" in failure(folder)
    predictor = Predictor(folder)
    monkeypatch.setattr(Predictor, "running", replace(predictor.running, precision="tf32"))
    assert selfcheck.selfcheck(predictor) == 4


def test_the_program_refuses_what_is_no_bundle(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert selfcheck.main([str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith(f"error: {tmp_path} is not a bundle")
