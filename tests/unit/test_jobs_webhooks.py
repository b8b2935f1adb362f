"""Webhooks: which URLs are taken, and which addresses are called. A resolver of the test's own names them all."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address
from typing import Any, cast

import pytest

from antiphon.bus import Bus
from antiphon.domain import errors
from antiphon.jobs.public_address import is_public
from antiphon.jobs.webhooks import Refused, Webhooks, new_webhook
from antiphon.store.base import JobStore

#: Every block of IANA's registries of special-purpose addresses, and multicast: an address of it, the first and last.
SPECIAL_V4 = [
    "0.0.0.0",
    "0.255.255.255",
    "10.0.0.0",
    "10.255.255.255",
    "100.64.0.0",
    "100.127.255.255",
    "127.0.0.0",
    "127.255.255.255",
    "169.254.0.0",
    "169.254.169.254",
    "169.254.255.255",
    "172.16.0.0",
    "172.31.255.255",
    "192.0.0.0",
    "192.0.0.8",
    "192.0.0.9",
    "192.0.0.10",
    "192.0.0.170",
    "192.0.0.255",
    "192.0.2.0",
    "192.0.2.255",
    "192.31.196.0",
    "192.31.196.255",
    "192.52.193.0",
    "192.52.193.255",
    "192.88.99.0",
    "192.88.99.255",
    "192.168.0.0",
    "192.168.255.255",
    "192.175.48.0",
    "192.175.48.255",
    "198.18.0.0",
    "198.19.255.255",
    "198.51.100.0",
    "198.51.100.255",
    "203.0.113.0",
    "203.0.113.255",
    "224.0.0.0",
    "239.255.255.255",
    "240.0.0.0",
    "255.255.255.255",
]
SPECIAL_V6 = [
    "::",
    "::1",
    "::7f00:1",
    "::ffff:8.8.8.8",
    "::ffff:127.0.0.1",
    "64:ff9b::a00:1",
    "64:ff9b::7f00:1",
    "64:ff9b:1::",
    "64:ff9b:1:ffff:ffff:ffff:ffff:ffff",
    "100::",
    "100::ffff:ffff:ffff:ffff",
    "100:0:0:1::",
    "2001::",
    "2001:1::1",
    "2001:1::2",
    "2001:1::3",
    "2001:2::",
    "2001:3::",
    "2001:4:112::",
    "2001:10::",
    "2001:20::",
    "2001:30::",
    "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff",
    "2001:db8::",
    "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
    "2002:a00:1::",
    "2002:7f00:1::",
    "2002:c0a8:101::1",
    "2620:4f:8000::",
    "3fff::",
    "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff",
    "4000::",
    "5f00::",
    "fc00::",
    "fdff:ffff::1",
    "fe80::1",
    "fe80::1%1",
    "febf::1",
    "fec0::1",
    "feff::1",
    "ff00::",
    "ff02::1",
    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
]
PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.0",
    "169.253.255.255",
    "169.255.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "192.0.1.0",
    "192.0.3.0",
    "192.167.255.255",
    "192.169.0.0",
    "198.17.255.255",
    "198.20.0.0",
    "223.255.255.255",
    "2001:200::1",
    "2606:4700::1111",
    "2a00:1450::1",
    "2002:808:808::1",
    "64:ff9b::808:808",
]


@pytest.mark.parametrize("text", [*SPECIAL_V4, *SPECIAL_V6])
async def test_no_special_address_is_called(text: str) -> None:
    assert not is_public(ip_address(text))
    with pytest.raises(Refused, match="not a public address") as refused:
        await hooks([text])._pin("http://host.example/hook")
    assert refused.value.final


@pytest.mark.parametrize("text", PUBLIC)
def test_public_addresses_are_public(text: str) -> None:
    assert is_public(ip_address(text))


def hooks(answers: Sequence[str], *, private: bool = False) -> Webhooks:
    async def resolve(host: str, port: int) -> Sequence[str]:
        return answers

    return Webhooks(cast("JobStore", None), cast("Bus", None), private=private, resolve=resolve)


async def test_the_address_that_was_checked_is_the_one_that_is_called() -> None:
    url, pinned = await hooks(["10.0.0.1", "8.8.8.8", "127.0.0.1"])._pin("https://host.example:8443/hook?a=1")
    assert url == "https://8.8.8.8:8443/hook?a=1"
    assert pinned["headers"]["host"] == "host.example:8443"
    assert pinned["extensions"]["sni_hostname"] == "host.example"


async def test_private_addresses_are_called_where_the_operator_said_so() -> None:
    url, _ = await hooks(["10.0.0.1"], private=True)._pin("http://host.example/hook")
    assert url == "http://10.0.0.1:80/hook"


BAD: list[Any] = [
    "http://[::1", "http://℀/", "http://[fe80::1%25eth0]:x/", "http://host:99999/", "http://host:0/", "http://", "ftp://host/",
    "http://user@host/", "http://ho st/", "http://host\n/", "http://bücher.example/", "https://" + "a" * 3000, "//host/", "",
    "http://host:٣/", "http://" + "a" * 260 + "/",
]  # fmt: skip


@pytest.mark.parametrize("url", BAD)
def test_a_url_that_can_never_be_called_is_refused_when_it_comes(url: str) -> None:
    with pytest.raises(errors.InvalidRequest) as refused:
        new_webhook(url, None)
    assert refused.value.param == "webhook"


@pytest.mark.parametrize(
    "url",
    ["http://host.example", "https://host:8443/a?b=c", "http://127.0.0.1:80/", "http://[::1]:9/", "http://my_host/"],
)
def test_usual_urls_are_taken(url: str) -> None:
    assert new_webhook(url, None).url == url


@pytest.mark.parametrize("url", BAD)
async def test_a_kept_url_that_can_never_be_called_ends(url: str) -> None:
    """A version that checked less may have kept it: it must not be tried again at every start."""
    with pytest.raises((Refused, ValueError)) as ended:
        await hooks([])._pin(url)
    # `_try` ends the webhook for a ValueError, too.
    assert isinstance(ended.value, ValueError) or ended.value.final
