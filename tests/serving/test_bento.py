"""The built bento: what is in it, and that it serves from BentoML's stores."""

import subprocess
import sys
import tomllib
from pathlib import Path

import yaml  # type: ignore[import-untyped]

from tests.bundles import build_bundle
from tests.serving.process import ROOT, environment, serving

STORE = """
import shutil, sys
import bentoml
with bentoml.models.create("tiny") as model:
    shutil.copytree(sys.argv[1], model.path, dirs_exist_ok=True)
"""


def python(*arguments: str, variables: dict[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env=variables, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_bento_s_packages_are_those_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    optional = project["optional-dependencies"]
    declared = {*project["dependencies"], *optional["runtime"], *optional["serving"]}
    listed = yaml.safe_load((ROOT / "bentofile.yaml").read_text())["python"]["packages"]
    assert set(listed) <= declared
    assert {*optional["serving"]} - set(listed) == {"infobridge[runtime]", "bentoml>=1.4.39,<1.5"}


def test_a_bento_holds_only_what_serves_and_answers(tmp_path: Path) -> None:
    home = tmp_path / "home"
    variables = environment(home)
    python("-m", "bentoml", "build", variables=variables)
    [bento] = [path.parent for path in home.glob("bentos/infobridge/*/bento.yaml")]
    assert {path.name for path in (bento / "src").iterdir()} == {"bentofile.yaml", "bundle", "serving"}
    held = {path.relative_to(bento / "src") for path in bento.glob("src/*/**/*") if path.is_file()}
    page = {path for path in held if path.parent == Path("serving/page")}
    assert {path.suffix for path in held - page} == {".py"}
    assert {path.name for path in page} == {path.name for path in (ROOT / "serving" / "page").iterdir()}
    requirements = (bento / "env" / "python" / "requirements.txt").read_text()
    assert "bentoml" in requirements and "onnxruntime" in requirements
    assert "torch" not in requirements and "transformers" not in requirements

    stored = build_bundle(tmp_path / "stored", ("text", "genomics"), name="stored")
    python("-c", STORE, str(stored), variables=variables)
    build_bundle(tmp_path / "beside", ("image", "text"), name="beside")
    variables |= {"INFOBRIDGE_BUNDLES": "tiny:latest,beside"}  # a tag, and a folder relative to where one starts it
    with serving(tmp_path, variables, target="infobridge:latest", cwd=tmp_path) as server:
        server.wait_for("/readyz", 200)
        with server.client() as client:
            response = client.post("/v1/predict", json={"text": "red", "genomics": [1, 2, 3, 4]})
            assert response.json()["model"] == "stored"
            assert [model["name"] for model in client.get("/v1/models").json()["models"]] == ["stored", "beside"]
