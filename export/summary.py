"""What an export tells the person who asked for it, in a few lines."""

from bundle.coalitions import JOIN
from export.assemble import Assembled
from training.measures.improvement import Improvement


def lines(modalities: tuple[str, ...], done: Assembled) -> list[str]:
    """Temperatures and what they did, the accuracy to expect without each modality, and the thresholds."""
    told = [_calibration(done), _expectations(modalities, done)]
    if done.measured.quantized is not None:
        told.append(f"{done.measured.quantized.kind}: {done.measured.quantized.told}")
        if done.measured.quantized.fused == 0:
            told.append("--fused changed nothing: the graph has no attention that could be fused")
        if done.measured.quantized.kind == "bf16":
            told.append("proved on a CPU that rounds as bf16 does; a GPU that serves it replays its golden samples")
    unshifted = done.measured.unshifted
    if unshifted:
        told.append(f"no threshold of unusual inputs for {', '.join(unshifted)}: {next(iter(unshifted.values()))}")
    if done.measured.abstain_below is not None:
        told.append(f"answers abstain below a probability of {done.measured.abstain_below:.3f}")
    return told


def _calibration(done: Assembled) -> str:
    refused = done.measured.refused
    fused, *others = done.found
    samples = len(done.measured.validation.labels)
    if fused.output in refused:
        return f"not calibrated ({refused[fused.output]}): {_error(fused)}"
    shares = [one for one in others if one.output.kind == "share"]
    each = ", ".join(f"{one.output.name} {one.after.temperature:.3f}" for one in shares if one.output not in refused)
    missing = [output.title for output in refused]
    without = f"; not calibrated: {', '.join(missing)} ({next(iter(refused.values()))})" if missing else ""
    told = f"temperature {fused.after.temperature:.3f}{f' ({each})' if each else ''} from {samples} validation samples"
    return f"{told}; {_error(fused)}{without}"


def _error(fused: Improvement) -> str:
    band = fused.after.equal_mass.band
    after = f" -> {fused.after.equal_mass.plug_in:.3f}" if fused.after is not fused.before else ""
    return (
        f"ECE on test {fused.before.equal_mass.plug_in:.3f}{after}, where calibrated models have {band.low:.3f} to "
        f"{band.high:.3f}"
    )


def _expectations(modalities: tuple[str, ...], done: Assembled) -> str:
    found = done.measured.expectations
    everything = found[JOIN.join(modalities)]
    without = [
        f"{found[JOIN.join(other for other in modalities if other != name)].accuracy:.3f} without {name}"
        for name in modalities
    ]
    return (
        f"accuracy to expect: {everything.accuracy:.3f} ({everything.low:.3f} to {everything.high:.3f}), "
        f"{', '.join(without)}"
    )
