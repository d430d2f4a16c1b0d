import httpx
from fastapi import FastAPI
from structlog.testing import capture_logs

from gateway.access import AccessLog, request_id
from gateway.problems import install


def application() -> FastAPI:
    app = FastAPI()
    app.add_middleware(AccessLog)
    install(app)

    @app.get("/people/{name}")
    async def person(name: str) -> dict[str, str]:
        if name == "broken":
            raise RuntimeError("the secret of " + name)
        return {"request_id": request_id()}

    return app


async def ask(path: str) -> httpx.Response:
    transport = httpx.ASGITransport(application(), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        return await client.get(path)


async def test_log_lines_hold_the_route_and_never_a_value() -> None:
    with capture_logs() as lines:
        reply = await ask("/people/ada@example.com?q=secret")
    (line,) = lines
    assert (line["route"], line["method"], line["status"]) == ("/people/{name}", "GET", 200)
    assert "ada" not in str(lines)
    assert "secret" not in str(lines)
    assert line["request_id"] == reply.headers["x-request-id"] == reply.json()["request_id"]


async def test_an_unknown_path_is_logged_without_its_name() -> None:
    with capture_logs() as lines:
        reply = await ask("/ada@example.com")
    assert "ada" not in str(lines)
    assert reply.status_code == 404
    assert reply.json()["code"] == "not_found"


async def test_what_nobody_foresaw_is_a_problem_without_words() -> None:
    with capture_logs() as lines:
        reply = await ask("/people/broken")
    assert (reply.status_code, reply.json()["code"]) == (500, "internal")
    assert "secret" not in reply.text
    assert {"request_failed", "http_request"} == {line["event"] for line in lines}


async def test_methods_that_a_path_does_not_know() -> None:
    transport = httpx.ASGITransport(application())
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        reply = await client.post("/people/ada")
    assert (reply.status_code, reply.json()["code"]) == (405, "method_not_allowed")
    assert reply.headers["allow"] == "GET"
