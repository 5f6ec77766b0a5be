"""Opening audio and video containers with PyAV, without letting a file name other files."""

import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.frame import Frame
from av.stream import Disposition, Stream

from bundle.errors import InvalidInput, TooLarge, UnsupportedMedia
from bundle.modalities.completeness import refuse_cut
from bundle.modalities.modality import Payload
from bundle.work import checkpoint, limits

FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,flv,mpeg,mpegts,mpegvideo,h264,asf,ogg,mp3,aac,wav,flac"
"""Demuxers that read one file. Playlist demuxers (HLS, DASH, concat) open what a file names: never listed."""

MAGIC = (b"FLV", b"\x1aE\xdf\xa3", b"RIFF", b"OggS", b"ID3", b"fLaC")
"""First bytes of formats we read: what starts so and cannot be opened is broken, not foreign."""

TIMED = ("flv", "matroska", "avi")
"""Containers whose header states the duration but no packet count."""

Track = TypeVar("Track", bound=Stream)


@contextmanager
def opened(payload: Payload, expected: str) -> Iterator[InputContainer]:
    """The container in `payload`; errors from FFmpeg, raised anywhere inside, become input errors.

    Raises:
        UnsupportedMedia: not a container we read.
        InvalidInput: empty, truncated or corrupt.
    """
    if not isinstance(payload, bytes):
        raise InvalidInput(expected, f"{type(payload).__name__} instead of a file's bytes")
    if not payload:
        raise InvalidInput(expected, "an empty file")
    refuse_cut(payload, expected)
    options = {"format_whitelist": FORMATS, "protocol_whitelist": "none"}
    try:
        container = av.open(io.BytesIO(payload), mode="r", options=options, metadata_errors="replace")
    except (FFmpegError, ValueError, OSError):
        if payload.startswith(MAGIC) or payload[4:8] == b"ftyp":
            raise InvalidInput(expected, "a truncated or corrupt file") from None
        raise UnsupportedMedia(expected, f"{len(payload)} bytes of another format") from None
    with container:
        try:
            yield container
        except FFmpegError as error:
            raise InvalidInput(expected, f"a truncated or corrupt file ({error.strerror})") from None
        except IndexError:  # PyAV's own, for a packet of a track that no header announced
            raise InvalidInput(expected, "a corrupt file (a track that was not announced)") from None
        except (ValueError, RuntimeError, MemoryError) as error:  # as well, for what FFmpeg let through
            raise InvalidInput(expected, f"a corrupt file ({error})") from None


def first_track(tracks: Iterable[Track], expected: str, kind: str) -> Track:
    """The first track that can be decoded and is not a cover picture.

    Raises:
        UnsupportedMedia: there is none.
    """
    for track in tracks:
        if track.codec_context is not None and not track.disposition & Disposition.attached_pic:
            return track
    raise UnsupportedMedia(expected, f"a file without a {kind} track")


def decoded(clip: InputContainer, stream: Stream) -> Iterator[Frame]:
    """Every frame of one track, with a checkpoint at each packet: many packets may give no frame at all."""
    for packet in clip.demux(stream):
        checkpoint()
        for frame in packet.decode():
            checkpoint()
            assert isinstance(frame, Frame)
            yield frame


def count_packets(clip: InputContainer, stream: Stream, expected: str, seconds: float) -> int:
    """Number of packets of `stream`, read without decoding.

    Raises:
        InvalidInput: the file ends before what its header promises.
        TooLarge: longer than `seconds`, or more packets than the limits allow.
    """
    count, end = 0, 0.0
    most = limits().packets
    for total, packet in enumerate(clip.demux(), start=1):
        checkpoint()
        if packet.is_corrupt:
            raise InvalidInput(expected, f"a file cut short or corrupt after {count} packets")
        if packet.pts is not None and packet.time_base is not None:
            end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
        count += packet.size > 0 and packet.stream_index == stream.index
        if total > most:
            raise TooLarge(f"at most {most:,} packets", "a longer file")
    length = end - (clip.start_time or 0) / av.time_base
    if length > seconds:
        raise TooLarge(f"at most {seconds:g} seconds", f"{length:.0f} seconds")
    if clip.format.name.startswith("mov") and count < stream.frames:
        raise InvalidInput(expected, f"a file cut short: {count} of {stream.frames} packets")
    stated = (clip.duration or 0) / av.time_base
    if clip.format.name.startswith(TIMED) and end < 0.95 * stated - 0.1:
        raise InvalidInput(expected, f"a file cut short: {end:.1f} of {stated:.1f} seconds")
    return count
