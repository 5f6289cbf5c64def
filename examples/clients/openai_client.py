"""The official client against `nestor serve`: completes with a suffix, streams, chats, lists models, meets an error.

    python3 -m venv .venv && .venv/bin/pip install openai
    nestor serve --listen 127.0.0.1:8088 &
    .venv/bin/python examples/clients/openai_client.py http://127.0.0.1:8088/v1
"""

import sys

import openai

client = openai.OpenAI(base_url=sys.argv[1], api_key=sys.argv[2] if len(sys.argv) > 2 else "none")
before = "Процедура Печать(Склад) Экспорт\n\tЗапрос = Новый Запрос;\n\tВыборка = Новый "
after = "\nКонецПроцедуры\n"

models = [model.id for model in client.models.list()]
assert models == ["nestor-fast", "nestor-balanced", "nestor-accurate"], models
print("models:", ", ".join(models))

whole = {}
for model in models:
    answer = client.completions.create(model=model, prompt=before, suffix=after, max_tokens=16, stop="\n", logprobs=1)
    choice = answer.choices[0]
    assert choice.finish_reason in ("stop", "length"), choice
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert len(choice.logprobs.tokens) == len(choice.logprobs.token_logprobs)
    about = choice.model_extra["nestor"]
    shares = ", ".join(f"{part['part']} {part['share']:.0%}" for part in about["contributions"])
    print(f"{model}: {choice.text!r}, confidence {about['confidence']:.2f}, {about['timings']['total_ms']:.1f} ms; {shares}")
    whole[model] = choice.text

parts = []
stream = client.completions.create(
    model="nestor-balanced", prompt=before, suffix=after, max_tokens=16, stop="\n", stream=True, stream_options={"include_usage": True}
)
for event in stream:
    parts.extend(choice.text for choice in event.choices)
    usage = event.usage or None
assert "".join(parts) == whole["nestor-balanced"], parts
assert usage.completion_tokens > 0
print("streamed:", [part for part in parts if part])

chat = client.chat.completions.create(
    model="nestor-balanced",
    messages=[{"role": "user", "content": f"Допиши:\n```bsl\n{before}\n```"}],
    max_tokens=32,
    extra_body={"stop_rule": "line"},
)
print("chat:", repr(chat.choices[0].message.content))

for wrong, kind in [({"model": "gpt-4o"}, openai.NotFoundError), ({"max_tokens": 100_000}, openai.BadRequestError)]:
    try:
        client.completions.create(**{"model": "nestor-fast", "prompt": before, **wrong})
    except kind as error:
        print(f"{kind.__name__}: {error.body['message']}")
    else:
        raise AssertionError(f"{wrong} was taken")
