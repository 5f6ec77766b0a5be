"""What was measured, as tables in Markdown, and whether the goals were met."""

from collections.abc import Mapping, Sequence

from benchmarks.gpu.measure import BASE, Measured

FASTER, SHARE = 2.0, 0.5
"""The goals: times torch eager fp32 at a batch of 1, and of the peak for ViT-B/16 at the largest batch."""


def peak_table(measured: Mapping[str, float], sheet: Mapping[str, float]) -> str:
    """The peaks of a card."""
    lines = ["| precision | TFLOP/s, a large product in this run | TFLOP/s, data sheet |", "|---|---|---|"]
    for precision, rate in measured.items():
        told = f"{sheet[precision] / 1e12:.0f}" if precision in sheet else "not known here"
        lines.append(f"| {precision} | {rate / 1e12:.3g} | {told} |")
    return "\n".join(lines)


def table(entries: Sequence[Measured], operations: float, peaks: Mapping[str, float]) -> str:
    """One pairing's variants, for each size of a batch; times are milliseconds."""
    lines = [
        "| batch | variant | ms | times eager fp32 | samples/s | TFLOP/s | of the peak | ms with copies | times eager "
        "fp32 with copies | relative error | same label |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for entry in entries:
        if entry.failed:
            lines.append(f"| {entry.batch} | {entry.title} | not measured: {_one_line(entry.failed)} |" + " |" * 8)
            continue
        base = _base(entries, entry.batch)
        rate = entry.batch * operations / entry.time
        lines.append(
            f"| {entry.batch} | {entry.title} | {1e3 * entry.time:.3f} | {_ratio(base, entry, copies=False)} "
            f"| {entry.batch / entry.time:.0f} | {rate / 1e12:.1f} | {rate / peaks[entry.precision]:.1%} "
            f"| {1e3 * entry.time_with_copies:.3f} | {_ratio(base, entry, copies=True)} "
            f"| {entry.error:.1e} | {entry.labels:.1%} |"
        )
    return "\n".join(lines)


def goals(
    entries: Sequence[Measured], operations: Mapping[str, float], peaks: Mapping[str, float]
) -> list[tuple[str, bool]]:
    """A sentence for each goal, and whether it is met; by ONNX Runtime's best variant."""
    ours = [entry for entry in entries if entry.title.startswith("ORT") and not entry.failed]
    found = []
    for name in dict.fromkeys(entry.pairing for entry in entries if entry.pairing != "vit"):
        base = _base([entry for entry in entries if entry.pairing == name], 1)
        alone = [entry for entry in ours if (entry.pairing, entry.batch) == (name, 1)]
        for kinds in (("fp32",), ("fp32", "tf32", "fp16")):
            best = min((entry for entry in alone if entry.precision in kinds), key=lambda one: one.time, default=None)
            if base is None or best is None:
                found.append((f"{name}, batch 1, {kinds[-1]}: not measured", False))
                continue
            times = base.time / best.time
            told = f"{name}, batch 1: {best.title} is {times:.2f} times {BASE}; the goal is {FASTER:g}"
            found.append((told, times >= FASTER))
    large = max((entry.batch for entry in ours if entry.pairing == "vit"), default=0)
    alone = [one for one in ours if (one.pairing, one.batch, one.precision) == ("vit", large, "fp16")]
    if not alone:
        return [*found, ("ViT-B/16 alone: not measured", False)]
    best = min(alone, key=lambda one: one.time)
    share = large * operations["vit"] / best.time / peaks["fp16"]
    told = f"ViT-B/16, batch {large}: {best.title} reaches {share:.1%} of the peak; the goal is {SHARE:.0%}"
    return [*found, (told, share >= SHARE)]


def _base(entries: Sequence[Measured], batch: int) -> Measured | None:
    return next((one for one in entries if (one.title, one.batch) == (BASE, batch) and not one.failed), None)


def _ratio(base: Measured | None, entry: Measured, copies: bool) -> str:
    if base is None:
        return "-"
    return f"{base.time_with_copies / entry.time_with_copies if copies else base.time / entry.time:.2f}"


def _one_line(text: str) -> str:
    return " ".join(text.replace("|", "/").split())
