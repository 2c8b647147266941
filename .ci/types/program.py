# pyright: strict
"""A user's program: what the type checkers are told of each public name, for run.sh.

It is only read by them, never run.
"""
from http.client import HTTPMessage, HTTPResponse
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, Optional
from urllib.request import ProxyHandler, Request
import ssl

from typing_extensions import assert_type

from oauth2min import (
    PROVIDERS,
    AuthorizationError,
    AuthorizationRequest,
    Client,
    LoginRequired,
    OAuth2Error,
    RateLimited,
    Response,
    ResponseError,
    StoreError,
    Token,
    TokenError,
    TokenFile,
    UnsafeURL,
    discover,
    main,
)

if TYPE_CHECKING:
    from contextlib import AbstractContextManager


class Memory:
    """A store of the user's own."""

    record: "Optional[Dict[str, Any]]" = None

    def load(self) -> "Optional[Dict[str, Any]]":
        return self.record

    def save(self, record: "Optional[Dict[str, Any]]") -> None:
        self.record = record

    def lock(self) -> "AbstractContextManager[object]":
        raise NotImplementedError


class Assertion(Client):
    """A grant of the user's own."""

    def request_token(self, grant_type: str, **parameters: Optional[str]) -> Token:
        parameters["assertion"] = "signed"
        return super().request_token(
            "urn:ietf:params:oauth:grant-type:jwt-bearer", **parameters
        )


def making() -> List[Client]:
    return [
        Client("spotify", "id"),
        Client("https://as.example", "id", None),
        Client(
            {"token_endpoint": "https://as.example/token", "pkce": False},
            "id",
            "secret",
            grant_type="authorization_code",
            scope="read write",
            redirect_uri="http://127.0.0.1:8000/callback",
            store="token.json",
            base_url="https://api.example/v1",
            headers={"Accept": "text/plain"},
            timeout=1.5,
            max_wait=60,
            context=ssl.create_default_context(),
            handlers=[ProxyHandler({})],
            trace=print,
        ),
        Client(PROVIDERS["x"], "id", scope=["read", "write"], store=Memory()),
        Client("x", "id", store=TokenFile("token.json"), handlers=()),
        Assertion(discover("https://as.example", None, 5), "id"),
    ]


def using(client: Client) -> None:
    with client as same:
        assert_type(same, Client)
    assert_type(client.get("tracks/1"), Response)
    assert_type(client.get("tracks", {"limit": 50}), Response)
    assert_type(client.get("tracks", [("id", 1), ("id", 2)]), Response)
    assert_type(client.post("tracks", {"name": "x"}), Response)
    assert_type(client.post("tracks", b"bytes"), Response)
    assert_type(client.post("tracks", json=[1, {"a": None}]), Response)
    assert_type(
        client.request("PUT", "x", {"a": "b"}, "text", None, {"Accept": "*/*"}), Response
    )
    with client.open(Request("https://api.example/x", b"")) as stream:
        assert_type(stream, HTTPResponse)
        assert_type(stream.read(5), bytes)
    assert_type(client.open("x"), HTTPResponse)
    assert_type(client.pages("x"), Iterator[Any])
    client.pages("x", {"limit": 1}, next="paging.next")
    client.pages("x", next=("meta.next_token", "pagination_token"))
    client.pages("x", next=link_of)
    for page in client.pages("x"):
        print(page["items"])
    assert_type(client.access_token(), str)
    assert_type(client.access_token(rejected="token"), str)
    client.close()


def link_of(page: Any) -> Optional[str]:
    found: Optional[str] = page.get("more")
    return found


def reading(response: Response) -> bytes:
    assert_type(response.status_code, int)
    assert_type(response.headers, HTTPMessage)
    assert_type(response.url, str)
    assert_type(response.text, str)
    assert_type(response.json(), Any)
    return response.content


def logging_in(client: Client) -> None:
    assert_type(client.login(), Token)
    assert_type(client.login(False, 60, prompt="consent"), Token)
    assert_type(client.login(open_browser=print, timeout=1.5), Token)
    asked = client.authorization_request("https://app.example/done", prompt="login")
    assert_type(asked, AuthorizationRequest)
    assert_type(asked.url, str)
    assert_type(asked.state, str)
    assert_type(asked.code_verifier, str)
    assert_type(asked.redirect_uri, str)
    session: List[str] = list(asked)
    assert_type(client.exchange(asked, "https://app.example/done?code=x"), Token)
    assert_type(client.exchange(session, "code=x&state=y"), Token)
    assert_type(client.for_user(), Client)
    assert_type(client.for_user(store=Memory()), Client)
    assert_type(client.refresh(), Token)
    assert_type(client.request_token("client_credentials", audience=None), Token)
    assert_type(client.logout(), bool)


def keeping(client: Client, file: TokenFile) -> Optional[str]:
    token = client.token
    assert_type(token, Optional[Token])
    if not token:
        client.token = Token("access", expires_at=5, raw={"id_token": "x"})
        client.token = None
        return None
    assert_type(token.access_token, str)
    assert_type(token.token_type, str)
    assert_type(token.expires_at, Optional[float])
    assert_type(token.scope, Optional[str])
    assert_type(token.raw, Optional[Dict[str, Any]])
    with file.lock():
        record = file.load()
        assert_type(record, Optional[Dict[str, Any]])
        file.save(record)
        file.save(None)
    return token.refresh_token


def failing(client: Client) -> "Optional[float]":
    try:
        client.get("x")
    except RateLimited as error:
        assert_type(error.response, Response)
        return error.retry_after
    except ResponseError as error:
        assert_type(error.response.status_code, int)
    except TokenError as error:
        assert_type(error.error, Optional[str])
        assert_type(error.error_description, Optional[str])
        assert_type(error.error_uri, Optional[str])
        assert_type(error.status, int)
        return error.retry_after
    except AuthorizationError as error:
        if error.error is not None:
            print(error.error.upper())
    except (LoginRequired, StoreError):
        pass
    except UnsafeURL as error:
        wrong_value: ValueError = error
        print(wrong_value)
    except OAuth2Error as error:
        print(error)
    return None


def command_line() -> int:
    return main(["get", "spotify", "me"]) or main()
