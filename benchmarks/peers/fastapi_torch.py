"""FastAPI around the trained model in torch eager: `python -m benchmarks.peers.fastapi_torch RUN --port 3001`.

As its documentation shows: `UploadFile` and `Form` parameters, a plain `def` endpoint, which FastAPI runs in its
threadpool, the model under `torch.inference_mode`. Without uvicorn's access log, which would only slow it.
"""

from typing import Annotated, Any

import torch
import uvicorn
from fastapi import FastAPI, Form, UploadFile

from benchmarks.peers import command
from bundle.answer import LOGITS, SHARE, Prediction, answers
from bundle.manifest import Calibration
from bundle.modalities import Payload
from training.checkpoint import Checkpoint, read


class Eager:
    """A checkpoint that answers raw samples."""

    def __init__(self, run: Checkpoint) -> None:
        self._run = run
        self._model = run.model()

    @torch.inference_mode()
    def predict(self, sample: dict[str, Payload]) -> Prediction:
        """The answer to one sample."""
        batch = {
            name: torch.from_numpy(modality.stack([modality.normalise(modality.decode(sample[name]))]))
            for name, modality in self._run.modalities.items()
        }
        out = self._model(batch)
        outputs: dict[str, Any] = {SHARE + name: share.numpy() for name, share in out.shares.items()}
        outputs[LOGITS] = out.logits.numpy()
        return answers(self._run.folder.name, self._run.labels, outputs, Calibration())[0]


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
