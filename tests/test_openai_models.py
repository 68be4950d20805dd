"""`/v1/models` serves both families of clients, and tells which model there really is."""

import pytest
from box_client import bearer, key
from event_source import ServedBox
from httpx import Client

from appliance.settings import Settings

WAIT_S = 60
PATH = "/v1/models"


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    """Return a client of a box with tiny.en, without a key."""
    data = tmp_path_factory.mktemp("box")
    box = ServedBox(Settings(data_dir=data, model="tiny.en", port=0))
    box.application.state.box.worker.model(WAIT_S)
    with Client(base_url=box.url, timeout=WAIT_S, trust_env=False) as client:
        client.application = box.application
        yield client
    box.stop()


@pytest.mark.parametrize("scheme", ["Bearer", "Token"])
def test_both_families_find_the_model_in_one_answer(client, scheme):
    _, plain = key(client, "listen")
    told = client.get(PATH, headers={"Authorization": f"{scheme} {plain}"}).json()
    assert told["object"] == "list" and told["tts"] == []
    assert [(m["id"], m.get("root")) for m in told["data"]] == [
        ("whisper-tiny.en", None),
        ("whisper-1", "whisper-tiny.en"),
    ]
    for model in told["data"]:
        assert model["object"] == "model" and model["owned_by"] == "local"
        assert isinstance(model["created"], int)
    (stt,) = told["stt"]
    assert stt["name"] == stt["canonical_name"] == "whisper-tiny.en"
    assert stt["languages"] == ["en"] and stt["architecture"] == "whisper"
    assert stt["batch"] is stt["streaming"] is stt["formatted_output"] is True


def test_one_model_is_found_by_each_of_its_names(client):
    headers = bearer(client, "listen")
    listed = client.get(PATH, headers=headers).json()["data"]
    for model in listed:
        assert client.get(f"{PATH}/{model['id']}", headers=headers).json() == model
    found = client.get(f"{PATH}/{listed[0]['uuid']}", headers=headers).json()
    assert found == listed[0]


def test_what_there_is_not_is_404_and_names_what_there_is(client):
    answer = client.get(f"{PATH}/gpt-4o-transcribe", headers=bearer(client, "listen"))
    assert answer.status_code == 404
    error = answer.json()["error"]
    assert error["code"] == "model_not_found" and "whisper-tiny.en" in error["message"]


def test_refusals_have_openais_shape(client):
    nobody = client.get(PATH)
    assert nobody.status_code == 401
    assert nobody.json()["error"]["code"] == "invalid_api_key"
    lacking = client.get(PATH, headers=bearer(client, "metrics"))
    assert lacking.status_code == 403
    assert "listen" in lacking.json()["error"]["message"]


def test_without_a_model_it_is_503_and_says_why(started):
    answer = started.get(PATH, headers=bearer(started, "listen"))
    assert answer.status_code == 503
    assert "'absent' is not installed" in answer.json()["error"]["message"]


def test_openais_own_client_reads_the_list(client):
    openai = pytest.importorskip("openai")
    _, plain = key(client, "listen")
    with openai.OpenAI(base_url=f"{client.base_url}/v1", api_key=plain) as own:
        assert [model.id for model in own.models.list()] == ["whisper-tiny.en", "whisper-1"]
        assert own.models.retrieve("whisper-1").id == "whisper-1"
        with pytest.raises(openai.NotFoundError, match="any name will do"):
            own.models.retrieve("gpt-5")


def test_a_token_of_the_box_opens_them_and_no_other_routes(client):
    _, plain = key(client, "admin")
    granted = client.post("/v1/auth/grant", headers={"Authorization": f"Token {plain}"}).json()
    token = {"Authorization": f"Bearer {granted['access_token']}"}
    assert client.get(PATH, headers=token).status_code == 200
    assert client.get("/api/v1/keys", headers=token).status_code in (401, 429)
    assert client.post("/v1/auth/grant", headers=token).status_code in (401, 429)
