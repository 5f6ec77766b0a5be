"""The work-arounds of `serving.hosting`: a test fails here when BentoML no longer needs one."""

import subprocess
import sys
from pathlib import Path

from tests.bundles import build_bundle
from tests.serving.process import ROOT, environment, serving

PLAIN = """
import asyncio, bentoml, httpx, prometheus_client
from starlette.applications import Starlette

@bentoml.asgi_app(Starlette(), path="/v1")
@bentoml.service(name="plain")
class Plain:
    pass

app = Plain.to_asgi()
names = [middleware.cls.__name__ for middleware in app.user_middleware]

async def main():
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        for number in range(50):
            await client.get(f"/scan-{number}")
        timers = len(asyncio.get_running_loop()._scheduled)
    return timers, prometheus_client.generate_latest().decode()
"""


def run(code: str, folder: Path) -> None:
    subprocess.run(
        [sys.executable, "-c", PLAIN + code], cwd=folder, env=environment(folder / "home"), check=True, timeout=60
    )


def test_bentoml_still_leaves_a_timer_behind_every_request(tmp_path: Path) -> None:
    run("timers, _ = asyncio.run(main())\nassert timers >= 50, timers\n", tmp_path)


def test_bentoml_still_makes_labels_of_raw_paths(tmp_path: Path) -> None:
    run("_, labels = asyncio.run(main())\nassert 'endpoint=\"/scan-49\"' in labels\n", tmp_path)


def test_bentoml_still_traces_without_an_exporter(tmp_path: Path) -> None:
    run("assert 'OpenTelemetryMiddleware' in names, names\n", tmp_path)


def test_bentoml_s_process_manager_still_looks_rarely_and_restarts_on_sighup() -> None:
    code = (
        "from bentoml._internal.utils.circus import create_standalone_arbiter\n"
        "from circus.watcher import Watcher\n"
        "watcher = Watcher('x', 'true')\n"
        "arbiter = create_standalone_arbiter([watcher])\n"
        "assert arbiter.check_delay >= 5 and not watcher.send_hup, arbiter.check_delay\n"
        "from serving.hosting import CHECK_SECONDS, supervise\n"
        "supervise(); supervise()\n"
        "arbiter = create_standalone_arbiter([watcher])\n"
        "assert arbiter.check_delay == CHECK_SECONDS and watcher.send_hup\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment(None), check=True, timeout=60)


def test_none_of_bentoml_s_own_routes_is_there(tmp_path: Path) -> None:
    folder = build_bundle(tmp_path / "tiny", ("text", "genomics"))
    with serving(tmp_path, environment(tmp_path / "home", bundles=folder)) as server:
        server.wait_for("/readyz", 200)
        with server.client() as client:
            for path in ("/schema.json", "/docs.json", "/static_content/index.css", "/predict", "/assets/x"):
                assert client.get(path).status_code == 404
        assert "Traceback" not in server.log() and '"level": "error"' not in server.log()
