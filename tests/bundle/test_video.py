"""Video: a clip to frames chosen evenly."""

import io
from pathlib import Path

import av
import numpy as np
import pytest

from bundle.errors import InvalidInput, ManifestError, TooLarge, UnsupportedMedia
from bundle.limits import Limits
from bundle.modalities import Audio, Video
from bundle.modalities.video import evenly
from bundle.work import Work
from tests.bundle.media import brightening, clip, picture, sound, talking_clip, tone, turned


def brightness(video: Video, payload: bytes, step: int = 8) -> list[int]:
    """Index of each frame that was taken, read from its brightness."""
    frames = video.decode(payload)
    assert frames.shape == video.shape and frames.dtype == np.uint8
    return [round(float(frame.mean()) / step) for frame in frames]


@pytest.mark.parametrize(
    ("count", "frames", "expected"),
    [(12, 4, [1, 4, 7, 10]), (12, 1, [6]), (12, 12, list(range(12))), (5, 2, [1, 3]), (3, 5, [0, 0, 1, 2, 2])],
)
def test_frames_are_taken_at_the_centres_of_equal_parts(count: int, frames: int, expected: list[int]) -> None:
    assert brightness(Video(frames=frames, size=16), clip(brightening(count))) == expected


def test_a_clip_of_one_frame_repeats_it() -> None:
    assert brightness(Video(frames=3, size=16), clip([brightening(6)[5]])) == [5, 5, 5]


def test_indices_rise_and_stay_inside_the_clip() -> None:
    for count in range(1, 40):
        for frames in range(1, 20):
            indices = evenly(count, frames)
            assert indices.shape == (frames,)
            assert (np.diff(indices) >= 0).all() and indices[0] >= 0 and indices[-1] < count


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_a_turned_clip_is_shown_upright(degrees: int) -> None:
    frame = np.zeros((64, 96, 3), dtype=np.uint8)
    frame[:32, :48] = 255
    payload = clip([frame] * 3)
    shown = Video(frames=1, size=32, fit="squash").decode(turned(payload, degrees) if degrees else payload)[0, 0]
    corners = {
        "top left": shown[:16, :16].mean(),
        "top right": shown[:16, 16:].mean(),
        "bottom right": shown[16:, 16:].mean(),
        "bottom left": shown[16:, :16].mean(),
    }
    order = ["top left", "top right", "bottom right", "bottom left"]
    assert max(corners, key=lambda name: corners[name]) == order[degrees // 90]


@pytest.mark.parametrize(
    ("kind", "sounds", "pictures"),
    [("mp4", "aac", "libx264"), ("flv", "aac", "libx264"), ("webm", "libopus", "libvpx"), ("avi", "mp2", "mpeg4")],
)
def test_pictures_and_sound_come_from_one_clip(kind: str, sounds: str, pictures: str) -> None:
    payload = talking_clip(brightening(12, step=20), tone(600, 48_000, 1.2, 2), 48_000, kind, sounds, pictures)
    assert brightness(Video(frames=4, size=16), payload, step=20) == [1, 4, 7, 10]
    wave = Audio(rate=8000, seconds=1.0).decode(payload)
    assert np.abs(np.fft.rfft(wave)).argmax() == pytest.approx(600, abs=2)


def test_grey_clips_have_one_channel() -> None:
    assert brightness(Video(frames=2, size=16, channels=1), clip(brightening(4))) == [1, 3]


@pytest.mark.parametrize("fit", ["crop", "pad", "squash"])
def test_every_fit_gives_a_square(fit: str) -> None:
    frames = [np.zeros((48, 96, 3), dtype=np.uint8)] * 2
    shown = Video.checked({"frames": 1, "size": 32, "fit": fit}).decode(clip(frames))[0, 0]
    assert shown.shape == (32, 32)
    assert shown[0, 0] == (255 if fit == "pad" else 0)


def test_metadata_that_are_not_utf_8_do_not_matter() -> None:
    buffer = io.BytesIO()
    with av.open(buffer, mode="w", format="avi") as container:
        container.metadata["title"] = "marker"
        stream = container.add_stream("mpeg4", rate=10)
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width, stream.pix_fmt = 64, 64, "yuv420p"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(brightening(4)[3], format="rgb24")))
        container.mux(stream.encode(None))
    payload = buffer.getvalue()
    assert b"marker" in payload
    assert brightness(Video(frames=1, size=16), payload.replace(b"marker", b"\xe9\xff\xfe\xe8\xfc\xf6")) == [3]


def test_a_sound_file_is_no_clip() -> None:
    with pytest.raises(UnsupportedMedia, match="without a picture track"):
        Video().decode(sound(tone(500, 8000, 0.5), 8000))


def test_the_cover_picture_of_a_song_is_no_clip() -> None:
    song, cover = sound(tone(500, 44_100, 0.5), 44_100, "MP3"), picture(brightening(2)[1], "JPEG")
    frame = b"\0image/jpeg\0\3\0" + cover
    body = b"APIC" + len(frame).to_bytes(4, "big") + b"\0\0" + frame
    size = bytes(len(body) >> shift & 0x7F for shift in (21, 14, 7, 0))
    with pytest.raises(UnsupportedMedia, match="without a picture track"):
        Video().decode(b"ID3\3\0\0" + size + body + song)


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (Limits(frame_pixels=64 * 63), "frames of at most 4,032 pixels, received 64x64"),
        (Limits(video_seconds=2), "at most 2 seconds, received 3 seconds"),
        (Limits(frames=29), "at most 29 frames"),
        (Limits(frames=10, video_seconds=0.05, audio_seconds=0.05), "at most 20 packets"),
    ],
)
def test_a_clip_over_a_limit_is_refused(limits: Limits, message: str) -> None:
    with Work(limits).active(), pytest.raises(TooLarge, match=message):
        Video().decode(clip(brightening(30)))


def test_a_clip_at_its_limits_is_read() -> None:
    with Work(Limits(frame_pixels=64 * 64, video_seconds=3.0, frames=30)).active():
        assert brightness(Video(frames=1, size=16), clip(brightening(30))) == [15]


@pytest.mark.parametrize("kind", ["mp4", "avi", "webm", "flv"])
def test_a_cut_clip_is_refused(kind: str) -> None:
    sounds, pictures = {"mp4": ("aac", "libx264"), "avi": ("mp2", "mpeg4"), "flv": ("aac", "libx264")}.get(
        kind, ("libopus", "libvpx")
    )
    whole = talking_clip(brightening(12), tone(600, 48_000, 1.2, 2), 48_000, kind, sounds, pictures)
    for share in (0.01, 0.1, 0.31, 0.5, 0.72, 0.9, 0.98):
        with pytest.raises(InvalidInput):
            Video().decode(whole[: int(len(whole) * share)])


def test_a_cut_clip_whose_index_comes_first_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    with av.open(path, mode="w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=10)
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width, stream.pix_fmt = 64, 64, "yuv420p"
        for frame in brightening(20):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    whole = path.read_bytes()
    assert whole.index(b"moov") < whole.index(b"mdat")
    for share in (0.5, 0.9, 0.99):
        with pytest.raises(InvalidInput, match="cut short"):
            Video().decode(whole[: int(len(whole) * share)])


PLAYLISTS = {
    "m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{path}\n#EXT-X-ENDLIST\n",
    "ffconcat": "ffconcat version 1.0\nfile '{path}'\n",
    "m3u": "{path}\n",
    "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><BaseURL>{path}</BaseURL></MPD>',
    "asx": '<ASX version="3.0"><ENTRY><REF HREF="file://{path}"/></ENTRY></ASX>',
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n",
}


@pytest.mark.parametrize("kind", PLAYLISTS)
def test_a_playlist_never_opens_the_file_it_names(kind: str, tmp_path: Path) -> None:
    target = tmp_path / "clip.mp4"
    target.write_bytes(talking_clip(brightening(12), tone(600, 48_000, 1.2, 2), 48_000))
    payload = PLAYLISTS[kind].format(path=target).encode()
    for modality in (Video(), Audio()):
        with pytest.raises(UnsupportedMedia):
            modality.decode(payload)


@pytest.mark.parametrize(
    ("parameter", "value"),
    [("frames", 0), ("frames", -1), ("size", 0), ("size", 5000), ("fit", "stretch"), ("channels", 2)],
)
def test_parameters_without_sense_are_refused_at_construction(parameter: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"^{parameter}: expected .* found "):
        Video(**{parameter: value})  # type: ignore[arg-type]
    with pytest.raises(ManifestError, match=f"parameters of video: {parameter}"):
        Video.checked({parameter: value})
