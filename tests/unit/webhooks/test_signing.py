import time
from base64 import b64encode

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from ctid.webhooks.signing import key_of, signed_headers

KEY, OTHER = bytes(range(32)), bytes(range(1, 25))


def secret(key: bytes) -> str:
    """The secret of a key, as the configuration has it."""
    return "whsec_" + b64encode(key).decode()


def test_the_specifications_own_vector() -> None:
    """The example that the libraries of Standard Webhooks all verify."""
    headers = signed_headers(
        [key_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")],
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330.9,
        b'{"test": 2432232314}',
    )
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


@pytest.mark.parametrize("known", [KEY, OTHER])
def test_receivers_verify_it_by_either_key(known: bytes) -> None:
    """While a secret is changed, who has either of the two knows it; a third does not."""
    headers = signed_headers([KEY, OTHER], "b1-7", time.time(), b'{"x":1}')
    assert Webhook(secret(known)).verify(b'{"x":1}', headers) == {"x": 1}
    with pytest.raises(WebhookVerificationError):
        Webhook(secret(bytes(32))).verify(b'{"x":1}', headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(secret(known)).verify(b'{"x":2}', headers)


def test_secrets() -> None:
    """The prefix may be left out; what is no base64, too short or too long is refused, and not shown."""
    assert key_of(secret(KEY)) == key_of(secret(KEY).removeprefix("whsec_")) == KEY
    for text in ("whsec_?", "whsec_ä", secret(bytes(23)), secret(bytes(65)), ""):
        with pytest.raises(ValueError, match=r"is no base64|holds .* bytes") as caught:
            key_of(text)
        assert not text or text not in str(caught.value)
