"""Cuts the annotated events out of AVE's clips: a short clip of the same pictures and sound for each."""

import os
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import av
import pandas as pd

from training.progress import track

LEAST = 1
"""Seconds of an event at least: one is annotated from 0 to 0."""


def cut_events(frame: pd.DataFrame, whole: int, folder: Path) -> tuple[list[str], list[str]]:
    """A clip of each event of a table with `id`, `video`, `start` and `end`.

    An event as long as `whole` is the clip itself. Others are written into the folder once and found there again.

    Returns:
        The path of each row's clip, "" where it cannot be cut; and a line for each of those.
    """
    folder.mkdir(parents=True, exist_ok=True)

    def one(row: tuple[str, str, str, str]) -> str | Exception:
        name, video, start, end = row
        if int(end) - int(start) >= whole:
            return video
        path = folder / f"{name}_{start}_{end}.mp4"
        try:
            if not path.exists():
                cut(Path(video), path, int(start), max(int(end), int(start) + LEAST))
        except (av.FFmpegError, ValueError, OSError) as error:
            return error
        return str(path)

    rows = list(frame[["id", "video", "start", "end"]].drop_duplicates().itertuples(index=False, name=None))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        made = dict(zip(rows, track(pool.map(one, rows), "Cutting events", len(rows)), strict=True))
    paths, broken = [], []
    for row in frame[["id", "video", "start", "end"]].itertuples(index=False, name=None):
        found = made[row]
        paths.append(found if isinstance(found, str) else "")
        if not isinstance(found, str):
            broken.append(f"{row[0]}: cannot be cut ({found})")
    return paths, broken


def cut(source: Path, target: Path, start: float, end: float) -> None:
    """Write the seconds from `start` to `end` of a clip as H.264 and, where it has sound, AAC.

    The file is written aside and renamed.

    Raises:
        ValueError: the clip has no pictures in that stretch.
        FFmpegError: it cannot be read.
    """
    aside = target.with_name(f".{os.getpid()}-{os.urandom(4).hex()}.{target.name}")
    try:
        with av.open(str(source)) as clip, av.open(str(aside), "w", format="mp4") as out:
            _copy(clip, out, start, end)
        os.replace(aside, target)
    finally:
        aside.unlink(missing_ok=True)


def _copy(clip: "av.container.InputContainer", out: "av.container.OutputContainer", start: float, end: float) -> None:
    pictures = clip.streams.video[0] if clip.streams.video else None
    if pictures is None:
        raise ValueError("it has no pictures")
    heard = clip.streams.audio[0] if clip.streams.audio else None
    drawn = out.add_stream("libx264", rate=pictures.average_rate or 25, options={"crf": "18", "preset": "veryfast"})
    drawn.width, drawn.height, drawn.pix_fmt = pictures.width // 2 * 2, pictures.height // 2 * 2, "yuv420p"
    drawn.time_base = drawn.codec_context.time_base = Fraction(1, 90_000)
    spoken = None if heard is None else out.add_stream("aac", rate=heard.rate, layout="stereo")
    resampler = None if heard is None else av.AudioResampler("fltp", "stereo", heard.rate)
    kept = 0
    for frame in clip.decode(*(stream for stream in (pictures, heard) if stream is not None)):
        if not isinstance(frame, av.VideoFrame | av.AudioFrame) or frame.time is None or not start <= frame.time < end:
            continue
        if isinstance(frame, av.VideoFrame):
            small = frame.reformat(drawn.width, drawn.height, "yuv420p")
            small.pts, small.time_base = round((frame.time - start) * 90_000), Fraction(1, 90_000)
            out.mux(drawn.encode(small))
            kept += 1
        elif spoken is not None and resampler is not None and heard is not None:
            frame.pts, frame.time_base = round((frame.time - start) * heard.rate), Fraction(1, heard.rate)
            for part in resampler.resample(frame):
                out.mux(spoken.encode(part))
    if not kept:
        raise ValueError(f"it has no pictures from second {start:g} to {end:g}")
    out.mux(drawn.encode(None))
    if spoken is not None:
        out.mux(spoken.encode(None))
