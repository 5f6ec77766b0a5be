"""FastAPI around the trained model in torch eager: `python -m benchmarks.peers.fastapi_torch RUN --port 3001`.

As its documentation shows: `UploadFile` and `Form` parameters, a plain `def` endpoint, which FastAPI runs in its
threadpool, the model under `torch.inference_mode`. Without uvicorn's access log, which would only slow it.
"""

from typing import Annotated, Any

import torch
import uvicorn
from fastapi import FastAPI, Form, UploadFile

from benchmarks.peers import command
from bundle.answer import COALITIONS, LOGITS, SHARE, SHIFT, Prediction, answers, everything
from bundle.manifest import Input, Manifest
from bundle.modalities import Payload
from training.checkpoint import Checkpoint, read


class Eager:
    """A checkpoint that answers raw samples."""

    def __init__(self, run: Checkpoint) -> None:
        self._run = run
        self._model = run.model()
        inputs = tuple(
            Input(name, modality.name, modality.parameters(), modality.shape, modality.dtype)
            for name, modality in run.modalities.items()
        )
        self._manifest = Manifest(run.folder.name, run.labels, inputs, {}, {})

    @torch.inference_mode()
    def predict(self, sample: dict[str, Payload]) -> Prediction:
        """The answer to one sample."""
        batch = {
            name: torch.from_numpy(modality.stack([modality.normalise(modality.decode(sample[name]))]))
            for name, modality in self._run.modalities.items()
        }
        present = everything(1, len(batch))
        found = self._model.examine(batch, torch.from_numpy(present.copy()))
        outputs: dict[str, Any] = {SHARE + name: share.numpy() for name, share in found.out.shares.items()}
        outputs |= {SHIFT + name: shift.numpy() for name, shift in found.shifts.items()}
        outputs |= {LOGITS: found.out.logits.numpy(), COALITIONS: found.coalitions.numpy()}
        return answers(self._manifest, outputs, present)[0]


def application(model: Eager) -> FastAPI:
    """A route for each pairing."""
    app = FastAPI()

    @app.post("/image_text")
    def image_text(image: UploadFile, text: Annotated[str, Form()]) -> Prediction:
        return model.predict({"image": image.file.read(), "text": text})

    @app.post("/audio_video")
    def audio_video(audio: UploadFile, video: UploadFile) -> Prediction:
        return model.predict({"audio": audio.file.read(), "video": video.file.read()})

    @app.post("/pathology_genomics")
    def pathology_genomics(pathology: UploadFile, genomics: Annotated[str, Form()]) -> Prediction:
        return model.predict({"pathology": pathology.file.read(), "genomics": genomics})

    return app


def main() -> None:
    """Serve until stopped."""
    options = command.read(__doc__)
    torch.set_num_threads(options.threads)
    uvicorn.run(application(Eager(read(options.folder))), host="127.0.0.1", port=options.port, access_log=False)


if __name__ == "__main__":
    main()
