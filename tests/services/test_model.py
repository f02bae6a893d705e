"""The model service, asked by OpenAI's own client over real sockets."""

import asyncio
import contextlib
import json

import httpx
import msgspec
import openai
import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter
from wire import connection, request

from netra_sim.distributions import Constant, Exponential, Uniform
from netra_sim.recording import mark, marked_question
from netra_sim.services import Model, serving

pytestmark = pytest.mark.real_time

AT_ONCE = Model(first_token=Constant(0.0), per_token=Constant(0.0), tokens=5)
ANN = [{"role": "user", "content": marked_question("ann", "run-1")}]
WHOLE = "".join(f"canary:ann;run:run-1;#{number}; " for number in range(5))
BROKEN = (openai.APIError, httpx.TransportError)


def changed(**settings):
    return msgspec.structs.replace(AT_ONCE, **settings)


def client_of(model):
    return openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{model.port}/v1", api_key="any", max_retries=0, timeout=20)


async def chat(client, messages=ANN, **more):
    return await client.chat.completions.create(model="any", messages=messages, **more)


async def test_a_chat_completion_holds_the_marks_of_the_last_question_and_numbered_tokens():
    conversation = [
        {"role": "system", "content": mark("system", "run-0")},
        {"role": "user", "content": marked_question("bob", "run-9")},
        {"role": "assistant", "content": mark("bob", "run-9")},
        {"role": "user", "content": [{"type": "text", "text": marked_question("ann", "run-1")}]},
        {"role": "tool", "tool_call_id": "1", "content": mark("tool", "run-8")},
    ]
    async with serving(AT_ONCE) as model, client_of(model) as client:
        completion = await chat(client, conversation)
    assert completion.choices[0].message.content == WHOLE
    assert completion.choices[0].finish_reason == "stop"
    assert completion.usage.completion_tokens == 5


async def test_a_streamed_chat_completion_is_the_whole_one_in_chunks():
    async with serving(AT_ONCE) as model, client_of(model) as client:
        stream = await chat(client, stream=True, stream_options={"include_usage": True})
        chunks = [chunk async for chunk in stream]
    texts = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(texts) == WHOLE
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices] == [None] * 6 + ["stop"]
    assert chunks[-1].usage.completion_tokens == 5
    assert len({chunk.id for chunk in chunks}) == 1


async def test_a_response_is_the_same_whole_and_streamed():
    async with serving(AT_ONCE) as model, client_of(model) as client:
        whole = await client.responses.create(model="any", input=ANN[0]["content"])
        async with client.responses.stream(model="any", input=ANN) as stream:
            events = [event async for event in stream]
            streamed = await stream.get_final_response()
    assert whole.output_text == streamed.output_text == WHOLE
    assert events[0].type == "response.created"
    assert events[-1].type == "response.completed"
    assert [event.sequence_number for event in events] == list(range(len(events)))


@pytest.mark.parametrize(
    ("path", "body", "kind"),
    [
        ("/v1/chat/completions", {"messages": ANN}, ChatCompletion),
        ("/v1/responses", {"input": ANN}, Response),
        ("/v1/chat/completions", {"messages": ANN, "stream": True}, ChatCompletionChunk),
        ("/v1/responses", {"input": ANN, "stream": True}, ResponseStreamEvent),
    ],
)
async def test_every_answer_has_all_fields_that_openai_documents(path, body, kind):
    async with serving(AT_ONCE) as model, httpx.AsyncClient() as client:
        answer = await client.post(f"http://127.0.0.1:{model.port}{path}", json={"model": "any", **body})
    lines = answer.text.splitlines() if body.get("stream") else [f"data: {answer.text}"]
    objects = [line.removeprefix("data: ") for line in lines if line.startswith("data: {")]
    assert objects
    for one in objects:
        TypeAdapter(kind).validate_json(one)


async def test_the_limit_of_tokens_ends_an_answer():
    async with serving(AT_ONCE) as model, client_of(model) as client:
        short = await chat(client, max_completion_tokens=2)
        response = await client.responses.create(model="any", input="?", max_output_tokens=3)
    assert (short.choices[0].finish_reason, short.usage.completion_tokens) == ("length", 2)
    assert (response.status, response.incomplete_details.reason) == ("incomplete", "max_output_tokens")


async def test_the_list_of_models_names_the_one_that_there_is():
    async with serving(changed(model="own")) as model, client_of(model) as client:
        assert [one.id async for one in client.models.list()] == ["own"]


async def test_each_token_is_recorded_for_the_run_that_asked():
    made = []
    async with serving(AT_ONCE, record=lambda *work: made.append(work)) as model, client_of(model) as client:
        await chat(client)
    assert made == [("ann", "run-1", number, number == 4) for number in range(5)]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("chat/completions", b"no JSON"),
        ("chat/completions", b'{"model": "any", "messages": []}'),
        ("chat/completions", b'{"model": "any", "messages": "text"}'),
        ("responses", b'{"model": "any"}'),
    ],
)
async def test_a_request_of_the_wrong_form_gets_400_as_openai_reports_it(path, body):
    async with serving(AT_ONCE) as model, httpx.AsyncClient() as client:
        answer = await client.post(f"http://127.0.0.1:{model.port}/v1/{path}", content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"


async def test_paths_and_methods_that_do_not_exist_get_404_and_405():
    async with serving(AT_ONCE) as model, httpx.AsyncClient(base_url=f"http://127.0.0.1:{model.port}") as client:
        assert (await client.get("/v1/audio")).status_code == 404
        assert (await client.get("/v1/responses")).status_code == 405


async def outcomes(seed, users):
    """How the requests of each user end, asked at once, in the order of the users."""
    settings = changed(
        first_token=Exponential(0.001), tokens=Uniform(1, 30), error_share=0.3, error_status=503, cut_share=0.3
    )

    async def ask(client, user):
        got = []
        for _ in range(3):
            try:
                stream = await chat(client, [{"role": "user", "content": mark(user, "run")}], stream=True)
            except openai.InternalServerError:
                got.append("error")
                continue
            numbers = 0
            try:
                async for chunk in stream:
                    numbers += "#" in (chunk.choices[0].delta.content or "")
                got.append(f"whole {numbers}")
            except BROKEN:
                got.append("cut")
        return user, got

    async with serving(settings, seed=seed) as model, client_of(model) as client:
        return dict(await asyncio.gather(*(ask(client, user) for user in users)))


async def test_what_happens_to_a_user_does_not_depend_on_the_order_of_requests():
    users = [f"user-{number}" for number in range(12)]
    first = await outcomes(1, users)
    assert first == await outcomes(1, users[::-1])
    assert {user: first[user] for user in users[:3]} == await outcomes(1, users[:3])
    assert first != await outcomes(2, users)
    kinds = {one.split()[0] for got in first.values() for one in got}
    assert kinds == {"whole", "cut", "error"}
    assert any(len(set(got)) > 1 for got in first.values()), "a repeated request has luck of its own"


async def test_one_slot_and_a_queue_of_one_refuse_the_third_request_until_the_first_ends():
    long = [{"role": "user", "content": mark("ann", "x" * 50_000)}]
    body = json.dumps({"model": "any", "messages": long, "stream": True}).encode()
    settings = changed(tokens=5_000, slots=1, queue=1, retry_after=1.5)
    async with serving(settings) as model, client_of(model) as client:
        async with connection(model.port) as (reader, writer):  # takes the slot, and reads too little to let go of it
            writer.write(request("POST", "/v1/chat/completions", body, close=False))
            await reader.readuntil(b"\r\n\r\n")
            others = [asyncio.create_task(chat(client, max_tokens=1)) for _ in range(2)]
            refused, queued = await asyncio.wait(others, return_when=asyncio.FIRST_COMPLETED)
            error = refused.pop().exception()
            assert isinstance(error, openai.RateLimitError)
            assert error.response.headers["retry-after"] == "2"
            assert error.response.headers["retry-after-ms"] == "1500"
        assert (await queued.pop()).choices[0].message.content.startswith("canary:ann;run:run-1;#0; ")


@pytest.mark.parametrize("stream", [True, False])
async def test_a_client_that_leaves_ends_the_work_for_it_and_frees_its_slot(stream):
    made = []
    settings = changed(per_token=Constant(0.001), tokens=1_000_000, slots=1)
    body = json.dumps({"model": "any", "messages": ANN, "stream": stream}).encode()
    async with serving(settings, record=lambda *work: made.append(work)) as model, client_of(model) as client:
        async with connection(model.port) as (_, writer):
            writer.write(request("POST", "/v1/chat/completions", body))
            while len(made) < 3:
                await asyncio.sleep(0.001)
        while True:
            try:
                await chat(client, max_tokens=1)
                break
            except openai.RateLimitError:
                await asyncio.sleep(0.001)
    assert made[-1][2] == 0, "the second request is answered"
    assert len(made) < 10_000


async def test_slowness_counts_from_the_next_token_on():
    conditions = []

    def speed_up(user_id, run_id, number, is_last):
        if number == 1:
            conditions[0].slower = 0.0

    async with serving(changed(first_token=Constant(3600.0)), record=speed_up) as model, client_of(model) as client:
        conditions.append(model.conditions)
        model.conditions.slower = 1e-7
        assert (await chat(client)).usage.completion_tokens == 5
    async with serving(changed(per_token=Constant(3600.0)), record=speed_up) as model, client_of(model) as client:
        conditions[:] = [model.conditions]
        model.conditions.slower = 1e-7
        assert (await chat(client)).usage.completion_tokens == 5


async def test_errors_name_the_planted_secret_and_come_only_as_long_as_the_fault_lasts():
    async with serving(changed(secret="sk-planted"), seed=3) as model, client_of(model) as client:
        model.conditions.error_share = 1.0
        model.conditions.error_status = 503
        with pytest.raises(openai.InternalServerError, match="sk-planted") as error:
            await chat(client)
        assert error.value.status_code == 503
        model.conditions.error_share = 0.0
        assert await chat(client)


async def test_a_rate_limit_refuses_with_429():
    async with serving(AT_ONCE) as model, client_of(model) as client:
        model.conditions.rate_limited = True
        with pytest.raises(openai.RateLimitError) as error:
            await chat(client)
        assert error.value.response.headers["retry-after"] == "1"
        model.conditions.rate_limited = False
        assert await chat(client)


async def test_a_cut_stream_ends_in_the_middle_with_a_broken_connection():
    async with serving(changed(cut_share=1.0, tokens=50)) as model, client_of(model) as client:
        stream = await chat(client, stream=True)
        with pytest.raises(BROKEN):
            async for _ in stream:
                pass


async def test_a_service_that_goes_down_resets_streams_and_new_connections_until_it_is_back():
    async with serving(changed(per_token=Constant(3600.0))) as model, client_of(model) as client:
        stream = aiter(await chat(client, stream=True))
        await anext(stream)
        model.conditions.down = True
        with pytest.raises(BROKEN):
            async for _ in stream:
                pass
        with pytest.raises(openai.APIConnectionError):
            await chat(client)
        model.conditions.down = False
        assert await chat(client, max_tokens=1)


async def test_a_service_that_goes_down_sends_no_orderly_end():
    body = json.dumps({"model": "any", "messages": ANN, "stream": True}).encode()
    async with (
        serving(changed(per_token=Constant(3600.0))) as model,
        connection(model.port) as (reader, writer),
    ):
        writer.write(request("POST", "/v1/chat/completions", body, close=False))
        await reader.readuntil(b"#0; ")
        model.conditions.down = True
        with pytest.raises(ConnectionResetError):
            await reader.read()


async def test_a_service_that_stops_drops_its_work_and_its_connections():
    made = []
    settings = changed(per_token=Constant(3600.0))
    async with contextlib.AsyncExitStack() as stack:
        async with serving(settings, record=lambda *work: made.append(work)) as model:
            client = await stack.enter_async_context(client_of(model))
            stream = aiter(await chat(client, stream=True))
            await anext(stream)
        with pytest.raises(BROKEN):
            async for _ in stream:
                pass
        with pytest.raises(OSError):  # noqa: PT011 - which one depends on the platform
            await asyncio.open_connection("127.0.0.1", model.port)
    assert made == [("ann", "run-1", 0, False)]
