"""The closed table of modalities: raw payload -> array, one file each."""

from bundle.modalities.audio import Audio
from bundle.modalities.genomics import Genomics
from bundle.modalities.image import Image
from bundle.modalities.modality import Array, Modality, Payload
from bundle.modalities.pathology import Pathology
from bundle.modalities.text import Text
from bundle.modalities.video import Video

MODALITIES: dict[str, type[Modality]] = {
    modality.name: modality for modality in (Audio, Video, Image, Text, Pathology, Genomics)
}

__all__ = ["MODALITIES", "Array", "Audio", "Genomics", "Image", "Modality", "Pathology", "Payload", "Text", "Video"]
