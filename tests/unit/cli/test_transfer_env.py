"""Keys of `.env` files: the broker's own variables, with their lines."""

from broker.cli.transfer.files import Form
from tests.unit.cli.test_transfer_files import SECRET, read


def test_a_dotenv_file_is_read_by_the_broker_s_own_rules() -> None:
    keys, faults = read(
        Form.ENV,
        "# comment\n"
        "OTHER=1\n"
        f"export OPENAI_API_KEY='{SECRET}'\n"
        "OPENAI_API_KEY_2=sk-2 # second\n"
        "OPENAI_API_KEY_2__NAME=second\n"
        "OPENAI_API_KEY_2__MODELS=gpt-4*, fast=gpt-mini\n"
        "OPENAI_API_KEY_2__WEIGHT=2.5\n"
        "GROQ_API_KEY=a,b, c\n"
        "MY_VLLM_API_KEY=sk-vllm\n"
        "AZURE_EASTUS_API_KEY_1=sk-azure\n",
        "my_vllm",
        "openai",
    )
    assert faults == {}
    assert [(k.line, k.provider, k.key_id, k.secret.plaintext) for k in keys] == [
        (3, "openai", "", SECRET),
        (4, "openai", "second", "sk-2"),
        (8, "groq", "", "a"),
        (8, "groq", "", "b"),
        (8, "groq", "", "c"),
        (9, "my_vllm", "", "sk-vllm"),
        (10, "azure-eastus", "", "sk-azure"),
    ]
    assert dict(keys[1].settings.models) == {"gpt-4*": "", "fast": "gpt-mini"}
    assert keys[1].settings.weight == 2.5


def test_what_is_wrong_in_a_dotenv_file_is_told() -> None:
    keys, faults = read(
        Form.ENV,
        "OPENAI_API_KEY=sk-1\n"
        f"OPENAI_API_KEY={SECRET}\n"
        f"{SECRET}\n"
        "OPENAI_API_KEY_2__WEIGHT=3\n"
        f"GROQ_API_KEY='{SECRET}\n"
        "GROQ_API_KEY_1=sk-3\n"
        f"GROQ_API_KEY_1__PRIORITY={SECRET}\n"
        "OPENAI_API_KEY_FIRST=sk-4\n"
        "MISTRAL_API_KEY=\n",
    )
    assert [key.secret.plaintext for key in keys] == ["sk-1"]
    assert faults.keys() == {2, 3, 4, 5, 7, 8, 9}
    assert faults[2] == "OPENAI_API_KEY is set on line 1 too"
