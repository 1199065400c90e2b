"""What many tests share: a drawn sample, and a release built from it once a session."""

import atexit
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

# before anything imports `datasets`, which reads them once; and what readers make of the tests' releases must not pile
# up in the user's cache
CACHE = tempfile.mkdtemp(prefix="rs-gpt4v-test-cache-")
atexit.register(shutil.rmtree, CACHE, ignore_errors=True)
os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_DISABLE_PROGRESS_BARS="1", RS_GPT4V_CACHE=CACHE)

import pytest  # noqa: E402
from hypothesis import HealthCheck, settings  # noqa: E402

from rs_gpt4v_conversion.build import build  # noqa: E402
from rs_gpt4v_conversion.config import load_config  # noqa: E402
from rs_gpt4v_conversion.sample import SOURCES, draw_sample  # noqa: E402

# how long an example takes is a matter of the machine, and of what else it does
settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A drawn sample; tests must not change it."""
    folder = tmp_path_factory.mktemp("sample") / "sources"
    draw_sample(folder, images=8)
    return folder


@pytest.fixture(scope="session")
def release(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release of the sample; tests must not change it."""
    out = tmp_path_factory.mktemp("release") / "rs-gpt4v"
    build(load_config(sample / "sources.toml"), out, workers=1, skip_missing=False)
    return out


@pytest.fixture
def small(sample: Path, tmp_path: Path) -> Callable[..., Path]:
    """Make a SOURCES.toml over some sources of the sample: small(kinds, version=...) -> its path."""

    def make(*kinds: str, version: str = "1.0.0", more: str = "") -> Path:
        lines = [f'version = "{version}"\ndate = "2026-01-01"\n']
        lines += [f'[[source]]\nkind = "{k}"\nroot = "{sample / SOURCES[k][0]}"\n{more}\n' for k in kinds]
        path = tmp_path / "sources.toml"
        path.write_text("\n".join(lines))
        return path

    return make
