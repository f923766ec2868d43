"""The first act of every test process: cooperative sockets; then two guards that keep a crashed greenlet from being green."""

from gsync.net.patching import patch_sockets

patch_sockets()

from collections.abc import Iterator  # noqa: E402

import hypothesis  # noqa: E402
import pytest  # noqa: E402
from gevent.hub import Hub  # noqa: E402

# pytest-timeout raises in whichever greenlet runs; this makes it end the test instead of that greenlet alone.
Hub.SYSTEM_ERROR += (pytest.fail.Exception,)

# A first example that warms a cache, or a machine that is busy, is not a defect.
hypothesis.settings.register_profile("gsync", deadline=None)
hypothesis.settings.load_profile("gsync")


@pytest.fixture(autouse=True)
def hub_failures(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[BaseException]]:
    """What failed in greenlets that nobody watches: the test fails if anything is left here, so one that expects some clears it."""
    failures: list[BaseException] = []
    original = Hub.handle_error

    def handle_error(self: Hub, context: object, kind: type, value: BaseException | None, tb: object) -> None:
        if not issubclass(kind, Hub.NOT_ERROR):
            failures.append(value if value is not None else kind())
        original(self, context, kind, value, tb)

    monkeypatch.setattr(Hub, "handle_error", handle_error)
    yield failures
    if failures:
        pytest.fail(f"a greenlet failed unobserved: {failures!r}")
