"""One request: its body, its id, its line, its tokens, and what may not stand in it."""

import base64
import hashlib
import json
import re
import subprocess
import sys
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpt4v_asking import ROTATED, UPRIGHT, Words, picture, subject
from rs_gpt4v_conversion.config import Generation, load_config
from rs_gpt4v_conversion.errors import UsageError
from rs_gpt4v_conversion.gpt4v.asking.requests import (
    box_form,
    canonical,
    check_parameters,
    custom_id,
    make_request,
    sized,
)
from rs_gpt4v_conversion.gpt4v.asking.tokens import GPT_4O, ImageRule, image_tokens, text_tokens
from rs_gpt4v_conversion.gpt4v.records import STAGES, Facts, Request
from rs_gpt4v_conversion.gpt4v.schemas import json_schema
from rs_gpt4v_conversion.images import ReleaseImage, convert
from shared import shared

GOLDEN = Path(__file__).parent / "golden" / "gpt4v_request.json"
WORDS = Words(prompt="local/1", system="You describe images.", user="What is at 0.1 0.2?", answer_tokens=400)
GENERATION = Generation(requests=Path("requests"))


def made(
    words: Words = WORDS, generation: Generation = GENERATION, image: ReleaseImage | None = None, round: int = 1
) -> tuple[Request, bytes]:
    shown = image or convert(picture(0))
    return make_request(subject(Path("drawn"), 0), "local", words, shown, generation, "obb", round)


def test_a_line_of_a_request_is_as_the_golden_file_shows() -> None:
    request, line = made(generation=replace(GENERATION, parameters={"temperature": 0.2, "seed": 7}))
    shown = json.loads(line)
    image = shown["body"]["messages"][1]["content"][0]["image_url"]
    assert re.fullmatch(r"data:image/jpeg;base64,/9j/[A-Za-z0-9+/]+=*", image["url"])
    image["url"] = image["url"][:40] + "..."
    shown["body"]["response_format"]["json_schema"]["schema"] = "the schema of the stage"
    shown["custom_id"] = re.sub(r"[0-9a-f]{32}", "<32 hex>", shown["custom_id"])  # depends on the encoder of the JPEG
    assert json.dumps(shown, indent=2) + "\n" == GOLDEN.read_text()
    assert json.loads(line)["body"]["response_format"]["json_schema"]["schema"] == json_schema("local")
    assert request.custom_id == json.loads(line)["custom_id"]
    assert (request.bytes, request.record, request.boxes, request.round) == (len(line), "drawn/train/0", "obb", 1)
    assert (request.width, request.height, request.scale) == (48, 48, 1.0)


texts = st.text(st.characters(exclude_categories=())) | st.sampled_from(
    ['"url":"x"', '{"url":"', "\n", "\u2028", "\ud800", "é"]
)


@given(
    system=texts,
    user=texts,
    structured=st.sampled_from(["json_schema", "json_object", "none"]),
    parameters=st.dictionaries(
        st.sampled_from(["url", "stop", "metadata"]),
        st.sampled_from([0, "x", {"url": hashlib.sha256(picture(0)).hexdigest()}, ["\u2029"]]),
    ),
)
def test_a_line_is_what_json_would_write_of_the_whole_body(
    system: str, user: str, structured: Any, parameters: dict[str, Any]
) -> None:
    words = replace(WORDS, system=system, user=user)
    request, line = made(words, replace(GENERATION, structured=structured, parameters=parameters))
    whole = json.loads(line)
    assert json.dumps(whole, separators=(",", ":")).encode() + b"\n" == line
    assert line.isascii()
    assert line.count(b"\n") == 1
    content = whole["body"]["messages"][1]["content"]
    assert base64.b64decode(content[0]["image_url"]["url"].partition(",")[2]) == picture(0)
    assert content[1]["text"] == user
    assert whole["body"]["messages"][0]["content"].startswith(system)
    assert parameters.items() <= whole["body"].items()
    content[0]["image_url"]["url"] = request.image_sha256
    assert whole["custom_id"] == custom_id("local", canonical(whole["body"]), request.image_sha256)


def test_an_id_depends_on_question_image_and_model_and_on_nothing_else() -> None:
    first = made()[0].custom_id
    assert re.fullmatch(r"local-[0-9a-f]{32}", first)
    other = subject(Path("elsewhere"), 7, split="test")
    image = convert(picture(0))
    assert make_request(other, "local", WORDS, image, GENERATION, "hbb", 3)[0].custom_id == first
    parameters = [replace(GENERATION, parameters=dict(p)) for p in ([("a", 1), ("b", 2)], [("b", 2), ("a", 1)])]
    assert made(generation=parameters[0])[0].custom_id == made(generation=parameters[1])[0].custom_id
    changed = [
        made(replace(WORDS, user="another"))[0],
        made(generation=replace(GENERATION, model="another"))[0],
        made(generation=replace(GENERATION, detail="low"))[0],
        made(generation=parameters[0])[0],
        made(image=convert(picture(1)))[0],
    ]
    assert len({first, *(r.custom_id for r in changed)}) == 6
    assert all(len(custom_id(stage, "{}", "0" * 64)) <= 64 for stage in STAGES)


def test_an_id_is_the_same_in_another_process() -> None:
    body = {"model": "m", "messages": [{"content": "é\u2028", "role": "user"}], "temperature": 0.1}
    program = (
        "import json, sys; from rs_gpt4v_conversion.gpt4v.asking.requests import canonical, custom_id;"
        "print(custom_id('detail', canonical(json.loads(sys.argv[1])), 'ab' * 32))"
    )
    for seed in ("1", "2"):
        environment = {"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)}
        turned = dict(reversed(body.items()))
        said = subprocess.run(
            [sys.executable, "-c", program, json.dumps(turned)], env=environment, capture_output=True, text=True
        )
        assert said.stdout.strip() == custom_id("detail", canonical(body), "ab" * 32), said.stderr
    # written down, so that a change of the rule is seen: it would make all that was asked before unknown
    assert custom_id("detail", canonical(body), "ab" * 32) == "detail-6fca0193d1af0e127f9c12983db9a503"


def test_without_a_schema_the_words_tell_the_form_of_the_answer() -> None:
    for structured, form in (("json_object", {"type": "json_object"}), ("none", None)):
        body = json.loads(made(generation=replace(GENERATION, structured=structured))[1])["body"]
        assert body.get("response_format") == form
        system = body["messages"][0]["content"]
        assert "JSON" in system  # which json_object demands of the messages
        assert json.loads(system.rpartition("\n")[2]) == json_schema("local")


def test_room_for_the_answer_is_four_times_what_is_expected_or_what_the_user_says() -> None:
    def body(**parameters: Any) -> dict[str, Any]:
        return dict(json.loads(made(generation=replace(GENERATION, parameters=parameters))[1])["body"])

    assert body()["max_completion_tokens"] == 1600
    assert json.loads(made(replace(WORDS, answer_tokens=10))[1])["body"]["max_completion_tokens"] == 1024
    assert body(max_completion_tokens=50)["max_completion_tokens"] == 50
    assert "max_completion_tokens" not in body(max_tokens=50)


@pytest.mark.parametrize(
    "parameters",
    [
        {"api_key": "x"},
        {"API-Key": "x"},
        {"apikey": "x"},
        {"azure_api_key": "x"},
        {"Authorization": "Bearer x"},
        {"extra_headers": {"X": "y"}},
        {"headers": {}},
        {"metadata": {"authorization": "x"}},
        {"metadata": [{"secret": "x"}]},
        {"user": "sk-abcdefghijklmnop1234"},
        {"user": "Bearer abc"},
        {"metadata": {"note": "the key is from-the-environment"}},
    ],
)
def test_keys_are_refused_and_never_repeated(parameters: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", "from-the-environment")
    with pytest.raises(UsageError, match="key") as caught:
        check_parameters(replace(GENERATION, parameters=parameters))
    for secret in ("sk-abc", "Bearer", "from-the-environment"):
        assert secret not in str(caught.value)


def test_ordinary_parameters_pass_and_what_json_cannot_hold_does_not() -> None:
    fine = {"temperature": 0.2, "max_tokens": 900, "stop": ["a"], "store": False, "metadata": {"run": "sky-1"}}
    check_parameters(replace(GENERATION, parameters=fine))
    for value in (date(2026, 1, 1), float("nan"), float("inf")):
        with pytest.raises(UsageError, match=r"parameters\.x: is .* JSON"):
            check_parameters(replace(GENERATION, parameters={"x": value}))


def test_boxes_are_rotated_where_an_object_that_is_listed_is() -> None:
    without = replace(UPRIGHT, bbox=None)  # has no box and is not listed
    assert box_form(Facts(record="s/train/1", objects=(ROTATED, UPRIGHT)), "obb") == "obb"
    assert box_form(Facts(record="s/train/1", objects=(UPRIGHT, without)), "obb") == "hbb"
    assert box_form(Facts(record="s/train/1"), "obb") == "hbb"
    assert box_form(Facts(record="s/train/1", objects=(ROTATED,)), "hbb") == "hbb"


def test_a_size_that_annotations_do_not_say_is_that_of_the_image_before_it_was_reduced() -> None:
    image = replace(convert(picture(0)), width=24, height=12, scale=0.25)
    facts = sized(Facts(record="s/train/1"), image)
    assert (facts.width, facts.height) == (96, 48)
    said = Facts(record="s/train/1", width=97, height=48)
    assert sized(said, image) is said


def test_form_and_detail_are_keys_of_the_table(tmp_path: Path) -> None:
    path = tmp_path / "sources.toml"
    head = f'version = "1.0.0"\ndate = "2026-01-01"\n[[source]]\nkind = "rsicd"\nroot = "{tmp_path}"\n[gpt4v]\n'
    path.write_text(head + 'structured = "none"\ndetail = "low"\n')
    generation = load_config(path).gpt4v
    assert generation is not None
    assert (generation.structured, generation.detail) == ("none", "low")
    path.write_text(head + 'detail = "fine"\n')
    with pytest.raises(UsageError, match="detail is 'fine', expected 'low', 'high' or 'auto'"):
        load_config(path)


@pytest.mark.parametrize(
    ("size", "tokens"),
    # the examples of OpenAI's guide, and a small image as users were billed for it: it is not enlarged
    [((1024, 1024), 765), ((2048, 4096), 1105), ((4096, 8192), 1105), ((128, 64), 255)],
)
def test_tiles_are_counted_as_the_vendor_documents(size: tuple[int, int], tokens: int) -> None:
    assert image_tokens(GPT_4O, *size, "high") == tokens
    assert image_tokens(GPT_4O, *size, "low") == 85


def test_patches_pixels_and_constants_are_counted_as_documented() -> None:
    patches = ImageRule(rule="patches", side=32, most=1536)
    assert image_tokens(patches, 1024, 1024, "high") == 1024
    assert image_tokens(patches, 1800, 2400, "high") == 1452
    assert image_tokens(replace(patches, factor=1.62), 1800, 2400, "low") == 2353  # 2352.24
    assert image_tokens(ImageRule(rule="pixels", side=28, most=16384), 800, 800, "high") == 29 * 29
    assert image_tokens(ImageRule(rule="constant", base=576), 4000, 10, "high") == 576


@given(st.integers(1, 20000), st.integers(1, 20000))
def test_patches_never_exceed_their_number(width: int, height: int) -> None:
    assert 1 <= image_tokens(ImageRule(rule="patches", side=32, most=1536), width, height, "high") <= 1536


@given(st.text(st.characters(codec="ascii")))
def test_tokens_of_text_are_its_pieces(text: str) -> None:
    spaces = r"[ \t\r\x0b\x0c\x1c-\x1f]"
    pieces = rf"[A-Za-z]{{1,9}}|[0-9]{{1,3}}|{spaces}(?=[0-9])|\n+|_+|[^\w\s]+"
    assert text_tokens(text) == len(re.findall(pieces, text))


def test_a_text_in_another_script_has_tokens_too() -> None:
    assert text_tokens("") == 0
    assert text_tokens("航空母舰") == 2
    assert text_tokens("\ud800") == 1  # half of a pair


def test_tokens_of_text_are_near_those_that_a_vendor_counted() -> None:
    inputs = [json.loads(line) for line in shared("realdata", "openai_batch", "input_two_requests.jsonl").open()]
    outputs = [json.loads(line) for line in shared("realdata", "openai_batch", "output_two_requests.jsonl").open()]
    usages = {o["custom_id"]: o["response"]["body"]["usage"]["completion_tokens"] for o in outputs}
    answers = {o["custom_id"]: o["response"]["body"]["choices"][0]["message"]["content"] for o in outputs}
    for request in inputs:
        name = request["custom_id"]
        assert text_tokens(answers[name]) == pytest.approx(usages[name], rel=0.2)
