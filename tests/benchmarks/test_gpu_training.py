"""What is measured of training on an accelerator: its parts by themselves, and all of it on small networks."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from benchmarks import gpu_training
from benchmarks.gpu.product import product_rate
from benchmarks.gpu_training import Found, main, steps_for
from benchmarks.gpu_training_data import PAIRINGS, configured, pack, prepared
from benchmarks.gpu_training_peak import datasheet, operations
from benchmarks.gpu_training_profile import Profile, kind
from benchmarks.gpu_training_steps import LEAD, Feed, Turn, Variant, loops, resident, take
from training.config import Config


@pytest.fixture(scope="module")
def part(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("part")
    pack(real_data, folder, 64)
    return folder


@pytest.fixture
def small(part: Path, tmp_path: Path) -> Config:
    return replace(configured(PAIRINGS["image-text"], part, tmp_path, small=True), batch_size=4)


def test_a_part_of_the_real_data_is_read_like_the_whole(part: Path) -> None:
    for pairing in PAIRINGS.values():
        table = pd.read_csv(part / pairing.folder / "table.csv", dtype=str)
        assert dict(table["split"].value_counts()) == {"train": 64, "val": 8, "test": 8}
        for column in pairing.files:
            assert all((part / pairing.folder / path).is_file() for path in table[column])


def test_the_recipes_are_the_papers_without_pretrained_weights(tmp_path: Path) -> None:
    clips, titles, tiles = (configured(pairing, tmp_path, tmp_path, small=False) for pairing in PAIRINGS.values())
    assert (clips.batch_size, clips.optimiser, clips.video.frames, clips.video.size) == (128, "sgd", 3, 224)
    assert titles.image.size == 224
    assert titles.image.encoder_options.pretrained is titles.text.encoder_options.pretrained is None
    vision, language = titles.image.encoder_options, titles.text.encoder_options
    assert (vision.width, vision.layers, vision.patch) == (language.width, language.layers, 16) == (768, 12, 16)
    assert (tiles.pathology.encoder_options.depth, tiles.pathology.size) == (50, 224)


def test_training_rows_come_again_until_the_epoch_is_full(small: Config) -> None:
    found = prepared(small, 150)
    training = found.pairs.indices("train")
    assert len(training) == 150 and len(found.pairs.indices("val")) == 8
    assert np.array_equal(found.arrays["image"][0], found.arrays["image"][64])
    assert found.pairs.groups[0] == found.pairs.groups[64]
    assert found.pairs.rows[1] == found.pairs.rows[65]
    assert len(found.arrays["text"][62:66]) == 4


def test_only_the_turn_s_own_steps_are_timed(small: Config, tmp_path: Path) -> None:
    loop = loops(small, prepared(small, 32), Variant("fp32"), tmp_path)["infobridge"]
    (batch,) = resident(loop, 1)
    seen: list[bool] = []
    turn = Turn(3)

    class Source:
        def __iter__(self):  # type: ignore[no-untyped-def]
            while True:
                seen.append(turn.began > 0)
                yield batch

    loader, before = loop.loader, [parameter.clone() for parameter in loop.model.parameters()]
    assert take(loop, Feed(Source(), turn)) is turn
    assert seen == [False] * LEAD + [True] * 3
    assert 0 < turn.waiting < turn.seconds
    assert turn.each == turn.seconds / 3
    assert loop.loader is loader, "the loop has its own again"
    assert any(not torch.equal(one, other) for one, other in zip(before, loop.model.parameters(), strict=True))


def test_a_model_s_operations_are_those_counted_by_hand(small: Config, tmp_path: Path) -> None:
    loop = loops(small, prepared(small, 32), Variant("fp32"), tmp_path)["joint"]
    batches = resident(loop, 1)
    (batch,) = batches
    width, tokens, length, count = 32, 1 + (32 // 8) ** 2, batch.inputs["text"].shape[1], len(batch.labels)
    each = 2 * 12 * width**2  # of a layer, for one token: 4 projections, and 8 in the perceptron
    products = 3 * 2 * each * (tokens + length)
    patches = 2 * 2 * (tokens - 1) * width * 3 * 8 * 8  # pixels need no gradient
    head = 3 * 2 * 2 * width * 11
    scores = 3 * 2 * 4 * width * (tokens**2 + length**2)  # attention, which not every device's kernel counts
    found = operations(loop, batches) / count
    expected = products + patches + head
    assert expected <= found <= 1.01 * (expected + 1.25 * scores)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("sm90_xmma_fprop_implicit_gemm_bf16bf16_bf16f32_f32_nhwckrsc_nhwc_tilesize128x128x64", "convolution"),
        ("void cutlass__5x_cudnn::Kernel<cutlass_tensorop_bf16_s16816wgrad_optimized_bf16>", "convolution"),
        ("nvjet_tst_128x256_64x4_1x2_h_bz_coopA_bias_TNN", "matrix product"),
        ("void pytorch_flash::flash_bwd_dq_dk_dv_loop_seqk_parallel_kernel<>", "attention"),
        ("void at::native::batch_norm_backward_elemt_channels_last_kernel<4>", "normalisation"),
        ("void at::native::unrolled_elementwise_kernel<at::native::direct_copy_kernel_cuda>", "copies and casts"),
        ("void at::native::vectorized_elementwise_kernel<4, at::native::CUDAFunctor_add<float> >", "elementwise"),
        ("void at::native::multi_tensor_apply_kernel<FusedSgdMathFunctor<float, 3>>", "optimiser"),
        ("triton_per_fused_convolution_native_layer_norm_0", "fused by the compiler"),
        ("Memcpy HtoD (Pinned -> Device)", "copies and casts"),
        ("something_new", "other"),
    ],
)
def test_a_kernel_is_told_by_its_name(name: str, expected: str) -> None:
    assert kind(name) == expected


def test_a_profile_has_the_union_of_the_kernels_and_what_is_left_idle() -> None:
    def event(category: str, name: str, start: float, length: float) -> dict[str, object]:
        return {"ph": "X", "cat": category, "name": name, "ts": start, "dur": length}

    events: list[dict[str, Any]] = [
        event("kernel", "gemm", 0, 4000),
        event("kernel", "elementwise_kernel", 3000, 2000),  # beside the first for a while
        event("gpu_memcpy", "Memcpy HtoD", 9000, 1000),
        event("cuda_runtime", "cudaStreamSynchronize", 100, 5000),
        event("cuda_runtime", "cudaLaunchKernel", 0, 10),
        {"ph": "M", "name": "process_name"},
    ]
    found = Profile.read(events, steps=2)
    assert (found.span, found.busy, found.arithmetic, found.launches) == (5.0, 3.0, 2.0, 1.5)
    assert found.kinds == {"matrix product": 2.0, "elementwise": 1.0, "copies and casts": 0.5}
    assert found.kernels[0] == ("gemm", 2.0, 0.5)
    assert found.waits == {"cudaStreamSynchronize": 0.5}
    text = "\n".join(found.lines(top=1, unprofiled=4.0))
    assert "idle 25.0% (40.0% under the profiler)" in text and "arithmetic 2.00 ms, 66.7%" in text
    with pytest.raises(ValueError, match="without a kernel"):
        Profile.read(events[3:], steps=2)


def test_variants_are_read_and_written_alike() -> None:
    for text in ("fp32", "tf32", "bf16", "fp16+compile"):
        assert str(Variant.named(text)) == text
    for text in ("fp8", "bf16+", "bf16+fast"):
        with pytest.raises(ValueError, match="expected fp32, tf32, bf16 or fp16"):
            Variant.named(text)


def test_figures_are_medians_and_shares_of_the_peak() -> None:
    found = Found("image-text", "bf16", 128, 1e12, [0.1, 0.1, 0.2], [0.1, 0.11, 0.21], fed=0.2, waiting=0.5)
    assert found.ratio == pytest.approx(1.05)
    cells = [cell.strip() for cell in found.row(peak=1e14, sheet=None).strip("|").split("|")]
    assert len(cells) == len(gpu_training.HEADINGS)
    assert cells[2:] == ["100.00", "110.00", "1.050", "1,164", "9.1", "9.1%", "", "640", "5.0%", "45.0%"]
    assert [steps_for(1.0, each, 50) for each in (0.001, 0.1, 3.0)] == [50, 10, 3]


def test_a_card_s_datasheet_is_told_by_its_name() -> None:
    assert (datasheet("NVIDIA H100 80GB HBM3"), datasheet("NVIDIA H100 PCIe")) == (989e12, 756e12)
    assert datasheet("processor") is None
    assert product_rate(torch.device("cpu"), torch.bfloat16, size=32, rounds=2) > 0


def test_all_of_it_runs_and_a_variant_that_fails_is_left_out(
    part: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "found.json"
    given = f"measure --data {part} --pairings image-text --variants bf16 fp16 --small --batch 4 --batches 1 --epoch 8"
    given += f" --workers 0 --steps 2 --rounds 2 --peak-size 32 --parts steps fed profile --json {out}"
    assert main(given.split()) == 1
    told = capsys.readouterr()
    assert "| image-text | bf16 |" in told.out
    assert "failed: image-text fp16" in told.out and "precision fp16 cannot be had" in told.err
    (found,) = json.loads(out.read_text())["found"]
    assert len(found["joint"]) == len(found["infobridge"]) == 2
    assert 0 < found["waiting"] < 1 and found["operations"] > 0
    assert main(["pack", "--data", str(part), str(tmp_path / "again"), "--samples", "8"]) == 0
    assert "her2st" in capsys.readouterr().out
